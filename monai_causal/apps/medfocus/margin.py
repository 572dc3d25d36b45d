# SPDX-License-Identifier: Apache-2.0
"""How sure it is that the strongest concept is the strongest, so that a coin toss is not reported as a cause."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Margin", "margin_of", "relative_probability", "smallest_enough", "winner"]


@dataclass(frozen=True)
class Margin:
    """The winner against the rest, and against itself under other maskings.

    Args:
        winner: the concept of the largest effect.
        second: the strongest of those that neither lie in it nor contain it; None where there is none.
        lead: effect of the winner minus that of the second, in nats.
        relative_lead: the lead, of the winner's effect.
        winners: by masking, the concept that is named under it; None where none is (the rule of tau).
        stays: under every masking the winner is named, or a composite that contains it, or a member of it.
        coin_toss: the lead is too small, or the winner does not stay.
        least_lead: the relative lead below which it is too small.
    """

    winner: str
    second: str | None
    lead: float
    relative_lead: float
    winners: dict[str, str | None]
    stays: bool
    coin_toss: bool
    least_lead: float


def relative_probability(effect: float) -> float:
    """How likely the answer is after the intervention, of how likely it was: exp(-effect), between 0 and 1.

    Example:
        >>> relative_probability(0.0)
        1.0
    """
    return math.exp(-effect)


def smallest_enough(
    effects: Mapping[str, float], sizes: Mapping[str, float], inside: Callable[[str, str], bool], within: float
) -> str:
    """The smallest concept inside the strongest one whose effect is nearly as large.

    Two lungs always take away what one of them does, and a little more, so the largest effect alone would name both
    where one of them holds the reason. A cause is to be minimal: what can be left out of it is no part of it.

    Args:
        effects: of each concept; at least one.
        sizes: pixels that are replaced for it.
        inside: whether the pixels of a concept lie mostly among those of another.
        within: of the largest effect; 1 is the published rule, the largest effect (the first of equal ones).

    Example:
        >>> effects, sizes = {"left lung": 3.4, "both lungs": 3.7}, {"left lung": 50, "both lungs": 100}
        >>> smallest_enough(effects, sizes, lambda one, other: True, 0.8)
        'left lung'
    """
    strongest = max(effects, key=lambda name: effects[name])
    if within == 1:
        return strongest
    least = within * effects[strongest]
    enough = [name for name in effects if effects[name] >= least and inside(name, strongest)]
    return min(enough, key=lambda name: (sizes[name], -effects[name]), default=strongest)


def winner(
    effects: Mapping[str, float], tau: float, choose: Callable[[Mapping[str, float]], str] | None = None
) -> str | None:
    """The concept that is named, or None where no effect reaches the threshold.

    Args:
        effects: of each concept.
        tau: relative probability at which none is named.
        choose: which one; by default that of the largest effect (the first of equal ones).

    Example:
        >>> winner({"left lung": 0.1, "right lung": 1.2}, 0.75)
        'right lung'
        >>> winner({"left lung": 0.1, "right lung": 0.2}, 0.75) is None
        True
    """
    if not effects or relative_probability(max(effects.values())) >= tau:
        return None
    return choose(effects) if choose is not None else max(effects, key=lambda name: effects[name])


def margin_of(
    effects: Mapping[str, Mapping[str, float]],
    tau: float,
    related: Callable[[str, str], bool],
    least_lead: float = 0.1,
    choose: Callable[[Mapping[str, float]], str] | None = None,
) -> Margin:
    """The margin of the chosen concept under the first masking.

    Args:
        effects: by masking, the effect of each concept; the first masking decides on the winner.
        tau: relative probability at which no concept is named.
        related: whether of two concepts one contains the other. Such two are not rivals: half of "both lungs" is the
            left lung.
        least_lead: the relative lead below which the winner could as well be the second.
        choose: which concept wins; by default that of the largest effect.
    """
    first = next(iter(effects.values()))
    strongest = choose(first) if choose is not None else max(first, key=lambda name: first[name])
    rivals = [name for name in first if name != strongest and not related(name, strongest)]
    second = max(rivals, key=lambda name: first[name], default=None)
    lead = first[strongest] - first[second] if second is not None else first[strongest]
    relative = lead / first[strongest] if first[strongest] > 0 else 0.0
    winners = {masking: winner(one, tau, choose) for masking, one in effects.items()}
    others = list(winners.values())[1:]
    stays = all(name is not None and (name == strongest or related(name, strongest)) for name in others)
    return Margin(strongest, second, lead, relative, winners, stays, relative < least_lead or not stays, least_lead)
