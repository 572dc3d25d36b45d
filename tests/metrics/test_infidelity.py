# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from monai_causal.intervene import (
    ConstantFill,
    DonorPatchFill,
    Evaluator,
    MaskedMeanLogit,
    MaskedMeanProbability,
    MeanFill,
    Region,
    Regions,
    grid_regions,
    mask_regions,
)
from monai_causal.metrics import infidelity, square_regions
from tests.golden import LinearSegmenter
from tests.intervene.replicas import Counting, voxels
from tests.metrics.replicas import masked_mean, small_network


def drawn(seed: int, items: int, channels: int, *size: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(items, channels, *size, generator=generator, dtype=torch.float64)
    heat = 0.01 * torch.randn(items, channels, *size, generator=generator, dtype=torch.float64)
    return image, heat, torch.rand(items, 1, *size, generator=generator) < 0.4


def region_sets(size: tuple[int, ...], channels: int) -> dict[str, Regions]:
    generator = torch.Generator().manual_seed(9)
    some = Regions(
        size,
        tuple(
            Region(k, tuple((k % 2, k % 2 + 3) for _ in size), channels=(k % channels, k % channels + 1))
            for k in range(4)
        ),
    )
    return {
        "squares": square_regions(size, 6, 2, seed=1),
        "masks": mask_regions(torch.rand(5, *size, generator=generator) < 0.3),
        "channels": some,
    }


@pytest.mark.parametrize("size", [(6, 7), (4, 5, 4)])
@pytest.mark.parametrize("name", ["squares", "masks", "channels"])
@pytest.mark.parametrize("heat_is", ["sensitivity", "contribution"])
@pytest.mark.parametrize("spread", [False, True], ids=["per channel", "one channel"])
def test_agrees_with_the_definition(size: tuple[int, ...], name: str, heat_is, spread: bool) -> None:
    """E[(I . heat - (f(x) - f(x - I)))^2], voxel by voxel, for several items; then at the best scale, by
    least squares."""
    network = small_network(0, len(size), 2, 2)
    image, heat, mask = drawn(3, 2, 2, *size)
    heat = heat[:, :1] if spread else heat
    regions = region_sets(size, 2)[name]
    score = MaskedMeanProbability(mask, 1)
    asked = (Evaluator(network), image, heat, regions, ConstantFill(0.3), score)
    found = infidelity(*asked, heat_is=heat_is)
    scaled = infidelity(*asked, heat_is=heat_is, optimal_scale=True)
    for item in range(2):
        x, own, where = image[item].numpy(), heat[item, :].numpy(), mask[item, 0].numpy()
        foretold, drops = [], []
        for region in regions:
            taken, share = np.zeros_like(x), 0.0
            first, last = region.channels or (0, 2)
            for voxel in voxels(region):
                for channel in range(first, last):
                    taken[(channel, *voxel)] = x[(channel, *voxel)] - 0.3
                if spread:
                    share += own[(0, *voxel)]
                else:
                    share += sum(own[(channel, *voxel)] for channel in range(first, last))
            foretold.append(float((taken * own).sum()) if heat_is == "sensitivity" else share)
            drops.append(masked_mean(network, x, 1, where, "auto") - masked_mean(network, x - taken, 1, where, "auto"))
        assert float(found[item]) == pytest.approx(np.mean(np.subtract(foretold, drops) ** 2), rel=1e-9)
        _, (squares,), *_ = np.linalg.lstsq(np.array(foretold)[:, None], np.array(drops), rcond=None)
        assert float(scaled[item]) == pytest.approx(squares / len(drops), rel=1e-9)
        alone = infidelity(
            asked[0],
            image[item : item + 1],
            heat[item : item + 1],
            *asked[3:5],
            MaskedMeanProbability(mask[item, 0], 1),
            heat_is=heat_is,
        )
        assert isinstance(alone, float)
        assert alone == float(found[item])


@pytest.mark.parametrize("size", [(7, 6), (4, 5, 6)])
def test_ceiling_a_linear_network_s_gradient_foretells_everything(size: tuple[int, ...]) -> None:
    """Whatever the regions, the fill and its draws: infidelity 0. Three times the gradient is wrong by twice the
    effects, unless its scale is free."""
    model = LinearSegmenter(0, spatial_dims=len(size), in_channels=2)
    image, _, mask = drawn(1, 1, 2, *size)
    gradient = torch.as_tensor(model.gradient(mask[0, 0]))[None]
    score = MaskedMeanLogit(mask)
    evaluator = Evaluator(model, seed=3)
    bank = torch.rand(5, 2, *size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for regions in region_sets(size, 2).values():
        for fill, draws in ((MeanFill(), 1), (DonorPatchFill(bank), 4)):
            effects = evaluator(image, regions, fill, score, draws).values
            asked = (regions, fill, score)
            assert infidelity(evaluator, image, gradient, *asked, draws=draws) == pytest.approx(0, abs=1e-25)
            assert infidelity(evaluator, image, 3 * gradient, *asked, draws=draws) == pytest.approx(
                float(4 * effects.square().mean()), rel=1e-9
            )
            assert infidelity(evaluator, image, 3 * gradient, *asked, draws=draws, optimal_scale=True) == pytest.approx(
                0, abs=1e-25
            )
    mean = image.flatten(2).mean(2).reshape(1, 2, *(1,) * len(size))
    contribution = ((image - mean) * gradient).sum(1, keepdim=True)
    assert infidelity(
        evaluator, image, contribution, grid_regions(size, 2), MeanFill(), score, heat_is="contribution"
    ) == pytest.approx(0, abs=1e-25)


@pytest.mark.filterwarnings("error")
def test_floor_a_map_that_foretells_nothing_is_wrong_by_the_effects() -> None:
    model = LinearSegmenter(0)
    image, _, mask = drawn(1, 1, 1, 7, 6)
    regions, score = square_regions((7, 6), 9, 3), MaskedMeanLogit(mask)
    effects = Evaluator(model)(image, regions, 0.0, score).values
    for free in (False, True):
        found = infidelity(Evaluator(model), image, torch.zeros_like(image), regions, 0.0, score, optimal_scale=free)
        assert found == pytest.approx(float(effects.square().mean()), rel=1e-12)


def test_all_interventions_are_one_batched_set() -> None:
    network = Counting(LinearSegmenter(0))
    image, heat, mask = drawn(1, 1, 1, 7, 6)
    evaluator = Evaluator(network, batch_size=32, execution="dense")
    infidelity(evaluator, image, heat, square_regions((7, 6), 9, 3), 0.0, MaskedMeanLogit(mask), draws=2)
    assert sorted(network.batches) == [1, 18]


def test_squares_lie_everywhere_and_do_not_depend_on_how_many() -> None:
    many = square_regions((5, 7), 400, (2, 3), seed=4)
    assert [region.box for region in square_regions((5, 7), 10, (2, 3), seed=4)] == [r.box for r in many][:10]
    corners = {(region.box[0][0], region.box[1][0]) for region in many}
    assert corners == {(row, column) for row in range(4) for column in range(5)}
    assert {region.shape for region in many} == {(2, 3)}
    assert [r.box for r in square_regions((5, 7), 9, 2, seed=5)] != [
        r.box for r in square_regions((5, 7), 9, 2, seed=4)
    ]


def test_bad_arguments_are_refused() -> None:
    image, heat, mask = drawn(1, 1, 2, 7, 6)
    evaluator, regions = Evaluator(LinearSegmenter(0, in_channels=2)), grid_regions((7, 6), 2)
    with pytest.raises(ValueError, match="heat_is='gradient': choose"):
        infidelity(evaluator, image, heat, regions, 0.0, MaskedMeanLogit(mask), heat_is="gradient")
    with pytest.raises(ValueError, match=r"must have \(1, 2, 7, 6\) or \(1, 1, 7, 6\)"):
        infidelity(evaluator, image, heat[0, 0], regions, 0.0, MaskedMeanLogit(mask))
    with pytest.raises(ValueError, match="1 values that are NaN or infinite"):
        infidelity(evaluator, image, heat.where(heat != heat.max(), torch.inf), regions, 0.0, MaskedMeanLogit(mask))
    with pytest.raises(ValueError, match="the score gives several numbers per item"):
        infidelity(evaluator, image, heat, regions, 0.0, MaskedMeanLogit(mask, [0]))
    for size in (8, 0, (2, 7)):
        with pytest.raises(ValueError, match="a square has at least one voxel and fits"):
            square_regions((7, 6), 3, size)
