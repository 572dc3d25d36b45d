# SPDX-License-Identifier: Apache-2.0
"""What would count as a pass, written down before anything is run, and whether it did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["LEVEL", "REFERENCE", "RULE", "RULE_CONTROLS", "verdict"]

REFERENCE = "mcdrl"
RULE_CONTROLS = ("random", "shuffled", "learned")
LEVEL = 0.05
RULE = (
    "MCDRL (text dictionary) passes if its macro out-of-distribution Dice minus that of each of random, shuffled and "
    "learned dictionary has a 95 % paired interval (over scenes/sequences and seeds) above 0, after Holm over these "
    "controls."
)


def verdict(comparisons: Sequence[dict[str, Any]], missing: Sequence[str] = (), seeds: int = 1) -> str:
    """One sentence on the rule.

    Args:
        comparisons: rows with ``method``, ``rule`` (of its controls), ``seeds``, ``difference`` and ``p_holm``; a
            difference of None was not measured.
        missing: names of the rule's methods that the study has not.
        seeds: of the study: a rule is not judged on a part of them, or whoever looks often enough sees it met.
    """
    judged = [row for row in comparisons if row["rule"]]
    open_ones = [*missing, *(row["method"] for row in judged if row["difference"] is None)]
    if open_ones:
        return f"Not judged: there is no complete seed yet of {', '.join(open_ones)}."
    if not judged:
        return "Not judged: nothing is held out."
    unfinished = [row["method"] for row in judged if row["seeds"] < seeds]
    if unfinished:
        return f"Not judged: not all of the {seeds} seeds are finished of MCDRL and {', '.join(unfinished)}."
    failed = [row for row in judged if not (row["difference"] > 0 and row["p_holm"] < LEVEL)]
    if not failed:
        return "The rule is met: the text dictionary is better than each of the three controls."
    reasons = ", ".join(
        f"{row['method']} ({row['difference']:+.3f}, p after Holm {row['p_holm']:.3g})" for row in failed
    )
    return f"The rule is not met: the text dictionary is not shown to be better than {reasons}."
