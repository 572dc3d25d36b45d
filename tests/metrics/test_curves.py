# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from monai_causal.metrics import Curve, PerturbationCurves
from tests.golden import LinearSegmenter
from tests.intervene.replicas import Counting
from tests.metrics.replicas import filled, inside, masked_mean, pointwise, ranked, small_network


def drawn(seed: int, channels: int, *size: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(1, channels, *size, generator=generator, dtype=torch.float64)
    heat = torch.randint(0, 9, (1, 1, *size), generator=generator).double()
    return image, heat, torch.rand(size, generator=generator) < 0.4


def trapezoid(x: list[float], y: list[float]) -> float:
    return sum((x[k + 1] - x[k]) * (y[k] + y[k + 1]) / 2 for k in range(len(x) - 1))


@pytest.mark.parametrize(("size", "channels", "classes"), [((7, 6), 2, 3), ((3, 4, 5), 1, 1)])
@pytest.mark.parametrize("within", ["image", "mask"])
@pytest.mark.parametrize("full", [False, True])
def test_curves_are_the_slow_ones(size, channels: int, classes: int, within, full: bool) -> None:
    """Steps that do not divide the number of voxels; ties; both rankings; a mask that is everything."""
    steps = 5
    network = small_network(1, len(size), channels, classes)
    image, heat, mask = drawn(2, channels, *size)
    mask |= full
    class_idx = classes - 1
    found = PerturbationCurves(network, steps, within=within)(image, heat, class_idx, mask=mask)

    x, values = image[0].numpy(), heat[0, 0].numpy()
    everything = inside(np.ones(size, dtype=bool))
    order = ranked(values, inside(mask.numpy()) if within == "mask" else everything)
    counts = [int(np.floor(k * len(order) / steps)) for k in range(steps + 1)]

    def score(voxels) -> float:
        return masked_mean(network, filled(x, voxels), class_idx, mask.numpy(), "auto")

    deletion = [score(order[:n]) for n in counts]
    insertion = [score(set(everything) - set(order[:n])) for n in counts]
    fractions = [n / len(order) for n in counts]
    for curve, scores, whole in ((found.deletion, deletion, 0), (found.insertion, insertion, -1)):
        assert curve.fractions.tolist() == pytest.approx(fractions, rel=1e-14)
        assert curve.scores.tolist() == pytest.approx(scores, rel=1e-10)
        assert curve.area == pytest.approx(trapezoid(fractions, scores), rel=1e-10)
        low = scores[-1 - whole]
        scaled = [(value - low) / (scores[whole] - low) for value in scores]
        assert curve.normalised_area == pytest.approx(trapezoid(fractions, scaled), rel=1e-8)
    assert len({round(value, 9) for value in deletion}) == steps + 1


def test_by_hand() -> None:
    """The answer is the image 0 .2 .4 1, its mean .4; the mask is the last two. Highest first: 1, .4, .2, 0."""
    image = torch.tensor([[0.0, 0.2, 0.4, 1.0]], dtype=torch.float64)[None, None]
    mask = torch.tensor([[0, 0, 1, 1]])
    found = PerturbationCurves(pointwise(1.0), 4, activation=None)(image, image, mask=mask)
    assert found.deletion.scores.tolist() == pytest.approx([0.7, 0.4, 0.4, 0.4, 0.4])
    assert found.insertion.scores.tolist() == pytest.approx([0.4, 0.7, 0.7, 0.7, 0.7])
    assert found.deletion.area == pytest.approx((0.35 + 0.4 * 3 + 0.2) / 4)
    assert found.deletion.normalised_area == pytest.approx(0.125)
    assert found.insertion.normalised_area == pytest.approx(0.875)
    # Ties: of a constant map the first voxel goes first, so the bright one goes last.
    tied = PerturbationCurves(pointwise(1.0), 4, activation=None)(image, torch.ones(1, 1, 1, 4), mask=mask)
    assert tied.deletion.scores.tolist() == pytest.approx([0.7, 0.7, 0.7, 0.7, 0.4])


@pytest.mark.parametrize("size", [(6, 5), (3, 4, 5)])
@pytest.mark.parametrize("within", ["image", "mask"])
def test_floor_and_ceiling_on_the_golden_segmenter(size: tuple[int, ...], within) -> None:
    """A linear network's curve is a running sum of what the voxels contribute. The best order is by contribution, the
    worst its reverse, the two normalised areas mirror each other at 1/2, and the mean over all rotations of any ranking
    is a straight line."""
    model = LinearSegmenter(4, spatial_dims=len(size))
    image, _, mask = drawn(7, 1, *size)
    mask.view(-1)[mask.flatten().nonzero().flatten()[: int(mask.sum()) % 4]] = False
    pool = int(mask.sum()) if within == "mask" else mask.numel()
    metric = PerturbationCurves(model, pool, within=within, activation=None)

    def curves(heat: Tensor):
        return metric(image, heat.reshape(1, 1, *size), 0, mask=mask)

    contribution = torch.as_tensor(((image[0].numpy() - float(image.mean())) * model.gradient(mask))[0])
    ranked_pool = mask if within == "mask" else torch.ones_like(mask)
    gains = contribution[ranked_pool].sort(descending=True).values
    oracle, worst = curves(contribution), curves(-contribution)
    score = float(model.score(image, mask))
    expected = [score - float(gains[:n].sum()) for n in range(pool + 1)]
    assert oracle.deletion.scores.tolist() == pytest.approx(expected, abs=1e-12)
    assert oracle.deletion.normalised_area + worst.deletion.normalised_area == pytest.approx(1, abs=1e-9)
    assert oracle.insertion.normalised_area + worst.insertion.normalised_area == pytest.approx(1, abs=1e-9)
    generator = torch.Generator().manual_seed(0)
    areas = []
    order = torch.randperm(pool, generator=generator)
    for shift in range(pool):
        heat = torch.zeros(size)
        heat[ranked_pool] = order.roll(shift).float()[order.argsort()]
        found = curves(heat)
        assert oracle.deletion.area <= found.deletion.area <= worst.deletion.area
        assert oracle.insertion.area >= found.insertion.area >= worst.insertion.area
        areas.append((found.deletion.normalised_area, found.insertion.normalised_area))
    assert np.mean(areas, axis=0).tolist() == pytest.approx([0.5, 0.5], abs=1e-9)


def test_a_flat_curve_has_an_area_and_no_normalised_one() -> None:
    image, heat, mask = drawn(0, 1, 4, 4)
    found = PerturbationCurves(pointwise(0.0), 4)(image, heat, mask=mask)
    assert found.deletion.area == 0.5
    assert np.isnan(found.deletion.normalised_area)
    assert np.isnan(found.insertion.normalised_area)


def test_a_batch_is_its_items() -> None:
    network = small_network(2, 2, 2, 3)
    items = [drawn(seed, 2, 6, 7) for seed in range(3)]
    image, heat = (torch.cat([item[part] for item in items]) for part in (0, 1))
    masks = torch.stack([item[2] for item in items])[:, None]
    for within in ("image", "mask"):
        metric = PerturbationCurves(network, 6, within=within)
        together = metric(image, heat, [0, 2, 1], mask=masks)
        for number, (one_image, one_heat, mask) in enumerate(items):
            alone = metric(one_image, one_heat, [0, 2, 1][number], mask=mask)
            for batch, one in zip(together, alone, strict=True):
                assert torch.equal(batch.scores[number], one.scores)
                assert torch.equal(batch.fractions[number], one.fractions)
                assert float(batch.area[number]) == one.area
                assert float(batch.normalised_area[number]) == one.normalised_area


def test_all_steps_are_one_batched_set() -> None:
    network = Counting(small_network(0, 2, 1, 2))
    image, heat, mask = drawn(0, 1, 8, 8)
    PerturbationCurves(network, 10, batch_size=32, execution="dense")(image, heat, mask=mask)
    assert sorted(network.batches) == [1, 20]


def test_a_curve_weighs_uneven_steps_by_their_width() -> None:
    curve = Curve(torch.tensor([0.0, 0.25, 1.0]), torch.tensor([1.0, 0.5, 0.0]), 0)
    assert curve.area == pytest.approx(0.25 * 0.75 + 0.75 * 0.25)


def test_bad_options_are_refused() -> None:
    image, heat, mask = drawn(0, 1, 4, 4)
    with pytest.raises(ValueError, match="steps=0: a curve has at least one"):
        PerturbationCurves(pointwise(1.0), 0)
    with pytest.raises(ValueError, match="within='roi': choose"):
        PerturbationCurves(pointwise(1.0), within="roi")
    counted = Counting(pointwise(1.0))
    with pytest.raises(ValueError, match="steps=17: item 0 has 16 voxels to rank; a step takes at least one"):
        PerturbationCurves(counted, 17)(image, heat, mask=mask)
    assert counted.batches == []
