# SPDX-License-Identifier: Apache-2.0
"""The images of a run: which, in what order, and each with its target (section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from monai_causal.apps.segbench.config import DataConfig
from monai_causal.data.datasets import load_dataset, read_pair, split_by_group, target_class
from monai_causal.intervene.regions import plain

__all__ = ["Chosen", "Sample", "choose", "read_sample", "sample_name", "units_of"]

Item = dict[str, Any]
IMAGENET_MEAN, IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Chosen:
    """Items of a data set under a seed: those that are explained, and those that networks are trained on."""

    explained: tuple[Item, ...]
    training: tuple[Item, ...]


@dataclass(frozen=True, eq=False)
class Sample:
    """An image and its target.

    Attributes:
        image: ``(1, C, *spatial)``, as the network gets it.
        mask: M, bool ``(*spatial)``: where the label holds the target class.
        class_idx: that class; ``None`` for a network of one channel.
    """

    image: Tensor
    mask: Tensor
    class_idx: int | None


def choose(data: DataConfig, seeds: Sequence[int]) -> dict[int, Chosen]:
    """The items under each seed, in the data set's order. No image is read; nobody's patient is on both sides."""
    options = dict(data.options)
    if data.source == "phantom":
        options.setdefault("count", (data.count or 100) + data.train)
        if isinstance(data.size, int):
            options.setdefault("size", (data.size, data.size))
    items = load_dataset(data.source, data.place(), data.split, **options)
    if data.count is None:
        return {seed: Chosen(tuple(items), ()) for seed in seeds}
    wanted = data.count + data.train
    if len(items) < wanted:
        raise ValueError(
            f"data {data.name!r}: {data.count} images to explain and {data.train} to train on are asked for, but "
            f"{len(items)} are there: ask for fewer."
        )
    return {seed: _drawn(data, items, seed) for seed in seeds}


def units_of(data: DataConfig, chosen: dict[int, Chosen]) -> dict[str, str]:
    """What counts as one in statistics, by the image's name: equal for images of one patient. No name of a patient."""
    units: dict[str, str] = {}
    groups: dict[str, str] = {}
    for one in sorted((item for part in chosen.values() for item in part.explained), key=lambda item: item["index"]):
        known = one.get(data.group)
        name = sample_name(one)
        units[name] = name if known is None else groups.setdefault(str(known), f"{data.group}-of-{name}")
    return units


def sample_name(item: Item) -> str:
    """``image-`` and its number in the data set's own order: no file name, no patient."""
    return f"image-{item['index']:05d}"


def read_sample(data: DataConfig, item: Item) -> Sample:
    """Read an image and find its target."""
    image, label = read_pair(item, data.size, window=_pair(data.window))
    values = prepared(plain(image), data)[None]
    if data.classes == 1:
        inside = (label > 0) & (label != 255)
        if not inside.any():
            raise ValueError("the label has no foreground: there is no target.")
        return Sample(values, inside, None)
    asked = target_class(label)
    if asked > data.classes:
        raise ValueError(f"the most frequent class is {asked}, but data.classes is {data.classes}.")
    return Sample(values, label == asked, asked)


def prepared(image: Tensor, data: DataConfig) -> Tensor:
    """An image ``(C, *spatial)`` as the network gets it."""
    if data.normalise == "none":
        return image
    if len(image) not in (1, 3):
        raise ValueError(f"normalise 'imagenet' is for grey and colour pictures; this image has {len(image)} channels.")
    shape = (3, *(1 for _ in image.shape[1:]))
    mean, sd = torch.tensor(IMAGENET_MEAN).view(shape), torch.tensor(IMAGENET_SD).view(shape)
    return (image.expand(3, *image.shape[1:]) - mean) / sd


def training_pair(data: DataConfig, item: Item) -> tuple[Tensor, Tensor]:
    """An image ``(C, *spatial)`` and its label ``(1, *spatial)`` for training; what is to be ignored is background."""
    image, label = read_pair(item, data.size, window=_pair(data.window))
    label = torch.where(label == 255, 0, label)
    label = (label > 0).long() if data.classes == 1 else label.clamp(max=data.classes)
    return prepared(plain(image), data), label[None]


def _drawn(data: DataConfig, items: Sequence[Item], seed: int) -> Chosen:
    assert data.count is not None
    left = len(items) - data.count - data.train
    counts = [count for count in (data.count, data.train, left) if count]
    if len(counts) == 1:
        return Chosen(tuple(items), ())
    parts = list(split_by_group(items, [count / len(items) for count in counts], seed, key=data.group))
    explained = parts.pop(0)
    training = parts.pop(0) if data.train else []
    # A part holds its share to within one patient: what is beyond it is left out.
    return Chosen(tuple(explained[: data.count]), tuple(training[: data.train]))


def _pair(window: tuple[float, ...] | None) -> tuple[float, float] | None:
    return None if window is None else (window[0], window[1])
