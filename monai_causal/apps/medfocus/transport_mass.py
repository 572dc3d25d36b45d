# SPDX-License-Identifier: Apache-2.0
"""What an image weighs: the masses that are transported.

A mass is a function of a square image in [0, 1] and of the region that the image fills in the square; it gives one map
of masses, or several (K, side, side), each of which is transported by itself while they share one displacement.

Grey values are bright where a film is exposed little, which is hardly anatomy. What is brighter than its surroundings
(ribs, borders, diaphragm) and what is darker are; each alone pulls masks towards itself, together they hold them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["MASSES", "contrast", "intensity", "local_contrast"]

_SMOOTH, _WINDOW = 2 / 224, 15 / 224  # of the side: what is smoothed away, and how far a surrounding reaches
_LEAST_CONTRAST = 0.01  # of the range of grey: a weaker one is not blown up to full contrast


def intensity(square: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The grey value itself, as published."""
    return square


def contrast(square: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What is brighter, and what is darker, than its surroundings: (2, side, side)."""
    signed = local_contrast(square, inside)
    return np.stack([np.maximum(signed, 0), np.maximum(-signed, 0)])


def local_contrast(square: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The difference to the surroundings in their standard deviations, 0 outside the image: (side, side)."""
    there = inside.astype(np.float64)
    smooth = _mean_around(square, there, _SMOOTH)
    difference = smooth - _mean_around(smooth, there, _WINDOW)
    deviation = np.sqrt(_mean_around(difference**2, there, _WINDOW))
    signed: NDArray[np.float64] = there * difference / np.maximum(deviation, _LEAST_CONTRAST)
    return signed


def _mean_around(values: NDArray[np.float64], there: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    """Gaussian means over what lies inside the image only."""
    sigma = reach * len(values)
    total = ndimage.gaussian_filter(values * there, sigma, truncate=3)
    mean: NDArray[np.float64] = total / np.maximum(ndimage.gaussian_filter(there, sigma, truncate=3), 1e-6)
    return mean


MASSES: dict[str, Callable[..., NDArray[Any]]] = {"contrast": contrast, "intensity": intensity}
