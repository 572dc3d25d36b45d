# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from monai_causal.apps.medfocus.segmenters.given import GivenMasks

IMAGE = np.zeros((32, 40), np.float32)


def test_labels_are_translated_and_empty_masks_have_no_confidence() -> None:
    mask = np.zeros((32, 40), np.uint8)
    mask[3:9, 5:7] = 1
    found = GivenMasks({"heart": mask, "Left_Lung": np.zeros((32, 40))})(IMAGE)
    assert found.confidence == {"cardiac silhouette": 1.0, "left lung": 0.0}
    np.testing.assert_array_equal(found.masks["cardiac silhouette"], mask == 1)
    assert found.steps == ("given masks",)


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ({"spleen": np.ones((4, 4))}, "'spleen' is no concept"),
        ({"heart": np.ones((4, 4)), "cardiac silhouette": np.ones((4, 4))}, "a second one of 'cardiac silhouette'"),
        ({"heart": np.full((4, 4), 2)}, "give \\(H, W\\) of 0 and 1"),
        ({"heart": np.ones((4, 4)), "left lung": np.ones((4, 5))}, "all of one shape"),
        ({}, "at least one"),
    ],
)
def test_what_cannot_be_meant_is_refused(masks: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        GivenMasks(masks)


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"masks are \(4, 4\), the image is \(32, 40\)"):
        GivenMasks({"heart": np.ones((4, 4))})(IMAGE)
