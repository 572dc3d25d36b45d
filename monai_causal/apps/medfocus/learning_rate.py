# SPDX-License-Identifier: Apache-2.0
"""The course of the learning rate over the trainings of MedFocus' small networks."""

from __future__ import annotations

import math

__all__ = ["warm_cosine"]


def warm_cosine(step: int, steps: int) -> float:
    """Share of the highest rate: up over a twentieth of all ``steps``, then down along a cosine.

    Example:
        >>> [round(warm_cosine(step, 40), 2) for step in (0, 1, 2, 21, 40)]
        [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
