# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor

from monai_causal.visualize import EGA
from monai_causal.visualize.ega import pooled
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


def windowed(slope: Array, window: int, mode: str) -> Array:
    """Each voxel gets the largest, or the mean, of its window."""
    result = np.empty_like(slope)
    for corner in itertools.product(*(range(0, length, window) for length in slope.shape)):
        place = tuple(slice(start, start + window) for start in corner)
        result[place] = max(slope[place].flat) if mode == "max" else sum(slope[place].flat) / slope[place].size
    return result


def replica(
    network: TwoHalves, image: Tensor, mask: Tensor, class_idx: int, window: int = 1, mode: str = "max"
) -> Array:
    """Seg-XRes-CAM from its equations, one channel after the other."""
    with torch.no_grad():
        activation = network.front(network.stem(image.clone()))
    gradient = slow_gradient(network.after, activation, mask, class_idx)
    total = np.zeros(activation.shape[2:])
    for channel, slope in zip(activation[0].numpy(), gradient[0], strict=True):
        total += windowed(slope, window, mode) * channel
    return slow_min_max(enlarged(np.maximum(total, 0), tuple(image.shape[2:])))


@pytest.mark.parametrize("dims", [2, 3])
def test_closed_form_on_a_linear_segmenter(dims: int) -> None:
    model = LinearSegmenter(dims, spatial_dims=dims, in_channels=2, out_channels=2)
    image, mask = image_of(dims, channels=2), mask_of(dims)
    expected = slow_min_max(np.maximum((model.gradient(mask, 1) * image[0].numpy()).sum(0), 0))
    heat = EGA(looked_into(model), "features")(image, class_idx=1, mask=mask)
    np.testing.assert_allclose(heat[0, 0].numpy(), expected, rtol=0, atol=1e-12)
    assert 0.1 < (expected == 0).mean() < 0.9  # the rectifier has work


@pytest.mark.parametrize("dims", [2, 3])
def test_a_class_and_a_mask_for_each_item(dims: int) -> None:
    network, image, masks = TwoHalves(dims), image_of(dims, 2), mask_of(dims, batch=2)
    ega = EGA(network, "front")
    with left_alone(network, image), torch.no_grad():
        heat = ega(image, class_idx=[1, 0], mask=masks)
    assert heat.shape == (2, 1, *SIZES[dims])
    for item, class_idx in enumerate((1, 0)):
        alone = image[item : item + 1]
        expected = replica(network, alone, masks[item, 0], class_idx)
        np.testing.assert_allclose(heat[item, 0].numpy(), expected, rtol=0, atol=1e-6)
        torch.testing.assert_close(heat[item], ega(alone, class_idx, masks[item])[0], rtol=0, atol=1e-12)
        assert expected.std() > 0.05


@pytest.mark.parametrize("mode", ["max", "mean"])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_pooling_window(dims: int, mode: str) -> None:
    network, image, mask = TwoHalves(dims), image_of(dims), mask_of(dims)
    heat = EGA(network, "front", pool=2, pool_mode=mode)(image, 1, mask)
    expected = replica(network, image, mask, 1, 2, mode)
    np.testing.assert_allclose(heat[0, 0].numpy(), expected, rtol=0, atol=1e-6)
    assert np.abs(expected - replica(network, image, mask, 1)).max() > 0.05


@pytest.mark.parametrize("mode", ["max", "mean"])
def test_windows_are_cut_off_at_the_far_border(mode: str) -> None:
    gradient = torch.randn(1, 2, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for channel, found in zip(gradient[0], pooled(gradient, 3, mode)[0], strict=True):
        np.testing.assert_allclose(found.numpy(), windowed(channel.numpy(), 3, mode), rtol=0, atol=1e-15)


def test_several_classes_of_one_forward() -> None:
    network, image, mask = TwoHalves(2), image_of(2), mask_of(2)
    runs: list[int] = []
    network.front.register_forward_hook(lambda module, inputs, output: runs.append(1))
    heat = EGA(network, "front").for_classes(image, (1, 0), mask)
    assert len(runs) == 1
    for place, class_idx in enumerate((1, 0)):
        np.testing.assert_allclose(heat[0, place].numpy(), replica(network, image, mask, class_idx), rtol=0, atol=1e-6)


def test_the_affine_stays_and_dict_outputs_are_understood() -> None:
    image = MetaTensor(image_of(2), affine=torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0], dtype=torch.float64)))
    heat = EGA(Dictionary(TwoHalves(2)), "network.front")(image, mask=mask_of(2))
    assert isinstance(heat, MetaTensor)
    assert torch.equal(heat.affine, image.affine)
    np.testing.assert_allclose(heat[0, 0].numpy(), replica(TwoHalves(2), image_of(2), mask_of(2), 1), atol=1e-6)


def test_errors() -> None:
    with pytest.raises(ValueError, match="pool_mode='median'"):
        EGA(TwoHalves(2), pool=2, pool_mode="median")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"pool=\[2, 2, 2\]: give one whole number"):
        EGA(TwoHalves(2), "front", pool=[2, 2, 2])(image_of(2), 1, mask_of(2))
