# SPDX-License-Identifier: Apache-2.0
"""Cases to look at first: answered right, and for reasons that no other case of the cohort has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from monai_causal.cohort.answers.blocks import Block
from monai_causal.cohort.answers.comparisons import Values
from monai_causal.cohort.answers.mean_maps import MeanMaps

__all__ = ["RIGHT", "STRANGE", "listed", "rightness", "strangeness"]

RIGHT = 0.5
"""From here on an answer counts as right: half of the label is met, or the answer is the true one."""
_LEAST = 3
"""Regions that a map must share with others, and other maps that there must be: two cannot say which of them is odd."""
STRANGE = 0.5
"""From here on a map is unlike the others: it correlates with their mean by less than one half."""


def strangeness(block: Block, maps: MeanMaps) -> float | None:
    """1 - the correlation of a map with the mean of all others, aligned: 0 as everybody, 1 unrelated, 2 the reverse.

    None where it cannot be told: fewer than three other maps, fewer than three shared regions, or a map without any
    effect.
    """
    own, others = maps.without(block)
    if maps.maps.get(block.kind, 0) <= _LEAST or len(own) < _LEAST or np.ptp(own) == 0 or np.ptp(others) == 0:
        return None
    return 1.0 - float(np.corrcoef(own, others)[0, 1])


def rightness(values: Values, block: Block) -> float | None:
    """How right the answer was that a map explains, 0 to 1; None where nobody knows the truth.

    A job says so by a measure ``right``; of the same question and method if there is one, else of the same model.
    """
    kind = block.kind
    candidates = [one for one in values if one.name == "right" and one.model == kind.model]
    order = sorted(candidates, key=lambda one: (one.question != kind.question, one.method != kind.method))
    for one in order:
        if one.question in (kind.question, "") and block.item in values[one]:
            return values[one][block.item]
    return None


def listed(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Right answers first, the strangest of them on top; then those of unknown truth, then wrong ones."""

    def place(row: Mapping[str, Any]) -> tuple[int, float, int]:
        right = row["right"]
        group = 1 if right is None else 0 if right >= RIGHT else 2
        return group, -row["strangeness"], row["item"]

    return sorted(found, key=place)
