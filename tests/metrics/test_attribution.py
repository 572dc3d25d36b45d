# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from monai_causal.intervene import (
    ConstantFill,
    DonorPatchFill,
    Evaluator,
    MaskedMeanProbability,
    Regions,
    RoIDice,
    box_regions,
    grid_regions,
    mask_regions,
)
from monai_causal.metrics import averaged_attribution, progressive_curve, ranked_regions
from tests.golden import PlantedContext
from tests.intervene.replicas import Counting, region_mask, voxels
from tests.metrics.replicas import small_network

# A network that reads the pixel at p - d: the effect of any region on the RoI's Dice is known without running it.
CASES = [((0, 5), (12, 14), ((3, 9), (7, 12)), 2), ((1, 0, 4), (6, 7, 9), ((1, 5), (1, 5), (5, 9)), 2)]

SCATTERED = torch.rand(20, 12, 12, generator=torch.Generator().manual_seed(1)) < 0.03


class Planted:
    """One case: the model, an image, a label, regions and the closed-form Dice effect of putting 0.9 somewhere."""

    def __init__(self, case: Any, seed: int = 0) -> None:
        offset, self.size, self.roi, patch = case
        generator = torch.Generator().manual_seed(seed)
        self.model = PlantedContext(offset)
        self.image = torch.rand(1, 1, *self.size, generator=generator, dtype=torch.float64)
        wrong = torch.rand(self.size, generator=generator) < 0.3
        self.label = torch.as_tensor(self.model.prediction(self.image[0])) ^ wrong
        seen = torch.as_tensor(self.model.reads(self.roi, self.size))
        self.heat = torch.randn(1, 1, *self.size, generator=generator, dtype=torch.float64) * (1 + 3 * seen)
        self.regions = grid_regions(self.size, patch)
        self.fill = ConstantFill(0.9)
        self.asked = {
            "image": self.image,
            "regions": self.regions,
            "fill": self.fill,
            "score": RoIDice(self.roi, self.label),
            "roi": self.roi,
        }

    def effect(self, *rows: int) -> float:
        covered = np.any([region_mask(self.regions[row], self.size) for row in rows], axis=0)
        high = np.full((1, *self.size), 0.9)
        return self.model.dice_effect(self.image[0].numpy(), high, covered, self.roi, self.label.numpy())

    def order(self) -> list[int]:
        """By the mean of |heat|, slowly; regions that touch the RoI are left out."""
        inside = {
            voxel
            for voxel in np.ndindex(*self.size)
            if all(a <= v < b for v, (a, b) in zip(voxel, self.roi, strict=True))
        }
        means = {}
        for row, region in enumerate(self.regions):
            of_it = list(voxels(region))
            if not inside & set(of_it):
                means[row] = sum(abs(float(self.heat[0, 0][voxel])) for voxel in of_it) / len(of_it)
        return sorted(means, key=lambda row: -means[row])


@pytest.fixture(params=CASES, ids=["2-D", "3-D"])
def planted(request) -> Planted:
    return Planted(request.param)


def test_regions_are_ranked_by_mean_magnitude_outside_the_roi(planted: Planted) -> None:
    order = planted.order()
    assert ranked_regions(planted.image, planted.heat, planted.regions, planted.roi) == order
    assert ranked_regions(planted.image, -planted.heat[0, 0], planted.regions, planted.roi) == order
    mask = np.zeros(planted.size)
    mask[tuple(slice(*span) for span in planted.roi)] = 1
    assert ranked_regions(planted.image, planted.heat, planted.regions, mask) == order
    per_region = torch.tensor([float(region.within(planted.heat[0, 0].abs()).mean()) for region in planted.regions])
    assert ranked_regions(planted.image, -per_region.double(), planted.regions, planted.roi) == order


def test_mean_not_sum_and_ties_to_the_lower_position() -> None:
    image = torch.zeros(1, 1, 2, 8)
    regions = box_regions((2, 8), [((0, 2), (0, 4)), ((0, 2), (4, 6)), ((0, 2), (6, 7)), ((0, 2), (7, 8))])
    heat = torch.tensor([1, 1, 1, 1, -2, 2, 1, 1]).repeat(2, 1).double()
    assert ranked_regions(image, heat, regions, ((0, 1), (7, 8))) == [1, 0, 2]
    assert ranked_regions(image, torch.ones(4), regions, ((0, 1), (7, 8))) == [0, 1, 2]


