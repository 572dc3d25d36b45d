# SPDX-License-Identifier: Apache-2.0
"""Random draws that belong to (seed, region, draw) and never to the order of execution.

A counter-based generator: hashing the coordinates of a draw gives the draw itself, so nothing has to be replayed
after an interruption, and a batch, a subset or a second machine sees the same numbers.
"""

from __future__ import annotations

import numpy as np

__all__ = ["draw_generator", "draw_integer"]

_MASK = (1 << 64) - 1


def _scramble(state: int) -> int:
    """SplitMix64's finaliser (Steele et al. 2014): every bit of the input reaches every bit of the output."""
    state = (state + 0x9E3779B97F4A7C15) & _MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return state ^ (state >> 31)


def draw_integer(bound: int, seed: int, region: int, draw: int, stream: int = 0) -> int:
    """A whole number in ``[0, bound)`` for one draw of one region; ``stream`` tells numbers of one draw apart."""
    state = 0
    for coordinate in (seed, region, draw, stream):
        state = _scramble(state ^ (coordinate & _MASK))
    return (state * bound) >> 64


def draw_generator(seed: int, region: int, draw: int) -> np.random.Generator:
    """A generator of its own for one draw of one region, for fills that need more than a few numbers."""
    return np.random.default_rng([seed & _MASK, region & _MASK, draw & _MASK])
