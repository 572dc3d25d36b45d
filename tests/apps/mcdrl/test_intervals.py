# SPDX-License-Identifier: Apache-2.0
"""Intervals against slow replicas, against cases whose distribution is known, and how often they hold the truth."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from monai_causal.apps.mcdrl.intervals import (
    Site,
    chi_factors,
    hierarchical,
    image_weights,
    seed_quantiles,
    standard_errors,
)

CHANCE = np.random.default_rng(3)
GROUPS = ("a", "b", "b", "b", "c", "c")
FIRST = Site(CHANCE.normal(0.1, 1, (3, 6)), GROUPS)
SECOND = Site(CHANCE.normal(0.4, 1, (3, 4)), ("p", "q", "q", "b"))  # patient b is here too
# (sum of sizes)^2 / sum of squares: 36 / 14 groups are worth their count if they are of one size
WORTH = {FIRST: 36 / 14, SECOND: 16 / 6}


def slow_errors(sites: list[Site]) -> tuple[float, float]:
    """Both standard errors, image by image and seed by seed."""
    added: dict[str, list[float]] = {}
    means = []
    for seed in range(3):
        of_sites = [sum(site.values[seed].tolist()) / len(site.groups) for site in sites]
        means.append(sum(of_sites) / len(of_sites))
        for site, mean in zip(sites, of_sites, strict=True):
            correction = math.sqrt(WORTH[site] / (WORTH[site] - 1))
            for group, value in zip(site.groups, site.values[seed].tolist(), strict=True):
                share = correction * (value - mean) / len(site.groups) / len(sites)
                added.setdefault(group, [0.0] * 3)[seed] += share
    scenes = sum(statistics.fmean(one) ** 2 for one in added.values())
    noise = sum(statistics.variance(one) for one in added.values()) / 3
    seeds = statistics.variance(means) / 3
    return math.sqrt(max(0.0, scenes - min(noise, seeds))), math.sqrt(seeds)


def slow_draws(sites: list[Site], n: int, seed: int) -> list[float]:
    """One draw after the other, with the same weights."""
    plain, spread = [0.0] * n, [0.0] * n
    for draw in range(n):
        for site in sites:
            weights = image_weights(site.groups, n, seed)[draw].tolist()
            of_images = [statistics.fmean(column) for column in site.values.T.tolist()]
            mean = statistics.fmean(of_images)
            total = sum(weight * (value - mean) for weight, value in zip(weights, of_images, strict=True))
            plain[draw] += total / sum(weights)
            spread[draw] += total / sum(weights) * float(chi_factors(site.groups, n, seed)[draw])
    value = statistics.fmean(float(site.values.mean()) for site in sites)
    of_scenes, of_seeds = slow_errors(sites)
    width = statistics.pstdev(plain)
    return [
        value + of_scenes * deviation / width + of_seeds * float(quantile)
        for deviation, quantile in zip(spread, seed_quantiles(3, n, seed), strict=True)
    ]


def test_standard_errors_against_a_slow_replica() -> None:
    loud = Site(FIRST.values.mean(axis=0) + 0.1 * FIRST.values, GROUPS)
    for site in (loud, SECOND):
        WORTH.setdefault(site, 36 / 14)
    for sites in ([FIRST], [loud], [loud, SECOND]):
        assert standard_errors(sites) == pytest.approx(slow_errors(sites))


def test_an_interval_against_a_slow_replica() -> None:
    site = Site(FIRST.values.mean(axis=0) + 0.1 * FIRST.values, GROUPS)
    WORTH[site] = 36 / 14
    found = hierarchical([site, SECOND], n=300, level=0.9, seed=5)
    drawn = slow_draws([site, SECOND], 300, 5)
    assert found.value == pytest.approx((site.values.mean() + SECOND.values.mean()) / 2)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.05, 0.95])), abs=1e-9)
    beyond = min(sum(one <= 0 for one in drawn), sum(one >= 0 for one in drawn))
    assert found.p == pytest.approx(min(1, 2 * (beyond + 1) / 301))


def test_groups_are_drawn_and_images_inside_them() -> None:
    weights = image_weights(GROUPS, 20000, 0)
    by_group = [weights[:, :1].sum(axis=1), weights[:, 1:4].sum(axis=1) / 3, weights[:, 4:].sum(axis=1) / 2]
    for one in by_group:
        assert (one.mean(), one.var()) == pytest.approx((1, 1), abs=0.05)  # of an exponential law
    assert np.corrcoef(by_group)[np.triu_indices(3, 1)] == pytest.approx(0, abs=0.03)
    # inside a group of three: shares of a flat Dirichlet law, of variance (1/3)(2/3)/4
    shares = weights[:, 1:4] / weights[:, 1:4].sum(axis=1, keepdims=True)
    assert shares.var(axis=0) == pytest.approx(1 / 18, abs=0.003)


def test_a_patient_has_one_weight_in_all_sets() -> None:
    here, there = image_weights(("a", "b", "b", "c"), 50, 1), image_weights(("z", "b", "a", "b"), 50, 1)
    assert np.array_equal(here[:, 0], there[:, 2])
    assert np.array_equal(here[:, 1:3], there[:, [1, 3]])
    assert not np.allclose(here[:, 3], there[:, 0])


def test_sets_that_share_patients_are_less_evidence_than_sets_that_do_not() -> None:
    # Twenty patients, fifteen of them in each set, ten in both: by hand, each adds to the mean over both what it adds
    # to either.
    of_patient = CHANCE.normal(0, 1, 20)
    sets = (range(15), range(5, 20))
    together = [Site(of_patient[None, list(one)], tuple(f"p{number}" for number in one)) for one in sets]
    apart = [Site(site.values, tuple(f"{place}{one}" for one in site.groups)) for place, site in enumerate(together)]
    influence = np.zeros(20)
    for one, site in zip(sets, together, strict=True):
        influence[list(one)] += (site.values[0] - site.values.mean()) / 30
    error = math.sqrt(15 / 14 * (influence**2).sum())
    assert standard_errors(together) == (pytest.approx(error), 0.0)
    assert standard_errors(together)[0] > 1.15 * standard_errors(apart)[0]
    # The draws know it too: in units of the standard error they have the same width, and so the intervals differ.
    widths = [found.high - found.low for found in (hierarchical(one, n=4000) for one in (together, apart))]
    assert widths[0] > 1.15 * widths[1]


def test_a_sequence_is_less_evidence_than_as_many_patients() -> None:
    values = np.repeat(CHANCE.normal(0, 1, 6), 5)[None]
    together = hierarchical([Site(values, tuple(str(number // 5) for number in range(30)))], n=2000)
    alone = hierarchical([Site(values, tuple(map(str, range(30))))], n=2000)
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_where_seeds_alone_differ_the_interval_is_students() -> None:
    # Each seed has one value on all images of all sites.
    line = np.array([[0.0], [0.3], [0.9]])
    sites = [Site(np.repeat(line, 50, axis=1), tuple(f"{site}{number}" for number in range(50))) for site in "ab"]
    found = hierarchical(sites, n=4000)
    wanted = stats.t.interval(0.95, 2, loc=0.4, scale=line.std(ddof=1) / 3**0.5)
    assert (found.low, found.high) == pytest.approx(wanted, abs=0.005)
    assert found.p == pytest.approx(stats.ttest_1samp(line[:, 0], 0).pvalue, abs=1e-3)


def test_of_a_single_seed_the_scenes_are_all_that_is_known() -> None:
    values = CHANCE.normal(0, 1, (1, 30))
    found = hierarchical([Site(values, tuple(map(str, range(30))))], n=20000)
    wanted = stats.t.interval(0.95, 29, loc=values.mean(), scale=values.std(ddof=1) / 30**0.5)
    assert (found.low, found.high) == pytest.approx(wanted, abs=0.03)


def test_images_of_a_single_group_count_themselves() -> None:
    values = CHANCE.normal(0, 1, (1, 30))
    single = hierarchical([Site(values, ("a",) * 30)], n=20000)
    alone = hierarchical([Site(values, tuple(map(str, range(30))))], n=20000)
    assert (single.low, single.high) == pytest.approx((alone.low, alone.high), abs=0.03)


def test_sites_are_taken_as_they_are() -> None:
    # Sites differ widely, images not at all: no uncertainty is left.
    sites = [Site(np.full((2, 4), value), tuple(f"{value}{place}" for place in range(4))) for value in (0.1, 0.9)]
    found = hierarchical(sites, n=100)
    assert (found.low, found.value, found.high) == pytest.approx((0.5, 0.5, 0.5))
    assert found.p == pytest.approx(2 / 101)


def test_sets_of_the_same_scenes_are_drawn_together() -> None:
    opposite = Site(-FIRST.values, FIRST.groups)
    found = hierarchical([FIRST, opposite], n=200)
    assert (found.low, found.high) == pytest.approx((0, 0), abs=1e-6)
    other = hierarchical([FIRST, Site(-FIRST.values, tuple(f"x{one}" for one in GROUPS))], n=200)
    assert other.high - other.low > 0.1


@pytest.mark.parametrize(
    ("of_seed", "of_scene", "of_both", "inside"),
    [
        pytest.param(0.0, 0.2, 0.05, 0.0, id="scenes"),
        pytest.param(0.05, 0.02, 0.02, 0.0, id="seeds"),
        pytest.param(0.03, 0.15, 0.1, 0.0, id="scenes-and-seeds"),
        pytest.param(0.02, 0.0, 0.2, 0.0, id="scenes-under-seeds"),
        pytest.param(0.01, 0.05, 0.05, 0.3, id="images-of-a-sequence"),
    ],
)
def test_how_often_an_interval_holds_the_truth(of_seed: float, of_scene: float, of_both: float, inside: float) -> None:
    """Five seeds, two sites of thirty sequences, the truth 0: of a thousand studies."""
    chance = np.random.default_rng(11)
    frames = 1 if inside == 0 else 3
    groups = [tuple(f"{site}{place // frames}" for place in range(30 * frames)) for site in "ab"]
    found = []
    for _ in range(1000):
        seeds = chance.normal(0, of_seed, (5, 1))
        sites = []
        for of_images in groups:
            scenes = chance.normal(0, of_scene, 30) + chance.normal(0, of_both, (5, 30))
            images = np.repeat(scenes, frames, axis=1) + chance.normal(0, inside, 30 * frames)
            sites.append(Site(seeds + images, of_images))
        found.append(hierarchical(sites, n=1000))
    covered = sum(one.low <= 0 <= one.high for one in found) / 1000
    assert 0.93 <= covered <= 0.985
    p = np.array([one.p for one in found])
    assert (p <= 0.05).mean() <= 0.07
    for share in (0.25, 0.5, 0.75):  # as even as an interval that errs to the wide side has them
        assert share - 0.12 < (p <= share).mean() < share + 0.05


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(ValueError, match="0 sites"):
        hierarchical([])
    with pytest.raises(ValueError, match="all with the same seeds"):
        hierarchical([FIRST, Site(np.zeros((2, 1)), ("a",))])
    with pytest.raises(ValueError, match=r"\(3, 6\) and 1 groups"):
        hierarchical([Site(FIRST.values, ("a",))])
