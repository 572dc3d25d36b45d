# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn

from monai_causal.intervene import ConstantFill, MeanFill, Regions, grid_regions, label_regions
from monai_causal.visualize import RIA
from tests.golden import LinearSegmenter
from tests.intervene.replicas import region_mask
from tests.visualize.networks import (
    SIZES,
    Array,
    Dictionary,
    TwoHalves,
    image_of,
    left_alone,
    mask_of,
    slow_min_max,
)

GRID = {2: (3, 5), 3: (2, 3, 2)}


def slow_score(network: nn.Module, image: Array, mask: Tensor, class_idx: int) -> float:
    """Eq. 1, voxel by voxel."""
    with torch.no_grad():
        logits = network(torch.from_numpy(image)[None])[0].numpy()
    total = 0.0
    for voxel in np.ndindex(*mask.shape):
        if mask[voxel]:
            weights = np.exp(logits[(slice(None), *voxel)])
            total += weights[class_idx] / weights.sum()
    return total / int(mask.sum())


def slow_drops(network: nn.Module, image: Array, mask: Tensor, class_idx: int, regions: Regions, fill: Array) -> Array:
    """What the score loses without each region, painted over it; ``fill`` (C,) is what stands there instead."""
    painted = np.zeros(mask.shape)
    before = slow_score(network, image, mask, class_idx)
    for region in regions:
        own, without = region_mask(region, tuple(mask.shape)), image.copy()
        for channel, value in zip(without, fill, strict=True):
            channel[own] = value
        painted[own] = before - slow_score(network, without, mask, class_idx)
    return painted


def means(image: Array) -> Array:
    return np.array([sum(channel.flat) / channel.size for channel in image])


@pytest.mark.parametrize("dims", [2, 3])
def test_closed_form_on_a_linear_segmenter(dims: int) -> None:
    """With probabilities that are the logits themselves, a cell's drop is the sum of (x - mean) * gradient."""
    model = LinearSegmenter(dims, spatial_dims=dims, in_channels=2, out_channels=2)
    image, mask = image_of(dims, channels=2), mask_of(dims)
    mean = np.zeros_like(image[0]) + means(image[0].numpy()).reshape(2, *(1,) * dims)
    drops = np.zeros(SIZES[dims])
    for cell in grid_regions(SIZES[dims], cells=GRID[dims]):
        own = region_mask(cell, SIZES[dims])
        drops[own] = -model.effect(image[0].numpy(), mean, own, mask, 1)
    raw = RIA(model, GRID[dims], signed=True, activation=None)(image, 1, mask)
    np.testing.assert_allclose(raw[0, 0].numpy(), drops, rtol=0, atol=1e-12)
    heat = RIA(model, GRID[dims], activation=None)(image, 1, mask)
    np.testing.assert_allclose(heat[0, 0].numpy(), slow_min_max(drops), rtol=0, atol=1e-12)
    assert drops.min() < -1e-2 < 1e-2 < drops.max()


@pytest.mark.parametrize("execution", ["auto", "dense", "incremental"])
@pytest.mark.parametrize("dims", [2, 3])
def test_a_class_and_a_mask_for_each_item(dims: int, execution: str) -> None:
    network, image, masks = TwoHalves(dims), image_of(dims, 2), mask_of(dims, batch=2)
    ria = RIA(network, GRID[dims], execution=execution, batch_size=4)
    with left_alone(network, image), torch.no_grad():
        heat = ria(image, class_idx=[1, 0], mask=masks)
    assert heat.shape == (2, 1, *SIZES[dims])
    for item, class_idx in enumerate((1, 0)):
        one, cells = image[item].numpy(), grid_regions(SIZES[dims], cells=GRID[dims])
        drops = slow_drops(network, one, masks[item, 0], class_idx, cells, means(one))
        np.testing.assert_allclose(heat[item, 0].numpy(), slow_min_max(drops), rtol=0, atol=1e-9)
        alone = ria(image[item : item + 1], class_idx, masks[item])
        torch.testing.assert_close(heat[item], alone[0], rtol=0, atol=1e-9)


def test_several_classes_of_one_set_of_interventions() -> None:
    network, image, mask = TwoHalves(2, classes=3), image_of(2), mask_of(2)
    forwards: list[int] = []
    network.front.register_forward_hook(lambda module, inputs, output: forwards.append(len(output)))
    both = RIA(network, GRID[2], signed=True, execution="dense").for_classes(image, (2, 0), mask)
    assert sum(forwards) == 1 + 15
    cells, one = grid_regions(SIZES[2], cells=GRID[2]), image[0].numpy()
    for place, class_idx in enumerate((2, 0)):
        drops = slow_drops(network, one, mask, class_idx, cells, means(one))
        np.testing.assert_allclose(both[0, place].numpy(), drops, rtol=0, atol=1e-12)


