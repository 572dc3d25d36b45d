# SPDX-License-Identifier: Apache-2.0
"""Boxes ``x0 y0 x1 y1``: the overlap of two sets of them, and the boxes of a saliency map (MedGround)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

__all__ = ["box_overlap", "saliency_to_boxes"]

Corners = Sequence[float]
"""``x0, y0, x1, y1``; x runs along the last axis of an image."""


def box_overlap(predicted: Sequence[Corners], truth: Sequence[Corners]) -> dict[str, float]:
    """``iou``, ``precision``, ``recall`` and ``f1`` of the areas covered by two sets of boxes, fractions.

    A box has the area ``(x1 - x0)(y1 - y0)``, whatever its corners mean; what several boxes of a set cover counts
    once. The areas are exact: by the coordinates at which boxes begin and end, not by pixels. Where one side covers
    nothing all four are 0, and so they are where both cover nothing: there was nothing to be found right.

    Example:
        >>> found = box_overlap([(0, 0, 4, 4), (2, 0, 6, 4)], [(3, 0, 9, 4)])
        >>> found["iou"], found["precision"], found["recall"]
        (0.3333333333333333, 0.5, 0.5)
    """
    boxes = [_checked(box, name) for name, side in (("predicted", predicted), ("truth", truth)) for box in side]
    table = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    xs, ys = np.unique(table[:, [0, 2]]), np.unique(table[:, [1, 3]])
    areas = np.multiply.outer(np.diff(ys), np.diff(xs))
    ours = _covered(table[: len(predicted)], xs, ys)
    theirs = _covered(table[len(predicted) :], xs, ys)
    common, claimed, true = (float(areas[cells].sum()) for cells in (ours & theirs, ours, theirs))
    return {
        "iou": _ratio(common, claimed + true - common),
        "precision": _ratio(common, claimed),
        "recall": _ratio(common, true),
        "f1": _ratio(2 * common, claimed + true),
    }


def saliency_to_boxes(
    heat: Tensor | NDArray[np.floating], quantile: float = 0.9, min_area: int = 16, max_boxes: int = 10
) -> list[tuple[int, int, int, int]]:
    """The tight boxes of a map's hottest parts, as ``(x0, y0, x1, y1)`` with inclusive corners, hottest first.

    As published: min-max; keep what reaches the quantile of the strictly positive values; 8-connected components of at
    least ``min_area`` pixels; the ``max_boxes`` with the highest mean, equal ones in the order in which a raster scan
    meets them. A constant map has no box, nor has one whose hot parts are all too small.

    Args:
        heat: ``(H, W)``, or with leading axes of 1.
        quantile: of the positive values.
        min_area: in pixels.
        max_boxes: how many at most.

    Example:
        >>> heat = np.zeros((8, 8))
        >>> heat[1:5, 2:7] = 1
        >>> saliency_to_boxes(heat)
        [(2, 1, 6, 4)]
    """
    array = np.asarray(heat.detach().cpu() if isinstance(heat, Tensor) else heat, dtype=np.float64)
    if array.ndim < 2 or any(length != 1 for length in array.shape[:-2]) or not array.size:
        raise ValueError(f"a map of shape {array.shape}: one (H, W) is needed, leading axes of 1 aside.")
    if not np.isfinite(array).all():
        raise ValueError(f"the map holds {int((~np.isfinite(array)).sum())} values that are NaN or infinite.")
    if not 0 <= quantile <= 1:
        raise ValueError(f"quantile={quantile}: a fraction between 0 and 1, such as 0.9.")
    array = array.reshape(array.shape[-2:])
    lowest, highest = array.min(), array.max()
    if lowest == highest:
        return []
    scaled = (array - lowest) / (highest - lowest)
    hot = scaled >= np.quantile(scaled[scaled > 0], quantile)
    labels, count = ndimage.label(hot, structure=np.ones((3, 3)))
    numbers = np.arange(1, count + 1)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    means = np.asarray(ndimage.mean(scaled, labels, numbers))
    places = ndimage.find_objects(labels)
    chosen = [number for number in np.argsort(-means, kind="stable") if sizes[number] >= min_area][:max_boxes]
    return [
        (int(columns.start), int(rows.start), int(columns.stop) - 1, int(rows.stop) - 1)
        for rows, columns in (places[number] for number in chosen)
    ]


def _checked(box: Corners, name: str) -> tuple[float, ...]:
    corners = tuple(float(corner) for corner in box)
    if len(corners) != 4 or not np.isfinite(corners).all() or corners[0] > corners[2] or corners[1] > corners[3]:
        raise ValueError(f"{name} box {corners}: four finite numbers x0 y0 x1 y1 with x0 <= x1 and y0 <= y1.")
    return corners


def _covered(boxes: NDArray[np.float64], xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which cells between neighbouring coordinates some box covers, ``(rows, columns)``."""
    cells = np.zeros((max(len(ys) - 1, 0), max(len(xs) - 1, 0)), dtype=bool)
    for x0, y0, x1, y1 in boxes:
        left, right = np.searchsorted(xs, (x0, x1))
        top, bottom = np.searchsorted(ys, (y0, y1))
        cells[top:bottom, left:right] = True
    return cells


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
