# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from torch import nn

from monai_causal.intervene import grid_regions
from monai_causal.visualize import DEA, EGA, RIA
from tests.golden import LinearSegmenter
from tests.intervene.replicas import region_mask
from tests.visualize.networks import (
    SIZES,
    Array,
    Dictionary,
    TwoHalves,
    image_of,
    left_alone,
    looked_into,
    mask_of,
    slow_min_max,
)

GRID = {2: (3, 5), 3: (2, 3, 2)}


def equation_2(gradient: Array, intervention: Array, alpha: float, beta: float) -> Array:
    fused = np.empty_like(gradient)
    for place in np.ndindex(*fused.shape):
        g, r = gradient[place], intervention[place]
        fused[place] = alpha * g * (1 + beta * r) + (1 - alpha) * r
    return fused


@pytest.mark.parametrize("dims", [2, 3])
def test_closed_form_on_a_linear_segmenter(dims: int) -> None:
    model = LinearSegmenter(dims, spatial_dims=dims, out_channels=2)
    image, mask = image_of(dims), mask_of(dims)
    slope, x = model.gradient(mask, 1)[0], image[0, 0].numpy()
    drops = np.zeros(SIZES[dims])
    for cell in grid_regions(SIZES[dims], cells=GRID[dims]):
        own = region_mask(cell, SIZES[dims])
        drops[own] = ((x - x.mean()) * slope)[own].sum()
    expected = equation_2(slow_min_max(np.maximum(slope * x, 0)), slow_min_max(drops), 0.65, 0.35)
    heat = DEA(looked_into(model), "features", GRID[dims], activation=None)(image, class_idx=1, mask=mask)
    np.testing.assert_allclose(heat[0, 0].numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dims", [2, 3])
def test_it_is_equation_2_of_ega_and_ria(dims: int) -> None:
    network, masks = TwoHalves(dims), mask_of(dims, batch=2)
    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))
    image = MetaTensor(image_of(dims, 2), affine=affine)
    dea = DEA(network, "front", grid=GRID[dims], alpha=0.7, beta=0.5, ega={"pool": 2}, ria={"fill": 0.5})
    with left_alone(network, image), torch.no_grad():
        heat = dea(image, [1, 0], masks)
    gradient = EGA(network, "front", pool=2)(image, [1, 0], masks)
    intervention = RIA(network, GRID[dims], fill=0.5)(image, [1, 0], masks)
    expected = equation_2(gradient.numpy(), intervention.numpy(), 0.7, 0.5)
    assert isinstance(heat, MetaTensor)
    assert torch.equal(heat.affine, affine)
    np.testing.assert_allclose(heat.numpy(), expected, rtol=0, atol=1e-12)
    assert np.abs(expected - gradient.numpy()).max() > 0.1
    for item, class_idx in enumerate((1, 0)):
        alone = dea(image[item : item + 1], class_idx, masks[item])
        torch.testing.assert_close(heat[item].as_tensor(), alone[0].as_tensor(), rtol=0, atol=1e-9)


def test_it_costs_the_interventions_and_two_forwards() -> None:
    network, image, mask = TwoHalves(2), image_of(2), mask_of(2)
    forwards: list[int] = []
    network.front.register_forward_hook(lambda module, inputs, output: forwards.append(len(output)))
    DEA(network, "front", GRID[2], execution="dense")(image, 1, mask)
    assert sum(forwards) == 15 + 2


def test_windows_several_classes_and_dict_outputs() -> None:
    network, image, mask = Dictionary(TwoHalves(2, classes=3)), image_of(2), mask_of(2)
    inferer = SlidingWindowInferer((8, 6), overlap=0.5, mode="gaussian")
    options = {"inferer": inferer}
    both = DEA(network, "network.front", GRID[2], **options).for_classes(image, (2, 0), mask)
    for place, class_idx in enumerate((2, 0)):
        gradient = EGA(network, "network.front", **options)(image, class_idx, mask)
        intervention = RIA(network, GRID[2], **options)(image, class_idx, mask)
        expected = equation_2(gradient[0, 0].numpy(), intervention[0, 0].numpy(), 0.65, 0.35)
        np.testing.assert_allclose(both[0, place].numpy(), expected, rtol=0, atol=1e-12)


def test_errors() -> None:
    for options in ({"alpha": 1.2}, {"beta": -0.1}):
        with pytest.raises(ValueError, match=r"alpha=.*, beta=.*: alpha lies between 0 and 1"):
            DEA(TwoHalves(2), **options)
    with pytest.raises(ValueError, match=r"signed=True: Eq\. 2 takes a map in \[0, 1\]"):
        DEA(TwoHalves(2), ria={"signed": True})
    with pytest.raises(TypeError, match="function has no layers"):
        DEA(lambda image: image)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no layer 'bottleneck'"):
        DEA(nn.Sequential(nn.Conv2d(1, 1, 1)), "bottleneck")
