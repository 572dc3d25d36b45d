# SPDX-License-Identifier: Apache-2.0
"""How sure it is that the strongest concept is the strongest, so that a coin toss is not reported as a cause."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Margin", "margin_of", "relative_probability", "winner"]


@dataclass(frozen=True)
class Margin:
    """The winner against the rest, and against itself under other maskings.

    Args:
        winner: the concept of the largest effect.
        second: the strongest of those that are neither a member of it nor contain it; None where there is none.
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


def winner(effects: Mapping[str, float], tau: float) -> str | None:
    """The concept of the largest effect (the first of equal ones), or None where it does not reach the threshold.

    Example:
        >>> winner({"left lung": 0.1, "right lung": 1.2}, 0.75)
        'right lung'
        >>> winner({"left lung": 0.1, "right lung": 0.2}, 0.75) is None
        True
    """
    strongest = max(effects, key=lambda name: effects[name], default=None)
    if strongest is None or relative_probability(effects[strongest]) >= tau:
        return None
    return strongest


def margin_of(
    effects: Mapping[str, Mapping[str, float]], tau: float, related: Callable[[str, str], bool], least_lead: float = 0.1
) -> Margin:
    """The margin of the strongest concept under the first masking.

    Args:
        effects: by masking, the effect of each concept; the first masking decides on the winner.
        tau: relative probability at which no concept is named.
        related: whether of two concepts one contains the other. Such two are not rivals: half of "both lungs" is the
            left lung.
        least_lead: the relative lead below which the winner could as well be the second.
    """
    first = next(iter(effects.values()))
    strongest = max(first, key=lambda name: first[name])
    rivals = [name for name in first if name != strongest and not related(name, strongest)]
    second = max(rivals, key=lambda name: first[name], default=None)
    lead = first[strongest] - first[second] if second is not None else first[strongest]
    relative = lead / first[strongest] if first[strongest] > 0 else 0.0
    winners = {masking: winner(one, tau) for masking, one in effects.items()}
    others = list(winners.values())[1:]
    stays = all(name is not None and (name == strongest or related(name, strongest)) for name in others)
    return Margin(strongest, second, lead, relative, winners, stays, relative < least_lead or not stays, least_lead)
