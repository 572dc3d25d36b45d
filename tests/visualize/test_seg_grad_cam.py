# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_causal.visualize import SegGradCAM
from tests.golden import LinearSegmenter
from tests.visualize.networks import (
    SIZES,
    TwoHalves,
    image_of,
    left_alone,
    looked_into,
    mask_of,
    slow_min_max,
)
from tests.visualize.test_gpa import replica

ROI = {2: ((2, 6), (3, 9)), 3: ((1, 3), (2, 6), (1, 5))}


def inside(dims: int) -> torch.Tensor:
    mask = torch.zeros(SIZES[dims], dtype=torch.bool)
    mask[tuple(slice(*axis) for axis in ROI[dims])] = True
    return mask


@pytest.mark.parametrize("dims", [2, 3])
def test_the_roi_is_the_mask(dims: int) -> None:
    network = TwoHalves(dims)
    image = MetaTensor(image_of(dims), affine=torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64)))
    cam = SegGradCAM(network, class_idx=1)
    with left_alone(network, image), torch.no_grad():
        heat = cam(image, roi=ROI[dims])
    assert cam.gpa.gradients.layer == "front"
    assert isinstance(heat, MetaTensor)
    assert torch.equal(heat.affine, image.affine)
    expected = replica(network, image_of(dims), inside(dims), 1)
    np.testing.assert_allclose(heat[0, 0].numpy(), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(cam(image, roi=inside(dims)), heat)


@pytest.mark.parametrize("kind", ["classes", "bool", "probability"])
def test_a_label_narrows_the_roi_to_the_object(kind: str) -> None:
    network, image, object_ = TwoHalves(2), image_of(2), mask_of(2)
    other = ~object_ & mask_of(2, seed=5)
    label = {"classes": object_ + 2 * other, "bool": object_, "probability": object_ * 1.0}[kind]
    heat = SegGradCAM(network, "front", 1)(image, ROI[2], label[None, None])
    expected = replica(network, image, inside(2) & object_, 1)
    np.testing.assert_allclose(heat[0, 0].numpy(), expected, rtol=0, atol=1e-6)


def test_one_channel_needs_no_class() -> None:
    model, image = LinearSegmenter(2, in_channels=2), image_of(2, channels=2)
    weights = model.gradient(inside(2)).reshape(2, -1).mean(1)
    expected = slow_min_max(np.maximum(np.tensordot(weights, image[0].numpy(), 1), 0))
    heat = SegGradCAM(looked_into(model), "features")(image, ROI[2])
    np.testing.assert_allclose(heat[0, 0].numpy(), expected, rtol=0, atol=1e-12)


def test_errors() -> None:
    with pytest.raises(ValueError, match="2 channels: say which with class_idx"):
        SegGradCAM(TwoHalves(2), "front")(image_of(2), ROI[2])
    with pytest.raises(ValueError, match="the mask of item 0 is empty"):
        SegGradCAM(TwoHalves(2), "front", 1)(image_of(2), ROI[2], torch.zeros(SIZES[2]))
    with pytest.raises(ValueError, match=r"leaves the image: \[0, 9\) on axis 0 of 8"):
        SegGradCAM(TwoHalves(2), "front", 1)(image_of(2), ((0, 9), (0, 4)))
