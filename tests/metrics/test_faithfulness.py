# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor

from monai_causal.intervene import BlurFill, ConstantFill, Evaluator, MaskedMeanProbability, mask_regions
from monai_causal.metrics import DeletionFaithfulness
from tests.golden import LinearSegmenter
from tests.intervene.replicas import Counting
from tests.metrics.replicas import filled, inside, masked_mean, pointwise, ranked, small_network

NAMES = ["score", "tdd", "odd", "leak_abs", "leak_signed", "insertion_gain"]
EPSILON = 1e-8


def replica(network, image, heat, class_idx, mask, k, activation="auto", value=None) -> dict[str, float]:
    """Eqs. 1 and 3-5 on one item, one forward and one voxel at a time."""

    def score(after) -> float:
        size = int(mask.sum())
        return masked_mean(network, after, class_idx, mask, activation) * size / (size + EPSILON)

    everything = inside(np.ones_like(mask))
    target = ranked(heat, inside(mask))[: max(1, round(k * int(mask.sum())))]
    outside = ranked(heat, inside(~mask))[: max(1, round(k * int((~mask).sum())))]
    before = score(image)
    scale = abs(before) + EPSILON
    tdd = (before - score(filled(image, target, value))) / scale
    odd = (before - score(filled(image, outside, value))) / scale if outside else 0.0
    inserted = filled(image, everything, value)
    empty = score(inserted)
    for voxel in target:
        inserted[(slice(None), *voxel)] = image[(slice(None), *voxel)]
    return {
        "score": before,
        "tdd": tdd,
        "odd": odd,
        "leak_abs": abs(odd) / (abs(tdd) + EPSILON),
        "leak_signed": odd / (abs(tdd) + EPSILON),
        "insertion_gain": (score(inserted) - empty) / scale,
    }


