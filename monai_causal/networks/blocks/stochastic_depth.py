# SPDX-License-Identifier: Apache-2.0
"""How often a training leaves each residual block out (stochastic depth, Huang et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["rising_rates"]


def rising_rates(last: float, depths: Sequence[int]) -> list[list[float]]:
    """Rates from 0 for the first block to ``last``, level by level.

    Example:
        >>> rising_rates(0.5, (1, 2))
        [[0.0], [0.25, 0.5]]
    """
    rates = np.linspace(0, last, sum(depths))
    return [level.tolist() for level in np.split(rates, np.cumsum(depths)[:-1])]
