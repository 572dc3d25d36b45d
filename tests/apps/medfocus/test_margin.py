# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest

from monai_causal.apps.medfocus.margin import margin_of, relative_probability, smallest_enough, winner

TAU = 0.75


def related(one: str, other: str) -> bool:
    return {one, other} in ({"both lungs", "left lung"}, {"both lungs", "right lung"})


def test_the_rule_of_tau_is_at_least() -> None:
    edge = -math.log(TAU)
    assert relative_probability(edge) == pytest.approx(TAU)
    assert winner({"heart": edge * (1 - 1e-9)}, TAU) is None
    assert winner({"heart": edge * (1 + 1e-9)}, TAU) == "heart"
    assert winner({}, TAU) is None
    assert winner({"heart": 2.0, "lung": 2.0}, TAU) == "heart"
    assert winner({"heart": -1.0}, TAU) is None
    assert winner({"heart": 0.0}, 1.0) is None


def test_a_composite_and_its_member_are_no_rivals() -> None:
    effects = {"left lung": 1.98, "right lung": 0.1, "heart": 1.0, "both lungs": 2.0}
    margin = margin_of({"zero": effects}, TAU, related)
    assert (margin.winner, margin.second) == ("both lungs", "heart")
    assert (margin.lead, margin.relative_lead) == (1.0, 0.5)
    assert not margin.coin_toss


@pytest.mark.parametrize(("heart", "tossed"), [(0.85, False), (0.95, True), (1.0, True)])
def test_a_small_lead_is_a_coin_toss(heart: float, tossed: bool) -> None:
    margin = margin_of({"zero": {"left lung": 1.0, "heart": heart}}, TAU, related)
    assert margin.lead == pytest.approx(1 - heart)
    assert margin.coin_toss == tossed


@pytest.mark.parametrize(
    ("other", "named", "stays"),
    [
        ({"left lung": 0.9, "heart": 0.1, "both lungs": 0.8}, "left lung", True),
        ({"left lung": 0.8, "heart": 0.1, "both lungs": 0.9}, "both lungs", True),
        ({"left lung": 0.8, "heart": 0.9, "both lungs": 0.1}, "heart", False),
        ({"left lung": 0.1, "heart": 0.0, "both lungs": 0.1}, None, False),
    ],
)
def test_the_winner_has_to_stay_under_every_masking(other: dict[str, float], named: str | None, stays: bool) -> None:
    first = {"left lung": 2.0, "heart": 0.5, "both lungs": 1.9}
    margin = margin_of({"zero": first, "mean": first, "blur": other}, TAU, related)
    assert margin.winners == {"zero": "left lung", "mean": "left lung", "blur": named}
    assert (margin.stays, margin.coin_toss) == (stays, not stays)


def test_alone_and_without_effect() -> None:
    alone = margin_of({"zero": {"heart": 2.0}}, TAU, related)
    assert (alone.second, alone.lead, alone.relative_lead, alone.coin_toss) == (None, 2.0, 1.0, False)
    none = margin_of({"zero": {"heart": 0.0, "left lung": 0.0}}, TAU, related)
    assert (none.winner, none.relative_lead, none.coin_toss) == ("heart", 0.0, True)


SIZES = {"left lung": 40, "right lung": 50, "both lungs": 90, "left hilar structures": 5}
INSIDE = {("left lung", "both lungs"), ("right lung", "both lungs"), ("left hilar structures", "both lungs")}


@pytest.mark.parametrize(
    ("effects", "within", "named"),
    [
        ((3.4, 0.0, 3.7, 0.1), 0.8, "left lung"),  # both lungs take away hardly more than the one that matters
        ((3.4, 0.0, 3.7, 0.1), 1.0, "both lungs"),  # the published rule
        ((0.3, 0.3, 0.6, 0.0), 0.8, "both lungs"),  # half the reason lies in each
        ((3.4, 0.0, 3.7, 3.1), 0.8, "left hilar structures"),
        ((3.7, 0.0, 3.6, 3.6), 0.8, "left lung"),  # the others are not inside it
        ((3.0, 3.0, 3.1, 0.0), 0.8, "left lung"),  # the smaller of two that do the same
        ((3.0, 3.0, 3.0, 0.0), 1.0, "left lung"),  # the first of equal ones
        ((0.0, 0.0, 0.0, 0.0), 1.0, "left lung"),
    ],
)
def test_the_smallest_concept_inside_the_strongest_that_does_it_is_named(
    effects: tuple[float, ...], within: float, named: str
) -> None:
    given = dict(zip(SIZES, effects, strict=True))
    assert smallest_enough(given, SIZES, lambda one, other: one == other or (one, other) in INSIDE, within) == named
