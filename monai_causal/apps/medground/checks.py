# SPDX-License-Identifier: Apache-2.0
"""Did an edit change what it should and nothing else, and which traces did it leave?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_causal.apps.medground.candidates import Pixels

__all__ = ["NOTICED", "measured", "problem_of"]

Mask = NDArray[np.bool_]

NOTICED = 3
"""Grey levels of 255 by which at least one pixel must differ for an image to count as edited."""


def measured(before: Pixels, after: Pixels, mask: Mask) -> dict[str, Any]:
    """What an edit did.

    Args:
        before: (H, W).
        after: alike.
        mask: where it was meant to change something.

    Returns:
        ``largest``: grey levels, of 255, anywhere; ``inside`` and ``outside``: mean absolute change in grey levels;
        ``touched_outside``: share of the pixels outside that differ at all. Traces: ``seam``, the mean step across the
        mask's border, and ``texture``, the deviation of what a median filter of 3 x 3 removes inside the mask, each
        after the edit by before it; None where there was none before.
    """
    if before.shape != after.shape:
        raise ValueError(f"the edit has {after.shape}, the image {before.shape}: an editor keeps the size.")
    change = np.abs(after.astype(np.int16) - before.astype(np.int16))
    return {
        "largest": int(change.max()),
        "inside": _mean(change, mask),
        "outside": _mean(change, ~mask),
        "touched_outside": _mean(change > 0, ~mask),
        "seam": _ratio(_step(after, mask), _step(before, mask)),
        "texture": _ratio(_texture(after, mask), _texture(before, mask)),
    }


def problem_of(found: dict[str, Any], exact: bool, must_change: bool) -> str | None:
    """What is wrong with an edit; None: nothing.

    Args:
        found: by :func:`measured`.
        exact: the editor sets causes, whose effects may reach beyond any mask.
        must_change: an image that stayed as it was is no counterfactual.
    """
    if must_change and found["largest"] < NOTICED:
        return f"the edit changed no pixel by {NOTICED} grey levels or more"
    if not exact and found["touched_outside"] > 0:
        return f"the edit changed {found['touched_outside']:.1%} of the pixels outside its mask"
    return None


def _mean(values: NDArray[Any], where: Mask) -> float:
    return round(float(values[where].mean()), 4) if where.any() else 0.0


def _step(image: Pixels, mask: Mask) -> float:
    """Mean absolute difference of neighbours of which one lies inside and one outside."""
    grey = image.astype(np.float64)
    steps = [np.abs(np.diff(grey, axis=axis))[np.diff(mask, axis=axis)] for axis in (0, 1)]
    across = np.concatenate(steps)
    return float(across.mean()) if across.size else 0.0


def _texture(image: Pixels, mask: Mask) -> float:
    grey = image.astype(np.float64)
    fine = grey - ndimage.median_filter(grey, size=3)
    return float(fine[mask].std()) if mask.any() else 0.0


def _ratio(after: float, before: float) -> float | None:
    return round(after / before, 4) if before > 0 else None
