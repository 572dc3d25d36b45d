# SPDX-License-Identifier: Apache-2.0
"""Which images a study explains, which give donors, and where the RoIs are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from monai_causal.apps.pdcr_study.config import RoIConfig, as_config
from monai_causal.apps.pdcr_study.images import find_rois, read_images
from monai_causal.data.banks import image_digest
from monai_causal.data.phantoms import shapes


def study(**data: Any) -> Any:
    data = {"name": "phantom", "options": {"seed": 50, "size": [32, 32]}, "parts": {"explain": 3, "donors": 4}, **data}
    train = [{"build": "unet", "train": {"steps": 1}}]
    return as_config(
        {"data": data, "networks": train, "methods": [{"name": "pdcr"}], "donors": {"per_image": 5, "whole": 2}}
    )


def test_explained_images_give_no_donors() -> None:
    images = read_images(study())
    assert (len(images.subjects), len(images.bank), len(images.donors)) == (3, 4 * 5, 2)
    explained = {subject.digest for subject in images.subjects}
    donors = [one.digest for one in images.bank.images]
    assert len(explained) == 3
    assert not explained & set(donors)
    assert [image_digest(donor) for donor in images.donors] == donors[:2]
    known = {image_digest(shapes(seed, size=(32, 32)).image) for seed in range(50, 57)}
    assert explained | set(donors) == known


def test_names_are_numbers_and_units_are_patients() -> None:
    images = read_images(study())
    assert all(subject.name.startswith("image-0000") for subject in images.subjects)
    assert [subject.unit for subject in images.subjects] == [0, 1, 2]


def test_the_class_that_is_asked_about_is_the_label_s() -> None:
    for subject in read_images(study(classes=2)).subjects:
        seed = 50 + int(subject.name.removeprefix("image-"))
        phantom = shapes(seed, size=(32, 32))
        assert subject.class_idx == phantom.causes.resolved_class
        np.testing.assert_array_equal(subject.inside.numpy(), phantom.labels == phantom.causes.resolved_class)
    for subject in read_images(study()).subjects:
        assert subject.class_idx is None
        assert torch.equal(subject.inside, subject.label > 0)


def test_too_few_images_are_an_error_with_all_numbers() -> None:
    with pytest.raises(ValueError, match=r"data.parts ask for 7 images \(3 to explain, 4 for donors, 0 for training\)"):
        read_images(study(options={"count": 5, "size": [32, 32]}))


def test_images_are_resized() -> None:
    images = read_images(study(image_size=48))
    assert images.subjects[0].image.shape == (1, 1, 48, 48)
    assert images.donors[0].shape == (1, 48, 48)


def test_rois_of_each_rule_lie_on_the_object() -> None:
    (subject, *_) = read_images(study()).subjects
    ((name, box),) = find_rois(subject, RoIConfig("boundary", 8), 8)
    assert name == "boundary-8"
    assert all(stop - start == 8 and start % 8 == 0 for start, stop in box)
    ((name, mask),) = find_rois(subject, RoIConfig("component"), 8)
    assert name == "component"
    assert isinstance(mask, torch.Tensor)
    assert bool((mask <= subject.inside).all())
    tiles = find_rois(subject, RoIConfig("tiles", 8, every=2), 8)
    everything = find_rois(subject, RoIConfig("tiles", 8), 8)
    assert list(tiles) == list(everything)[::2]
    assert len({name for name, _ in everything}) == len(everything)
    assert find_rois(subject, RoIConfig("tiles", 8, limit=1), 8) == everything[:1]
