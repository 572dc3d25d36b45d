# SPDX-License-Identifier: Apache-2.0
"""The images of a study: those that are explained, with their RoIs, and those that donors are cut from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from monai_causal.apps.pdcr_study.config import DataConfig, RoIConfig, StudyConfig
from monai_causal.data.banks import DonorBank, image_digest
from monai_causal.data.datasets import load_dataset, read_pair, split_by_group
from monai_causal.data.readers import read_image
from monai_causal.intervene.regions import Box, plain
from monai_causal.visualize.rois import boundary_roi, component_roi, tile_rois

__all__ = ["Images", "Subject", "find_rois", "parts_of", "read_images"]


@dataclass(frozen=True, eq=False)
class Subject:
    """An image that is explained.

    Attributes:
        name: ``image-`` and its number in the data set's own order: no file name, no patient.
        unit: what counts as one in an interval over images: equal for images of one patient.
        digest: of its pixels.
        image: ``(1, C, *spatial)``.
        label: ``(*spatial)``.
        class_idx: what is asked about; ``None`` for a network of one channel.
        inside: bool ``(*spatial)``: where the label holds that class.
    """

    name: str
    unit: int
    digest: str
    image: Tensor
    label: Tensor
    class_idx: int | None
    inside: Tensor


@dataclass(frozen=True, eq=False)
class Images:
    """What a study looks at.

    Attributes:
        subjects: the images to explain.
        bank: patches of other images.
        donors: some of those images, whole, ``(C, *spatial)`` each: what real patches look like, and what components
            are replaced by.
    """

    subjects: tuple[Subject, ...]
    bank: DonorBank
    donors: tuple[Tensor, ...]


def read_images(study: StudyConfig) -> Images:
    """Read what is explained and what donors are cut from; no patient is in both."""
    explained, giving, _ = parts_of(study.data)
    size, window = study.data.image_size, study.data.window
    units: dict[str, int] = {}
    subjects = []
    for number, item in enumerate(tqdm(explained, desc="images", disable=None, leave=False)):
        image, label = read_pair(item, size, window=window)
        unit = units.setdefault(f"patient {item['patient']}" if item.get("patient") else f"image {number}", len(units))
        subjects.append(_subject(f"image-{item['index']:05d}", unit, plain(image)[None], label, study.data.classes))
    donors: list[Tensor] = []

    def read() -> Iterator[dict[str, Any]]:
        for number, item in enumerate(tqdm(giving, desc="donor images", disable=None, leave=False)):
            image = plain(read_image(item["image"], size, window=window, name=f"donor image {number}"))
            if number < study.donors.whole:
                donors.append(image)
            yield {**item, "image": image}

    bank = DonorBank.cut(
        read(),
        study.donors.patch_size or study.patch_size,
        per_image=study.donors.per_image,
        seed=study.donors.seed,
        grid=study.donors.grid,
        limit=study.donors.limit,
        source=f"images of {study.data.name}, apart from those explained",
    )
    return Images(tuple(subjects), bank, tuple(donors))


def find_rois(subject: Subject, rule: RoIConfig, patch_size: int | Sequence[int]) -> Sequence[tuple[str, Box | Tensor]]:
    """The RoIs that a rule finds in the label, each with a name that is unique within the image."""
    if rule.rule == "boundary":
        return [(rule.name, boundary_roi(subject.inside, rule.size, patch_size))]
    if rule.rule == "component":
        return [(rule.name, component_roi(subject.inside))]
    tiles = tile_rois(subject.inside, rule.size, rule.every)
    return [(f"{rule.name}-{tile.id}", tile.box) for tile in tiles][: rule.limit]


def parts_of(data: DataConfig) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """What is explained, what gives donors and what networks are trained on; no patient is in two of them."""
    wanted = (data.parts.explain, data.parts.donors, data.parts.train)
    options = dict(data.options)
    if data.name == "phantom":
        options.setdefault("count", sum(wanted))
    items = load_dataset(data.name, data.root, data.split, **options)
    left = len(items) - sum(wanted)
    if left < 0:
        raise ValueError(
            f"data.parts ask for {sum(wanted)} images ({wanted[0]} to explain, {wanted[1]} for donors, {wanted[2]} for "
            f"training), but data.name={data.name!r} has {len(items)} here: ask for fewer."
        )
    dealt = iter(split_by_group(items, [count / len(items) for count in (*wanted, left) if count]))
    explained, giving, training = (next(dealt)[:count] if count else [] for count in wanted)
    return explained, giving, training


def _subject(name: str, unit: int, image: Tensor, label: Tensor, classes: int) -> Subject:
    if classes == 1:
        return Subject(name, unit, image_digest(image[0]), image, label, None, label > 0)
    counts = torch.bincount(label.flatten().clamp(0, classes), minlength=classes + 1)[1:]
    asked = 1 + int(counts.argmax())
    return Subject(name, unit, image_digest(image[0]), image, label, asked, label == asked)
