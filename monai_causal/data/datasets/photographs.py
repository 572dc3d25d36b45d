# SPDX-License-Identifier: Apache-2.0
"""Photographs of things."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_causal.data.datasets.layout import Item, Layout, listed, require_files


def _voc2012(layout: Layout, root: Path, split: str | None) -> list[Item]:
    root = next((root / way for way in ("VOCdevkit/VOC2012", "VOC2012") if (root / way).is_dir()), root)
    layout.folder(root, "ImageSets/Segmentation")
    ids = listed(layout, root, f"ImageSets/Segmentation/{split or 'trainval'}.txt")
    return _indexed(layout, ids, layout.folder(root, "JPEGImages"), layout.folder(root, "SegmentationClass"), ".png")


def _sbd(layout: Layout, root: Path, split: str | None) -> list[Item]:
    root = next((root / way for way in ("benchmark_RELEASE/dataset", "dataset") if (root / way).is_dir()), root)
    lists = (split,) if split else ("train", "val")
    ids = {one for part in lists for one in listed(layout, root, f"{part}.txt")}
    return _indexed(layout, ids, layout.folder(root, "img"), layout.folder(root, "cls"), ".mat")


def _indexed(layout: Layout, ids: Sequence[str] | set[str], images: Path, labels: Path, suffix: str) -> list[Item]:
    items = [
        {
            "image": str(images / f"{name}.jpg"),
            "label": str(labels / f"{name}{suffix}"),
            "label_type": "indices",
            "id": name,
        }
        for name in sorted(set(ids))
    ]
    require_files(layout, items)
    return items


VOC2012 = Layout(
    title="Pascal VOC 2012",
    page="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
    tree="""\
    VOCdevkit/VOC2012/JPEGImages/                  2007_000032.jpg ...
    VOCdevkit/VOC2012/SegmentationClass/           2007_000032.png ...
    VOCdevkit/VOC2012/ImageSets/Segmentation/      train.txt val.txt trainval.txt""",
    load=_voc2012,
    splits=("train", "val", "trainval"),
)

SBD = Layout(
    title="SBD, the Semantic Boundaries Dataset",
    page="http://home.bharathh.info/pubs/codes/SBD/download.html",
    tree="""\
    benchmark_RELEASE/dataset/img/                 2008_000002.jpg ...
    benchmark_RELEASE/dataset/cls/                 2008_000002.mat ...
    benchmark_RELEASE/dataset/                     train.txt val.txt (train_noval.txt: without VOC 2012's val)""",
    load=_sbd,
    splits=("train", "val", "train_noval"),
)