@pytest.mark.parametrize("rule", ["absolute", "signed", "joint", "normalised"])
def test_averages_are_the_closed_form(planted: Planted, rule: Any) -> None:
    order = planted.order()
    top = 10
    single = [planted.effect(row) for row in order]
    best = sorted((abs(effect) for effect in single), reverse=True)[:top]
    expected = {
        "absolute": sum(map(abs, single[:top])) / top,
        "signed": sum(single[:top]) / top,
        "joint": abs(planted.effect(*order[:top])),
        "normalised": sum(map(abs, single[:top])) / sum(best),
    }
    assert len({round(value, 6) for value in expected.values()}) == 4
    found = averaged_attribution(Evaluator(planted.model), heat=planted.heat, top=top, rule=rule, **planted.asked)
    assert found == pytest.approx(expected[rule], abs=1e-9)


@pytest.mark.parametrize("rule", ["together", "signed", "accumulated"])
def test_progressive_curves_are_the_closed_form(planted: Planted, rule: Any) -> None:
    order = planted.order()[:12]
    signed = [0.0, *(planted.effect(*order[: k + 1]) for k in range(12))]
    expected = {
        "together": [abs(effect) for effect in signed],
        "signed": signed,
        "accumulated": [sum(abs(planted.effect(row)) for row in order[:k]) for k in range(13)],
    }[rule]
    curve = progressive_curve(Evaluator(planted.model), heat=planted.heat, top=12, rule=rule, **planted.asked)
    assert curve.order == tuple(order)
    assert curve.effects.tolist() == pytest.approx(expected, abs=1e-9)
    assert curve.area == pytest.approx(sum((expected[k] + expected[k + 1]) / 2 for k in range(12)) / 12, abs=1e-9)
    assert min(signed) < 0


def test_the_last_point_of_the_curves_is_the_average(planted: Planted) -> None:
    evaluator = Evaluator(planted.model)
    asked = {"heat": planted.heat, **planted.asked}
    together = progressive_curve(evaluator, **asked).effects[-1]
    accumulated = progressive_curve(evaluator, rule="accumulated", **asked).effects[-1]
    assert float(together) == pytest.approx(averaged_attribution(evaluator, rule="joint", **asked), abs=1e-12)
    assert float(accumulated) == pytest.approx(10 * averaged_attribution(evaluator, **asked), abs=1e-9)


def test_floor_and_ceiling(planted: Planted) -> None:
    """A map of the effects themselves is the ceiling; one that names what the RoI cannot see first earns nothing."""
    effects = torch.tensor([planted.effect(row) for row in range(len(planted.regions))]).double()
    evaluator = Evaluator(planted.model)
    oracle, blind = effects, (effects == 0).double()
    best = averaged_attribution(evaluator, heat=oracle, top=5, **planted.asked)
    assert averaged_attribution(evaluator, heat=oracle, top=5, rule="normalised", **planted.asked) == 1
    assert averaged_attribution(evaluator, heat=blind, top=5, rule="normalised", **planted.asked) == 0
    assert averaged_attribution(evaluator, heat=blind, top=5, **planted.asked) == 0
    assert progressive_curve(evaluator, heat=blind, top=5, **planted.asked).area == 0
    for seed in range(10):
        random = torch.rand(len(planted.regions), generator=torch.Generator().manual_seed(seed))
        assert averaged_attribution(evaluator, heat=random, top=5, **planted.asked) <= best
    nothing = {**planted.asked, "fill": lambda original, region, generator: original}
    assert np.isnan(averaged_attribution(evaluator, heat=oracle, top=5, rule="normalised", **nothing))


