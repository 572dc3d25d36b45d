# SPDX-License-Identifier: Apache-2.0
"""Each bound is a chance of one in a million: a sound generator keeps it, and the draws never change."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from monai_causal.intervene.draws import draw_generator, draw_integer

CHANCE = 1e-6

# Along each coordinate 4,000 neighbouring draws, the other coordinates held at small, usual values.
ALONG: dict[str, Callable[[int, int], int]] = {
    "seeds": lambda bound, i: draw_integer(bound, i, 3, 1),
    "regions": lambda bound, i: draw_integer(bound, 0, i, 0),
    "negative regions": lambda bound, i: draw_integer(bound, 0, -i, 0),
    "draws": lambda bound, i: draw_integer(bound, 0, 5, i),
    "streams": lambda bound, i: draw_integer(bound, 0, 5, 0, stream=i),
    "regions and draws": lambda bound, i: draw_integer(bound, 0, i // 50, i % 50),
    "regions and seeds": lambda bound, i: draw_integer(bound, i % 10, i // 10, 0),
    "far regions": lambda bound, i: draw_integer(bound, 0, i << 40, 0),
}


def scramble(state: int) -> int:
    """SplitMix64's finaliser as published (Steele, Lea, Flood 2014)."""
    state = (state + 0x9E3779B97F4A7C15) % 2**64
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) % 2**64
    return state ^ (state >> 31)


def test_the_mixing_is_splitmix64() -> None:
    """Its published first output for the seed 0, and draws built from it by hand: results must not change silently."""
    assert scramble(0) == 0xE220A8397B1DCDAF
    for bound, seed, region, draw, stream in [(7, 0, 0, 0, 0), (1000, 1, 2, 3, 4), (2**40, 9, -2, 5, 1)]:
        state = 0
        for coordinate in (seed, region, draw, stream):
            state = scramble(state ^ (coordinate % 2**64))
        assert draw_integer(bound, seed, region, draw, stream) == state * bound // 2**64


def test_the_order_of_the_draws_does_not_matter() -> None:
    places = [
        (seed, region, draw, stream)
        for seed in range(3)
        for region in range(9)
        for draw in range(7)
        for stream in (0, 1)
    ]
    first = {place: draw_integer(1000, *place) for place in places}
    shuffled = random.Random(0).sample(places, len(places))
    assert {place: draw_integer(1000, *place) for place in shuffled} == first
    assert len(set(first.values())) > 200


@pytest.mark.parametrize("bound", [2, 7, 50])
@pytest.mark.parametrize("coordinate", list(ALONG))
def test_every_number_below_the_bound_is_drawn_equally_often(coordinate: str, bound: int) -> None:
    drawn = [ALONG[coordinate](bound, i) for i in range(4000)]
    assert min(drawn) >= 0
    assert stats.chisquare(np.bincount(drawn, minlength=bound)).pvalue > CHANCE
    assert len(np.bincount(drawn)) <= bound


@pytest.mark.parametrize("step", [1, 2, 50])
@pytest.mark.parametrize("coordinate", list(ALONG))
def test_neighbours_are_independent(coordinate: str, step: int) -> None:
    """All pairs of numbers are drawn equally often by two draws that lie next to each other."""
    drawn = np.array([ALONG[coordinate](6, i) for i in range(4000 + step)])
    pairs = np.bincount(6 * drawn[step:] + drawn[:-step], minlength=36)
    assert stats.chisquare(pairs).pvalue > CHANCE


@pytest.mark.parametrize("other", [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)])
def test_coordinates_do_not_stand_in_for_each_other(other: tuple[int, ...]) -> None:
    """Draws at (s, r, d, k) agree with those one step along another coordinate as often as chance has it."""
    places = np.random.default_rng(1).integers(0, 40, size=(3000, 4))
    same = sum(draw_integer(5, *place.tolist()) == draw_integer(5, *(place + other).tolist()) for place in places)
    assert stats.binomtest(same, 3000, 1 / 5).pvalue > CHANCE
    swapped = [place for place in places if place[0] != place[1]]
    same = sum(draw_integer(5, *place.tolist()) == draw_integer(5, *place[[1, 0, 2, 3]].tolist()) for place in swapped)
    assert stats.binomtest(same, len(swapped), 1 / 5).pvalue > CHANCE


@pytest.mark.parametrize("coordinates", [(-1, -1, 0, 0), (2**70 + 3, 2**63, 1, 0), (-(2**63), 2**64 - 1, 2**31, 5)])
def test_any_whole_number_is_a_seed_or_an_id(coordinates: tuple[int, int, int, int]) -> None:
    drawn = [draw_integer(2**63, coordinates[0], coordinates[1], draw, coordinates[3]) for draw in range(100)]
    assert len(set(drawn)) == 100
    assert min(drawn) >= 0
    assert max(drawn) < 2**63
    assert draw_integer(1, *coordinates) == 0


def test_the_sign_of_an_id_counts() -> None:
    assert [draw_integer(10**6, 0, -3, d) for d in range(4)] != [draw_integer(10**6, 0, 3, d) for d in range(4)]


def test_generators_belong_to_seed_region_and_draw() -> None:
    places = [(seed, region, draw) for seed in (0, 1, -1, 2**66 + 1) for region in (0, 4, -4, 2**40) for draw in (0, 1)]
    first = {place: tuple(draw_generator(*place).random(3)) for place in places}
    for place in reversed(places):
        assert tuple(draw_generator(*place).random(3)) == first[place]
    # 2**66 + 1 is 1 in the 64 bits that count
    assert len(set(first.values())) == 3 * 4 * 2
    assert first[(1, 4, 1)] == first[(2**66 + 1, 4, 1)]


def test_generators_are_uniform_across_regions() -> None:
    drawn = [draw_generator(0, region, 0).random() for region in range(2000)]
    assert stats.kstest(drawn, "uniform").pvalue > CHANCE
    assert abs(stats.pearsonr(drawn[1:], drawn[:-1]).statistic) < 0.12
