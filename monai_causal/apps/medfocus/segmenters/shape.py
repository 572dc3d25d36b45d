# SPDX-License-Identifier: Apache-2.0
"""Each concept is one piece without holes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["tidy"]

_EIGHT = np.ones((3, 3), dtype=bool)


def tidy(probability: NDArray[np.float32], threshold: float = 0.5) -> NDArray[np.float32]:
    """Probabilities (H, W) whose thresholded mask is its largest 8-connected piece, with holes filled.

    Elsewhere they stay; what is left out becomes 0 and what is filled becomes 1, so that the mask may still be brought
    to another size before the threshold.

    Example:
        >>> probability = np.zeros((6, 8), np.float32)
        >>> probability[1:5, 1:5] = 0.9
        >>> probability[2, 2] = 0.1
        >>> probability[3, 7] = 0.8
        >>> int((tidy(probability) > 0.5).sum())
        16
    """
    pieces, count = ndimage.label(probability > threshold, structure=_EIGHT)
    if count == 0:
        return probability
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    largest = pieces == sizes.argmax()
    whole = ndimage.binary_fill_holes(largest)
    tidied = np.where((pieces > 0) & ~largest, 0, probability)
    return np.where(whole & ~largest, 1, tidied).astype(np.float32)
