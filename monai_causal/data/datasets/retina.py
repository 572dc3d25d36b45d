# SPDX-License-Identifier: Apache-2.0
"""Vessels of the retina."""

from __future__ import annotations

from pathlib import Path

from monai_causal.data.datasets.layout import Item, Layout, files, paired

DIAGNOSES = {"A": "age-related macular degeneration", "D": "diabetic retinopathy", "G": "glaucoma", "N": "normal"}


def _fives(layout: Layout, root: Path, split: str | None) -> list[Item]:
    whole = "FIVES A Fundus Image Dataset for AI-based Vessel Segmentation"
    root = root / whole if (root / whole).is_dir() else root
    items = []
    for part in (split,) if split else layout.splits:
        images = files(layout, layout.folder(root, f"{part}/Original"))
        labels = files(layout, layout.folder(root, f"{part}/Ground truth"))
        for item in paired(layout, images, labels):
            diagnosis = DIAGNOSES.get(item["id"].rpartition("_")[2])
            # both parts number their images from 1
            items.append({**item, "id": f"{part}/{item['id']}", **({"diagnosis": diagnosis} if diagnosis else {})})
    return items


FIVES = Layout(
    title="FIVES",
    page="https://doi.org/10.6084/m9.figshare.19688169",
    tree="""\
    train/Original/       1_A.png ...
    train/Ground truth/   1_A.png ...
    test/Original/        1_A.png ...
    test/Ground truth/    1_A.png ...""",
    load=_fives,
    splits=("train", "test"),
)