def drawn(seed: int, channels: int, *size: int) -> tuple[Tensor, Tensor, Tensor]:
    """An image, a map with ties and a mask of one item."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(1, channels, *size, generator=generator, dtype=torch.float64)
    heat = torch.randint(0, 9, (1, 1, *size), generator=generator).double()
    return image, heat, torch.rand(size, generator=generator) < 0.4


@pytest.mark.parametrize(("size", "channels", "classes"), [((7, 9), 3, 3), ((8, 6), 1, 1), ((4, 5, 6), 2, 2)])
@pytest.mark.parametrize("k", [0.2, 0.01, 1.0])
@pytest.mark.parametrize("value", [None, 0.25])
def test_agrees_with_the_equations(size: tuple[int, ...], channels: int, classes: int, k: float, value: Any) -> None:
    for seed in range(2):
        network = small_network(seed, len(size), channels, classes)
        image, heat, mask = drawn(seed, channels, *size)
        found = DeletionFaithfulness(network, k, fill=value)(image, heat, class_idx=min(1, classes), mask=mask)
        expected = replica(
            network, image[0].numpy(), heat[0, 0].numpy(), min(1, classes - 1), mask.numpy(), k, value=value
        )
        assert list(found) == NAMES
        assert all(isinstance(number, float) for number in found.values())
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert abs(found["tdd"]) > 1e-6
        assert abs(found["odd"]) > 1e-6


@pytest.mark.parametrize(("size", "channels", "classes"), [((9, 8), 2, 3), ((5, 6, 4), 1, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_on_the_golden_segmenter_it_is_the_closed_form(size, channels: int, classes: int, seed: int) -> None:
    """Score: mean logit. Every drop is a sum of (x - mean) * gradient; the network is never run for it."""
    model = LinearSegmenter(seed, spatial_dims=len(size), in_channels=channels, out_channels=classes)
    image, heat, mask = drawn(seed, channels, *size)
    x, mean = image[0].numpy(), image[0].flatten(1).mean(1).numpy().reshape(-1, *(1,) * len(size))
    class_idx = classes - 1
    found = DeletionFaithfulness(model, activation=None)(image, heat, class_idx=class_idx, mask=mask)

    share = int(mask.sum()) / (int(mask.sum()) + EPSILON)
    where = {}
    for name, region in (("target", mask.numpy()), ("outside", ~mask.numpy())):
        where[name] = np.zeros(size, dtype=bool)
        for voxel in ranked(heat[0, 0].numpy(), inside(region))[: max(1, round(0.2 * int(region.sum())))]:
            where[name][voxel] = True
    effect = {
        name: share * model.effect(x, np.broadcast_to(mean, x.shape), region, mask, class_idx)
        for name, region in {**where, "all": np.ones(size), "others": ~where["target"]}.items()
    }
    score = share * float(model.score(image, mask, class_idx))
    scale = abs(score) + EPSILON
    assert found["score"] == pytest.approx(score, rel=1e-12)
    assert found["tdd"] == pytest.approx(-effect["target"] / scale, rel=1e-10)
    assert found["odd"] == pytest.approx(-effect["outside"] / scale, rel=1e-10, abs=1e-13)
    assert found["insertion_gain"] == pytest.approx((effect["others"] - effect["all"]) / scale, rel=1e-9)
    # A linear network gains by an insertion what it loses by the deletion.
    assert found["insertion_gain"] == pytest.approx(found["tdd"], rel=1e-9)


def test_the_oracle_is_the_ceiling_and_a_random_map_earns_its_share() -> None:
    """What a voxel contributes is known. Nobody beats a ranking by it, its reverse is the worst, and all rotations of
    any ranking take every voxel equally often: their mean TDD is n / |M| of what all of the mask contributes."""
    model = LinearSegmenter(3)
    image, _, mask = drawn(5, 1, 9, 8)
    contribution = ((image[0].numpy() - float(image.mean())) * model.gradient(mask))[0]
    metric = DeletionFaithfulness(model, activation=None)

    def tdd(heat: Tensor) -> float:
        return metric(image, heat.reshape(1, 1, 9, 8), class_idx=0, mask=mask)["tdd"]

    oracle = tdd(torch.as_tensor(contribution))
    worst = tdd(-torch.as_tensor(contribution))
    voxels = inside(mask.numpy())
    n = round(0.2 * len(voxels))
    scale = abs(float(model.score(image, mask))) + EPSILON
    values = sorted((float(contribution[voxel]) for voxel in voxels), reverse=True)
    assert oracle == pytest.approx(sum(values[:n]) / scale)
    assert worst == pytest.approx(sum(values[-n:]) / scale)
    rotations = []
    generator = torch.Generator().manual_seed(1)
    order = torch.randperm(len(voxels), generator=generator)
    for shift in range(len(voxels)):
        heat = torch.zeros(9, 8)
        heat[mask] = order.roll(shift).float()[order.argsort()] + 1
        rotations.append(tdd(heat))
        assert worst <= rotations[-1] <= oracle
    assert np.mean(rotations) == pytest.approx(n / len(voxels) * sum(values) / scale)


def test_among_ties_the_lower_flat_index_goes_first() -> None:
    """The answer is the image; mean .5. Of a constant map the first two of four voxels go, and the first outside."""
    image = torch.tensor([[0.1, 0.2, 0.9], [0.7, 0.6, 0.5]], dtype=torch.float64)[None, None]
    mask = torch.tensor([[0, 1, 1], [1, 1, 0]])
    found = DeletionFaithfulness(pointwise(1.0), 0.5, activation=None)(image, torch.ones(1, 1, 2, 3), mask=mask)
    assert found["score"] == pytest.approx(0.6)
    assert found["tdd"] == pytest.approx(((0.2 - 0.5) + (0.9 - 0.5)) / 4 / 0.6)
    assert found["odd"] == 0


def test_a_full_mask_has_no_outside() -> None:
    network = small_network(0, 2, 2, 2)
    image, heat, _ = drawn(1, 2, 6, 7)
    for k in (0.2, 1.0):
        found = DeletionFaithfulness(network, k)(image, heat, mask=torch.ones(6, 7))
        expected = replica(network, image[0].numpy(), heat[0, 0].numpy(), 1, np.ones((6, 7), dtype=bool), k)
        assert found == pytest.approx(expected, rel=1e-9)
        assert (found["odd"], found["leak_abs"], found["leak_signed"]) == (0, 0, 0)
        assert found["tdd"] != 0


def test_an_empty_mask_is_refused_before_any_forward() -> None:
    network = Counting(small_network(0, 2, 1, 2))
    image, heat, mask = drawn(0, 1, 5, 5)
    masks = torch.stack([mask, torch.zeros_like(mask)])[:, None]
    with pytest.raises(ValueError, match="the mask of item 1 is empty: there is nothing to score; leave the item out"):
        DeletionFaithfulness(network)(image.repeat(2, 1, 1, 1), heat.repeat(2, 1, 1, 1), mask=masks)
    assert network.batches == []


def test_a_base_score_of_zero_divides_by_epsilon() -> None:
    """Image 0 0 1 1, mean .5: to occlude one of the dark two raises their mean from 0 to .25."""
    image = torch.tensor([[0.0, 0, 1, 1]], dtype=torch.float64)[None, None]
    mask = torch.tensor([[1, 1, 0, 0]])
    heat = torch.zeros(1, 1, 1, 4)
    found = DeletionFaithfulness(pointwise(1.0), 0.5, activation=None)(image, heat, mask=mask)
    assert found["score"] == 0
    assert found["tdd"] == pytest.approx(-0.25 / EPSILON)
    assert found["insertion_gain"] == pytest.approx((0.25 - 0.5) / EPSILON)
    assert (found["odd"], found["leak_abs"]) == (0, 0)
    assert set(DeletionFaithfulness(pointwise(0.0), activation=None)(image, heat, mask=mask).values()) == {0.0}


def test_epsilon_is_one_in_ten_to_the_eight() -> None:
    """A score of 1e-8 that an occlusion halves: .5 / (1 + 1)."""
    image = torch.tensor([[1.0, 0.0]], dtype=torch.float64)[None, None]
    found = DeletionFaithfulness(pointwise(1e-8), activation=None)(
        image, torch.zeros(1, 1, 1, 2), mask=torch.tensor([[1, 0]])
    )
    assert found["tdd"] == pytest.approx(0.25, rel=1e-7)
    assert found["score"] == pytest.approx(1e-8 / (1 + 1e-8), rel=1e-12)
    assert found["score"] != 1e-8


@pytest.mark.parametrize("size", [(6, 7), (4, 5, 3)])
def test_a_batch_is_its_items(size: tuple[int, ...]) -> None:
    network = small_network(2, len(size), 2, 3)
    items = [drawn(seed, 2, *size) for seed in range(3)]
    image, heat = (torch.cat([item[part] for item in items]) for part in (0, 1))
    masks = torch.stack([item[2] for item in items])[:, None]
    metric = DeletionFaithfulness(network)
    together = metric(image, heat, class_idx=[0, 2, 1], mask=masks)
    for number, (one_image, one_heat, mask) in enumerate(items):
        alone = metric(one_image, one_heat, class_idx=[0, 2, 1][number], mask=mask)
        assert {name: float(values[number]) for name, values in together.items()} == alone
    assert all(values.shape == (3,) and values.dtype == torch.float64 for values in together.values())
    assert len(set(together["tdd"].tolist())) == 3


def test_all_interventions_are_one_batch() -> None:
    network = Counting(small_network(0, 2, 1, 2))
    image, heat, mask = drawn(0, 1, 8, 8)
    DeletionFaithfulness(network, batch_size=8, execution="dense")(image, heat, mask=mask)
    assert sorted(network.batches) == [1, 4]


def test_other_fills_and_the_engine_s_options() -> None:
    network = small_network(0, 2, 1, 2)
    image, heat, mask = drawn(0, 1, 8, 8)
    top = torch.zeros(8, 8, dtype=torch.bool)
    for voxel in ranked(heat[0, 0].numpy(), inside(mask.numpy()))[: round(0.2 * int(mask.sum()))]:
        top[voxel] = True
    for fill in (BlurFill(2.0), ConstantFill(-1.0)):
        effects = Evaluator(network)(image, mask_regions([top]), fill, MaskedMeanProbability(mask, 1))
        found = DeletionFaithfulness(network, fill=fill, execution="incremental")(MetaTensor(image), heat, mask=mask)
        assert found["tdd"] == pytest.approx(-float(effects.ate) / effects.baseline, rel=1e-6)


@pytest.mark.parametrize("fraction", [0, -0.1, 1.2])
def test_fractions_outside_are_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match=f"top_fraction={fraction}: a fraction above 0 and at most 1"):
        DeletionFaithfulness(pointwise(1.0), fraction)
