# SPDX-License-Identifier: Apache-2.0
"""Images and targets, as section 4.1 says: most frequent foreground class, 255 ignored, 224x224, ImageNet's scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import normalize

from monai_causal.apps.segbench.config import DataConfig
from monai_causal.apps.segbench.samples import (
    Chosen,
    choose,
    prepared,
    read_sample,
    sample_name,
    training_pair,
    units_of,
)


def voc(root: Path, labels: dict[str, np.ndarray]) -> DataConfig:
    """A data set in the layout of Pascal VOC 2012."""
    base = root / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (base / folder).mkdir(parents=True)
    for name, label in labels.items():
        Image.new("RGB", label.shape[::-1], (255, 0, 128)).save(base / "JPEGImages" / f"{name}.jpg", quality=100)
        picture = Image.fromarray(label, mode="P")
        picture.putpalette([value // 3 for value in range(768)])
        picture.save(base / "SegmentationClass" / f"{name}.png")
    (base / "ImageSets" / "Segmentation" / "val.txt").write_text("\n".join(labels))
    return DataConfig("voc", "voc2012", str(root), "val", size=224, normalise="imagenet", classes=20)


def test_the_target_is_the_most_frequent_class_and_255_is_none(tmp_path: Path) -> None:
    label = np.zeros((30, 40), dtype=np.uint8)
    label[:10] = 255  # the most frequent value but background
    label[10:13] = 15
    label[20:22] = 7
    data = voc(tmp_path, {"2007_000001": label})
    (item,) = choose(data, [0])[0].explained
    sample = read_sample(data, item)
    assert sample.class_idx == 15
    assert sample.image.shape == (1, 3, 224, 224)
    # Rows 10 to 13 of 30 are rows 74.7 to 97.1 of 224, by their centres 75 to 96
    rows = sample.mask.any(1).nonzero().flatten().tolist()
    assert (rows[0], rows[-1], bool(sample.mask[rows].all())) == (75, 96, True)


def test_the_scale_is_torchvisions() -> None:
    picture = torch.rand(3, 5, 6)
    data = DataConfig("voc", normalise="imagenet")
    wanted = normalize(picture, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert torch.allclose(prepared(picture, data), wanted, atol=1e-6)
    grey = prepared(picture[:1], data)
    assert torch.allclose(grey, normalize(picture[:1].expand(3, -1, -1), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))


def test_an_image_without_foreground_is_said(tmp_path: Path) -> None:
    data = voc(tmp_path, {"2007_000001": np.full((8, 8), 255, np.uint8)})
    with pytest.raises(ValueError, match="no foreground"):
        read_sample(data, choose(data, [0])[0].explained[0])


def test_a_missing_data_set_gives_its_page_and_tree(tmp_path: Path) -> None:
    data = DataConfig("sbd", root=str(tmp_path / "absent"))
    with pytest.raises(
        ValueError, match=r"(?s)published at http://home\.bharathh\.info.*benchmark_RELEASE/dataset/img/"
    ):
        choose(data, [0])


def test_a_seed_draws_the_images_and_nobody_is_on_both_sides() -> None:
    data = DataConfig("phantom", count=5, train=6, size=24, options={"count": 20})
    chosen = choose(data, [0, 1])
    names = {seed: [sample_name(item) for item in part.explained] for seed, part in chosen.items()}
    assert names[0] != names[1]
    for part in chosen.values():
        assert (len(part.explained), len(part.training)) == (5, 6)
        assert not {item["id"] for item in part.explained} & {item["id"] for item in part.training}
    assert [sample_name(item) for item in choose(data, [1])[1].explained] == names[1]
    with pytest.raises(ValueError, match="5 images to explain and 16 to train on are asked for, but 20 are there"):
        choose(DataConfig("phantom", count=5, train=16, size=24, options={"count": 20}), [0])


def test_units_name_no_patient() -> None:
    items = tuple({"index": index, "patient": patient} for index, patient in enumerate(["Anna", "Anna", None]))
    units = units_of(DataConfig("x"), {0: Chosen(items, ())})
    assert units == {
        "image-00000": "patient-of-image-00000",
        "image-00001": "patient-of-image-00000",
        "image-00002": "image-00002",
    }


def test_training_treats_what_is_ignored_as_background(tmp_path: Path) -> None:
    label = np.array([[0, 255], [7, 3]], dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    data = voc(tmp_path, {"2007_000001": label})
    item = choose(data, [0])[0].explained[0]
    _, several = training_pair(data, item)
    assert several.unique().tolist() == [0, 3, 7]
    _, binary = training_pair(DataConfig("voc", "voc2012", str(tmp_path), "val"), item)
    assert binary.unique().tolist() == [0, 1]
    assert binary.float().mean() == 0.5
