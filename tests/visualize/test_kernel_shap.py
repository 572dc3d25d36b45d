# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_causal.intervene import MaskedMeanLogit, MaskedMeanProbability, box_regions, grid_regions, label_regions
from monai_causal.visualize import KernelShap
from tests.golden import LinearSegmenter, PlantedContext
from tests.intervene.replicas import region_mask
from tests.visualize.networks import SIZES, TwoHalves, image_of, left_alone, mask_of
from tests.visualize.test_shapley import by_orders


@pytest.mark.parametrize("dims", [2, 3])
def test_on_a_linear_model_a_regions_value_is_its_own_effect(dims: int) -> None:
    """16 and 12 regions, of 65534 and 4094 coalitions some 50."""
    cells = {2: 4, 3: (2, 3, 2)}[dims]
    model, image, mask = LinearSegmenter(dims, spatial_dims=dims), image_of(dims), mask_of(dims)
    mean = np.full((1, *SIZES[dims]), float(image.mean()))
    expected = np.zeros(SIZES[dims])
    for cell in grid_regions(SIZES[dims], cells=cells):
        own = region_mask(cell, SIZES[dims])
        expected[own] = model.effect(image[0], mean, own, mask)
    shap = KernelShap(model, grid=cells, n_samples=50, score=lambda roi, label: MaskedMeanLogit(roi))
    with left_alone(model, image):
        heat = shap(image, roi=mask)
    np.testing.assert_allclose(heat[0, 0].numpy(), expected, rtol=0, atol=1e-10)
    assert expected.min() < -1e-2 < 1e-2 < expected.max()


def test_by_enumeration_on_a_nonlinear_one() -> None:
    """Six slanting stripes, and three boxes that overlap, of a network and a score that are not linear."""
    network, image = TwoHalves(2), image_of(2)
    label = mask_of(2)
    regions = label_regions(1 + (torch.arange(8)[:, None] + 2 * torch.arange(12)[None]) // 5)
    assert len(regions) == 6
    known: dict[frozenset[int], float] = {}

    def worth(members: frozenset[int]) -> float:
        if members not in known:
            hidden = torch.from_numpy(sum((region_mask(regions[k], SIZES[2]) for k in members), np.zeros(SIZES[2])) > 0)
            with torch.no_grad():
                probability = network(torch.where(hidden, 0.25, image)).softmax(1)[0, 1]
            known[members] = float(probability[2:6, 3:9].mean())
        return known[members]

    expected = by_orders(worth, 6)
    shap = KernelShap(network, 0.25, regions=regions, score=lambda roi, reference: MaskedMeanProbability(roi, 1))
    heat = shap(image, ((2, 6), (3, 9)), label)
    for region, value in zip(regions, expected, strict=True):
        np.testing.assert_allclose(heat[0, 0][torch.from_numpy(region_mask(region, SIZES[2]))], value, atol=1e-10)
    alone = [worth(frozenset({k})) - worth(frozenset()) for k in range(6)]
    assert np.abs(np.subtract(alone, expected)).max() > 5e-3  # regions do interact
    overlapping = box_regions(SIZES[2], [((0, 5), (0, 6)), ((3, 8), (4, 12)), ((1, 4), (5, 9))])
    pairs = KernelShap(network, 0.25, regions=lambda one: overlapping, score=shap.score)
    values = pairs.values(image, overlapping, shap.score(((2, 6), (3, 9)), None))
    regions, known = overlapping, {}
    np.testing.assert_allclose(values.numpy(), by_orders(worth, 3), rtol=0, atol=1e-10)


def test_what_supports_the_roi_is_negative_in_dice_points() -> None:
    """The RoI of 3 x 3 is read at RoI - d, six voxels of it in one cell and three in the next. Without the six its Dice
    is 200 * 3 / (3 + 9) = 50, without the three 80, without both 0."""
    model, roi = PlantedContext((3, -4)), ((7, 10), (3, 6))
    image = MetaTensor(torch.ones(1, 1, 12, 12, dtype=torch.float64), affine=torch.eye(4, dtype=torch.float64) * 2)
    heat = KernelShap(model, 0.0, grid=3)(image, roi)
    expected = np.zeros((12, 12))
    expected[4:8, 8:12] = (-50 + (20 - 100)) / 2
    expected[4:8, 4:8] = (-20 + (50 - 100)) / 2
    assert model.reads(roi, (12, 12))[4:7, 7:10].all()
    assert isinstance(heat, MetaTensor)
    assert torch.equal(heat.affine, image.affine)
    np.testing.assert_allclose(heat[0, 0].numpy(), expected, rtol=0, atol=1e-8)


def test_one_region_and_the_seed() -> None:
    network, image, roi = TwoHalves(2), image_of(2), ((2, 6), (3, 9))
    score = MaskedMeanProbability(roi, 1)
    whole = KernelShap(network, 0.0).values(image, grid_regions(SIZES[2], cells=1), score)
    with torch.no_grad():
        before, after = (network(one).softmax(1)[0, 1, 2:6, 3:9].mean() for one in (image, torch.zeros_like(image)))
    torch.testing.assert_close(whole, (after - before)[None], rtol=0, atol=1e-12)
    options = {"grid": 4, "n_samples": 41, "score": lambda roi, label: MaskedMeanProbability(roi, 1)}
    first = KernelShap(network, seed=2, **options)
    again = KernelShap(network, seed=2, **options)
    again.at_once = 5
    torch.testing.assert_close(again(image, roi), first(image, roi), rtol=0, atol=1e-10)
    other = KernelShap(network, seed=3, **options)
    assert not torch.allclose(other(image, roi), first(image, roi), atol=1e-4)


def test_too_few_samples_are_an_error() -> None:
    with pytest.raises(ValueError, match="n_samples=20 for 16 regions: at least 32"):
        KernelShap(LinearSegmenter(), grid=4, n_samples=20)(image_of(2), ((2, 6), (3, 9)), mask_of(2))
