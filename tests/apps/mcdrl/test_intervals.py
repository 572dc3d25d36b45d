# SPDX-License-Identifier: Apache-2.0
"""Intervals against slow replicas, and against cases whose distribution is known."""

from __future__ import annotations

import numpy as np
import pytest

from monai_causal.apps.mcdrl.intervals import Site, hierarchical, image_weights, seed_weights

CHANCE = np.random.default_rng(3)
GROUPS = ("a", "b", "b", "b", "c", "c")
FIRST = Site(CHANCE.normal(0.1, 1, (3, 6)), GROUPS)
SECOND = Site(CHANCE.normal(0.4, 1, (3, 4)), ("p", "q", "q", "r"))


def slowly(sites: list[Site], n: int, seed: int) -> list[float]:
    """One draw after the other, image by image and seed by seed, with the same draws."""
    over_seeds = seed_weights(3, n, seed)
    drawn = []
    for draw in range(n):
        means = []
        for site in sites:
            weights = image_weights(site.groups, n, seed)[draw]
            total = count = 0.0
            for number, line in enumerate(site.values):
                for value, weight in zip(line, weights, strict=True):
                    total += over_seeds[draw, number] * weight * value
                    count += over_seeds[draw, number] * weight
            means.append(total / count)
        drawn.append(sum(means) / len(means))
    return drawn


def test_an_interval_against_a_slow_replica() -> None:
    found = hierarchical([FIRST, SECOND], n=300, level=0.9, seed=5)
    drawn = slowly([FIRST, SECOND], 300, 5)
    assert found.value == pytest.approx((FIRST.values.mean() + SECOND.values.mean()) / 2)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.05, 0.95])), abs=1e-6)
    beyond = min(sum(one <= 0 for one in drawn), sum(one >= 0 for one in drawn))
    assert found.p == pytest.approx(min(1, 2 * (beyond + 1) / 301))


def test_groups_are_drawn_whole_and_images_inside_them() -> None:
    weights = image_weights(GROUPS, 2000, 0)
    # as many groups as there are, each with all of its places filled
    sizes = weights @ np.array([1, 1 / 3, 1 / 3, 1 / 3, 1 / 2, 1 / 2])
    assert np.allclose(sizes, 3)
    by_group = [weights[:, :1], weights[:, 1:4], weights[:, 4:]]
    for part, size in zip(by_group, (1, 3, 2), strict=True):
        times = part.sum(axis=1) / size
        assert np.array_equal(times, np.round(times))
        assert abs(times.mean() - 1) < 0.06  # 2000 draws of variance 2/3: three standard errors
        assert abs(times.var() - 2 / 3) < 0.1
    assert {tuple(one) for one in weights[weights[:, 1:4].sum(axis=1) == 3][:, 1:4].tolist()} >= {(1, 1, 1), (3, 0, 0)}


def test_a_sequence_is_less_evidence_than_as_many_patients() -> None:
    values = np.repeat(CHANCE.normal(0, 1, 6), 5)[None]
    together = hierarchical([Site(values, tuple(str(number // 5) for number in range(30)))], n=2000)
    alone = hierarchical([Site(values, tuple(map(str, range(30))))], n=2000)
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_seeds_are_crossed_with_images() -> None:
    # Each seed has one value on all images of all sites: the interval is that of the seeds alone.
    line = np.array([[0.0], [0.3], [0.9]])
    sites = [Site(np.repeat(line, 50, axis=1), tuple(f"{site}{number}" for number in range(50))) for site in "ab"]
    found = hierarchical(sites, n=4000)
    drawn = seed_weights(3, 4000, 0) @ line[:, 0] / 3
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=1e-6)
    assert found.low == 0


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


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(ValueError, match="0 sites"):
        hierarchical([])
    with pytest.raises(ValueError, match="all with the same seeds"):
        hierarchical([FIRST, Site(np.zeros((2, 1)), ("a",))])
    with pytest.raises(ValueError, match=r"\(3, 6\) and 1 groups"):
        hierarchical([Site(FIRST.values, ("a",))])
