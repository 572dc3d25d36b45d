# SPDX-License-Identifier: Apache-2.0
"""Lesions of the skin."""

from __future__ import annotations

import csv
from pathlib import Path

from monai_causal.data.datasets.layout import Item, Layout, Paths, files, paired


def _ham10000(layout: Layout, root: Path, split: str | None) -> list[Item]:
    lesions = _ham10000_metadata(layout, root)
    images: Paths = {}
    for part in ("HAM10000_images_part_1", "HAM10000_images_part_2"):
        more = files(layout, layout.folder(root, part))
        if not images.keys().isdisjoint(more):
            raise layout.error(f"{len(images.keys() & more.keys())} images are in both parts.")
        images |= more
    masks = files(layout, layout.folder(root, "HAM10000_segmentations_lesion_tschandl"), "_segmentation")
    items = paired(layout, dict(sorted(images.items())), masks)
    strangers = [number for number, item in enumerate(items) if item["id"] not in lesions]
    if strangers:
        raise layout.error(f"{len(strangers)} images are not in the metadata, the first is number {strangers[0]}.")
    return [{**item, **lesions[item["id"]]} for item in items]


def _ham10000_metadata(layout: Layout, root: Path) -> dict[str, Item]:
    """Lesion and diagnosis by image: the file has a comma or a tab between columns, by where it was downloaded."""
    tables = [root / f"HAM10000_metadata{suffix}" for suffix in ("", ".csv", ".tab")]
    path = next((path for path in tables if path.is_file()), None)
    if path is None:
        raise layout.error("the file 'HAM10000_metadata' is missing.")
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    rows = csv.DictReader(lines, delimiter="\t" if lines and "\t" in lines[0] else ",")
    if not {"lesion_id", "image_id", "dx"} <= set(rows.fieldnames or ()):
        raise layout.error("HAM10000_metadata has no columns lesion_id, image_id and dx.")
    return {row["image_id"]: {"patient": row["lesion_id"], "diagnosis": row["dx"]} for row in rows}


def _isic(layout: Layout, root: Path, split: str | None) -> list[Item]:
    if (root / "images").is_dir():
        if split is not None:
            raise layout.error(f"a folder with images/ and masks/ has no split {split!r}.")
        masks = files(layout, layout.folder(root, "masks"), "_segmentation")
        return paired(layout, files(layout, root / "images"), masks)
    items = []
    for part, word in {"train": "Training", "val": "Validation", "test": "Test"}.items():
        inputs = f"ISIC2018_Task1-2_{word}_Input"
        if split == part or (split is None and (part == "train" or (root / inputs).is_dir())):
            images = files(layout, layout.folder(root, inputs))
            masks = files(layout, layout.folder(root, f"ISIC2018_Task1_{word}_GroundTruth"), "_segmentation")
            items += paired(layout, images, masks)
    return items


HAM10000 = Layout(
    title="HAM10000",
    page="https://doi.org/10.7910/DVN/DBW86T",
    tree="""\
    HAM10000_metadata                         (or .csv, .tab)
    HAM10000_images_part_1/                   ISIC_0024306.jpg ...
    HAM10000_images_part_2/                   ISIC_0029306.jpg ...
    HAM10000_segmentations_lesion_tschandl/   ISIC_0024306_segmentation.png ...""",
    load=_ham10000,
)

ISIC = Layout(
    title="ISIC 2018, task 1",
    page="https://challenge.isic-archive.com/data/#2018",
    tree="""\
    ISIC2018_Task1-2_Training_Input/          ISIC_0000000.jpg ...               (and Validation, Test)
    ISIC2018_Task1_Training_GroundTruth/      ISIC_0000000_segmentation.png ...
or any ISIC pictures:
    images/                                   ISIC_0000000.jpg ...
    masks/                                    ISIC_0000000.png ...""",
    load=_isic,
    splits=("train", "val", "test"),
)
