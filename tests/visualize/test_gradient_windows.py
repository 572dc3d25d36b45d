# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from monai.data.utils import compute_importance_map
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn

from monai_causal.visualize.gradients import LayerGradient
from monai_causal.visualize.target import Target
from tests.golden import LinearSegmenter
from tests.visualize.networks import (
    SIZES,
    Array,
    TwoHalves,
    enlarged,
    image_of,
    left_alone,
    looked_into,
    mask_of,
    slow_gradient,
)

WINDOWS = {2: (4, 8), 3: (4, 4, 4)}


def product(activation: Tensor, gradient: Tensor) -> Tensor:
    return (activation * gradient).sum(1, keepdim=True)


def places(inferer: dict[str, Any], size: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Where MONAI cuts its windows."""
    found: list[tuple[slice, ...]] = []

    def note(windows: Tensor, slices: list[list[slice]]) -> Tensor:
        found.extend(tuple(one[2:]) for one in slices)
        return windows

    SlidingWindowInferer(**inferer, with_coord=True)(torch.zeros(1, 1, *size), note)
    yield from found


def blended(network: TwoHalves, image: Tensor, mask: Tensor, class_idx: int, inferer: dict[str, Any]) -> Array:
    """Each window by itself, one after the other: its map times its share of the mask, in a weighted mean."""
    window = inferer["roi_size"]
    weights = compute_importance_map(window, mode=inferer["mode"], dtype=torch.float64).numpy()
    total, count = np.zeros(image.shape[2:]), np.zeros(image.shape[2:])
    for place in places(inferer, tuple(image.shape[2:])):
        part, held = image[(slice(None), slice(None), *place)], mask[place]
        count[place] += weights
        if held.any():
            with torch.no_grad():
                activation = network.front(network.stem(part.clone()))
            gradient = slow_gradient(network.after, activation, held, class_idx)
            coarse = (activation[0].numpy() * gradient[0]).sum(0)
            total[place] += weights * enlarged(coarse, window) * float(held.sum() / mask.sum())
    return total / count


@pytest.mark.parametrize("mode", ["constant", "gaussian"])
@pytest.mark.parametrize("dims", [2, 3])
def test_windows_one_by_one(dims: int, mode: str) -> None:
    network, image, masks = TwoHalves(dims), image_of(dims, 2), mask_of(dims, batch=2)[:, 0]
    masks[0, ..., : SIZES[dims][-1] // 2] = False  # some windows hold nothing of it
    inferer = {"roi_size": WINDOWS[dims], "sw_batch_size": 3, "overlap": 0.5, "mode": mode}
    layer = LayerGradient(network, "front", SlidingWindowInferer(**inferer))
    with left_alone(network, image):
        maps = layer.maps(image, [Target((1,), masks[0]), Target((0,), masks[1])], product)
    for item, class_idx in enumerate((1, 0)):
        slow = blended(network, image[item : item + 1], masks[item], class_idx, inferer)
        np.testing.assert_allclose(maps[item, 0].numpy(), slow, rtol=0, atol=1e-7)
        assert np.ptp(slow) > 1e-2


def test_without_overlap_it_is_the_gradient_of_the_whole_answer() -> None:
    model, image, mask = LinearSegmenter(0, out_channels=2), image_of(2), mask_of(2)
    inferer = SlidingWindowInferer((4, 6), overlap=0.0)
    maps = LayerGradient(looked_into(model), "features", inferer).maps(image, [Target((1,), mask)], product)
    gradient = slow_gradient(lambda moved: inferer(moved, model), image, mask, 1)
    np.testing.assert_allclose(maps.numpy(), image.numpy() * gradient, rtol=0, atol=1e-9)
    assert np.abs(model.gradient(mask, 1) - gradient[0]).max() > 1e-3  # windows end where the image does not


@pytest.mark.parametrize("padding_mode", ["constant", "reflect"])
def test_an_image_smaller_than_a_window(padding_mode: str) -> None:
    """The mask of the padding is empty, whatever the image is padded with."""
    network, image, mask = TwoHalves(2), image_of(2), mask_of(2)
    value = {"constant": 3.0, "reflect": 0.0}[padding_mode]
    inferer = SlidingWindowInferer((12, 12), padding_mode=padding_mode, cval=value)
    maps = LayerGradient(network, "front", inferer).maps(image, [Target((1,), mask)], product)
    padded = nn.functional.pad(image, (0, 0, 2, 2), mode=padding_mode, value=value)
    inside = torch.zeros(12, 12, dtype=torch.bool)
    inside[2:10] = mask
    whole = LayerGradient(network, "front").maps(padded, [Target((1,), inside)], product)
    torch.testing.assert_close(maps, whole[:, :, 2:10], rtol=0, atol=1e-12)


def test_windows_without_the_mask_are_not_run_and_coordinates_reach_the_network() -> None:
    seen: list[list[tuple[int, int]]] = []

    class Located(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = TwoHalves(2)

        def forward(self, windows: Tensor, slices: list[list[slice]]) -> Tensor:
            assert len(windows) == len(slices)
            seen.append([(one[2].start, one[3].start) for one in slices])
            return self.inner(windows)

    mask = torch.zeros(SIZES[2], dtype=torch.bool)
    mask[5, 5] = True
    inferer = SlidingWindowInferer((4, 4), sw_batch_size=4, overlap=0.0, with_coord=True)
    layer = LayerGradient(Located(), "inner.front", inferer)
    maps = layer.maps(image_of(2), [Target((1,), mask)], product)
    assert seen == [[(4, 4)]]
    assert maps[..., 4:8, 4:8].any()
    maps[..., 4:8, 4:8] = 0
    assert not maps.any()