def test_any_fill_and_several() -> None:
    network, image, mask = TwoHalves(2), image_of(2, 2), mask_of(2)
    cells = grid_regions(SIZES[2], cells=GRID[2])
    ria = RIA(network, GRID[2], fill=[0.5, ConstantFill(-1.0), MeanFill()], signed=True)
    expected = np.stack(
        [
            [slow_drops(network, one, mask, 1, cells, fill) for fill in ([0.5], [-1.0], means(one))]  # type: ignore[arg-type]
            for one in image.numpy()
        ]
    )
    np.testing.assert_allclose(ria.per_fill(image, 1, mask).numpy(), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ria(image, 1, mask)[:, 0].numpy(), expected.mean(1), rtol=0, atol=1e-12)
    one = RIA(network, GRID[2], fill=0.5, signed=True)(image, 1, mask)
    np.testing.assert_allclose(one[:, 0].numpy(), expected[:, 0], rtol=0, atol=1e-12)


def test_other_regions_given_or_made_from_the_image() -> None:
    network, image, mask = TwoHalves(2), image_of(2, 2), mask_of(2)

    def by_sign(one: Tensor) -> Regions:
        assert one.shape == (1, *SIZES[2])
        return label_regions(1 + (one[0] > 0).long() + 2 * (one[0] > 1).long())

    heat = RIA(network, regions=by_sign)(image, 1, mask)
    for item, one in enumerate(image.numpy()):
        drops = slow_drops(network, one, mask, 1, by_sign(image[item]), means(one))
        np.testing.assert_allclose(heat[item, 0].numpy(), slow_min_max(drops), rtol=0, atol=1e-12)
    given = RIA(network, regions=by_sign(image[0]))(image[:1], 1, mask)
    torch.testing.assert_close(given, heat[:1])


def test_a_refined_grid_gives_the_coarse_drop_in_the_mean_on_a_linear_network() -> None:
    """Drops of a linear network add up, so parts that are scaled to their cell have the cell's drop in the mean."""
    model, image = LinearSegmenter(3), image_of(2)
    mask = torch.zeros(SIZES[2], dtype=torch.bool)
    mask[1:4, 2:5] = True
    options = {"signed": True, "activation": None}
    coarse = RIA(model, (2, 3), **options)(image, 1, mask)[0, 0]
    fine = RIA(model, (2, 3), refine=2, **options)(image, 1, mask)[0, 0]
    parted = 0
    for cell in grid_regions(SIZES[2], cells=(2, 3)):
        own = torch.from_numpy(region_mask(cell, SIZES[2]))
        assert float(fine[own].mean()) == pytest.approx(float(coarse[own].mean()), abs=1e-12)
        parted += bool(fine[own].std() > 1e-3)
    assert parted == 4


def test_sliding_windows_and_dict_outputs_and_the_affine() -> None:
    network, image, mask = TwoHalves(2), image_of(2), mask_of(2)
    inferer = SlidingWindowInferer((8, 6), overlap=0.5)

    class Slid(nn.Module):
        def forward(self, whole: Tensor) -> Tensor:
            return inferer(whole, network)

    one = image[0].numpy()
    drops = slow_drops(Slid(), one, mask, 1, grid_regions(SIZES[2], cells=GRID[2]), means(one))
    affine = torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0], dtype=torch.float64))
    ria = RIA(Dictionary(network), GRID[2], inferer=inferer)
    heat = ria(MetaTensor(image, affine=affine), mask=mask)
    assert isinstance(heat, MetaTensor)
    assert torch.equal(heat.affine, affine)
    np.testing.assert_allclose(heat[0, 0].numpy(), slow_min_max(drops), rtol=0, atol=1e-12)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"cells=14: an axis of 8 voxels has between 1 and 8 cells"):
        RIA(TwoHalves(2))(image_of(2), 1, mask_of(2))
    with pytest.raises(ValueError, match="refine=0"):
        RIA(TwoHalves(2), refine=0)
    with pytest.raises(ValueError, match="leave regions out"):
        RIA(TwoHalves(2), refine=2, regions=grid_regions((8, 12), 4))
