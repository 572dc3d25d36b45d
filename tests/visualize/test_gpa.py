# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor

from monai_causal.visualize import GPA
from tests.golden import LinearSegmenter
from tests.visualize.networks import (
    SIZES,
    Array,
    Dictionary,
    TwoHalves,
    enlarged,
    image_of,
    left_alone,
    looked_into,
    mask_of,
    slow_gradient,
    slow_min_max,
)


def replica(network: TwoHalves, image: Tensor, mask: Tensor, class_idx: int) -> Array:
    """Seg-Grad-CAM from its equations, one channel after the other."""
    with torch.no_grad():
        activation = network.front(network.stem(image.clone()))
    gradient = slow_gradient(network.after, activation, mask, class_idx)
    total = np.zeros(activation.shape[2:])
    for channel, slope in zip(activation[0].numpy(), gradient[0], strict=True):
        total += sum(slope.flat) / slope.size * channel
    return slow_min_max(enlarged(np.maximum(total, 0), tuple(image.shape[2:])))


@pytest.mark.parametrize("dims", [2, 3])
def test_closed_form_on_a_linear_segmenter(dims: int) -> None:
    model = LinearSegmenter(dims, spatial_dims=dims, in_channels=2, out_channels=2)
    image, mask = image_of(dims, channels=2), mask_of(dims)
    weights = model.gradient(mask, 1).reshape(2, -1).mean(1)
    expected = slow_min_max(np.maximum(np.tensordot(weights, image[0].numpy(), 1), 0))
    heat = GPA(looked_into(model), "features")(image, class_idx=1, mask=mask)
    np.testing.assert_allclose(heat[0, 0].numpy(), expected, rtol=0, atol=1e-12)
    assert 0.1 < (expected == 0).mean() < 0.9  # the rectifier has work


@pytest.mark.parametrize("dims", [2, 3])
def test_a_class_and_a_mask_for_each_item(dims: int) -> None:
    network, image, masks = TwoHalves(dims), image_of(dims, 2), mask_of(dims, batch=2)
    gpa = GPA(network, "front")
    with left_alone(network, image), torch.no_grad():
        heat = gpa(image, class_idx=[1, 0], mask=masks)
    assert heat.shape == (2, 1, *SIZES[dims])
    for item, class_idx in enumerate((1, 0)):
        alone = image[item : item + 1]
        expected = replica(network, alone, masks[item, 0], class_idx)
        np.testing.assert_allclose(heat[item, 0].numpy(), expected, rtol=0, atol=1e-6)
        torch.testing.assert_close(heat[item], gpa(alone, class_idx, masks[item])[0], rtol=0, atol=1e-12)
        assert expected.std() > 0.05


def test_the_affine_stays_and_dict_outputs_are_understood() -> None:
    image = MetaTensor(image_of(2), affine=torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0], dtype=torch.float64)))
    heat = GPA(Dictionary(TwoHalves(2)), "network.front")(image, mask=mask_of(2))
    assert isinstance(heat, MetaTensor)
    assert torch.equal(heat.affine, image.affine)
    np.testing.assert_allclose(heat[0, 0].numpy(), replica(TwoHalves(2), image_of(2), mask_of(2), 1), atol=1e-6)