def test_with_random_donors_members_keep_their_own(planted: Planted) -> None:
    """Draw by draw, the joint effect is that of writing every member's own donor; the average is over draws first."""
    bank = torch.rand(7, 1, *(2,) * len(planted.size), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    asked = {**planted.asked, "fill": DonorPatchFill(bank)}
    evaluator = Evaluator(planted.model, seed=5)
    order, draws = planted.order()[:8], 4
    alone = evaluator(planted.image, planted.regions.subset(order), asked["fill"], asked["score"], draws)
    found = averaged_attribution(evaluator, heat=planted.heat, top=8, draws=draws, **asked)
    assert found == pytest.approx(float(alone.values.mean(1).abs().mean()), abs=1e-12)
    curve = progressive_curve(evaluator, heat=planted.heat, top=8, draws=draws, rule="signed", **asked)
    write = asked["fill"].prepare(planted.image[0], planted.regions.subset(order), 5)
    for k in range(1, 9):
        effects = []
        for draw in range(draws):
            after = planted.image[0].clone()
            for row in order[:k]:
                after[planted.regions[row].index] = write(planted.regions[row], draw)
            effects.append(
                planted.model.dice(after.numpy(), planted.roi, planted.label)
                - planted.model.dice(planted.image[0].numpy(), planted.roi, planted.label)
            )
        assert float(curve.effects[k]) == pytest.approx(np.mean(effects), abs=1e-9)


def test_known_effects_are_looked_up(planted: Planted) -> None:
    network = Counting(planted.model)
    evaluator = Evaluator(network, execution="dense")
    rows = list(reversed(range(len(planted.regions))))
    known = evaluator(planted.image, planted.regions.subset(rows), planted.fill, planted.asked["score"])
    before = len(network.batches)
    for rule in ("absolute", "signed", "normalised"):
        looked_up = averaged_attribution(evaluator, heat=planted.heat, rule=rule, effects=known, **planted.asked)
        assert len(network.batches) == before
        asked = averaged_attribution(Evaluator(planted.model), heat=planted.heat, rule=rule, **planted.asked)
        assert looked_up == pytest.approx(asked, abs=1e-12)
    curve = progressive_curve(evaluator, heat=planted.heat, rule="accumulated", effects=known, **planted.asked)
    assert len(network.batches) == before
    assert float(curve.effects[-1]) == pytest.approx(
        10 * averaged_attribution(evaluator, heat=planted.heat, effects=known, **planted.asked)
    )
    few = evaluator(planted.image, planted.regions.subset(planted.order()[1:]), planted.fill, planted.asked["score"])
    with pytest.raises(ValueError, match=f"lack 1 of 10 regions, the first with id {planted.order()[0]}:"):
        averaged_attribution(evaluator, heat=planted.heat, effects=few, **planted.asked)


@pytest.mark.parametrize("regions", [grid_regions((12, 12), 2), mask_regions(SCATTERED)], ids=["grid", "scattered"])
def test_on_a_real_network_with_a_soft_score(regions: Regions) -> None:
    """Any score will do, in its own unit: here a probability."""
    network = small_network(0, 2, 1, 2)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 1, 12, 12, generator=generator, dtype=torch.float64)
    heat = torch.rand(1, 1, 12, 12, generator=generator)
    heat[..., 3:9, 3:9] += 1  # what the RoI can see
    roi = torch.zeros(12, 12)
    roi[5:7, 5:7] = 1
    score = MaskedMeanProbability(roi, 1)
    order = [
        row
        for row in torch.tensor([float(region.within(heat[0, 0]).mean()) for region in regions]).argsort(
            descending=True
        )
        if not any(roi[voxel] for voxel in voxels(regions[row]))
    ][:3]

    def probability(x: Tensor) -> float:
        with torch.no_grad():
            return float(network(x).softmax(1)[0, 1, 5:7, 5:7].mean())

    changes = []
    for row in order:
        after = image.clone()
        for voxel in voxels(regions[row]):
            after[(0, 0, *voxel)] = 0.0
        changes.append(abs(probability(after) - probability(image)))
    found = averaged_attribution(Evaluator(network), image, heat, regions, 0.0, score, roi=roi, top=3)
    assert found == pytest.approx(sum(changes) / 3, rel=1e-9)
    assert found > 0


def test_what_cannot_be_asked_is_refused(planted: Planted) -> None:
    evaluator = Evaluator(planted.model)
    asked = {"heat": planted.heat, **planted.asked}
    eligible = len(planted.order())
    with pytest.raises(ValueError, match=f"top={eligible + 1}: {eligible} of {len(planted.regions)} regions do not"):
        averaged_attribution(evaluator, top=eligible + 1, **asked)
    with pytest.raises(ValueError, match="top=0"):
        progressive_curve(evaluator, top=0, **asked)
    with pytest.raises(ValueError, match="rule='mean': choose 'absolute'"):
        averaged_attribution(evaluator, rule="mean", **asked)
    with pytest.raises(ValueError, match="rule='joint': choose 'together'"):
        progressive_curve(evaluator, rule="joint", **asked)
    with pytest.raises(ValueError, match=f"3 values for {len(planted.regions)} regions"):
        averaged_attribution(evaluator, **{**asked, "heat": torch.ones(3)})
    with pytest.raises(ValueError, match="1 values that are NaN or infinite"):
        averaged_attribution(
            evaluator, **{**asked, "heat": torch.tensor([torch.nan] + [1.0] * (len(planted.regions) - 1))}
        )
    with pytest.raises(ValueError, match="regions are ranked for one at a time"):
        averaged_attribution(evaluator, **{**asked, "image": planted.image.repeat_interleave(2, 0)})
    vector = MaskedMeanProbability(planted.roi, [0])
    with pytest.raises(ValueError, match="an attribution is one number per region"):
        averaged_attribution(evaluator, **{**asked, "score": vector})
