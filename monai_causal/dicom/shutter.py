# SPDX-License-Identifier: Apache-2.0
"""What a display shutter or a collimator hides: where it lies, on arrays."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from monai_causal.dicom.remarks import Remark, remark
from monai_causal.dicom.tags import codes, number, numbers

__all__ = ["hidden_by"]

_MOST_NUMBERS = 2000  # of a polygon: what needs more was not drawn by a person, and costs time at every row


def hidden_by(
    dataset: Any, what: Literal["Shutter", "Collimator"], shape: tuple[int, int]
) -> tuple[NDArray[np.bool_] | None, list[Remark]]:
    """Pixels (rows, columns) outside a shutter or a collimator, or None where there is none.

    Several shapes hide what any of them hides. Edges and vertices are pixels that stay visible; the first row and
    column have the number 1 (PS3.3 C.7.6.11, C.8.7.3).

    Example:
        >>> shutter = {"ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 2, "ShutterRightVerticalEdge": 3,
        ...            "ShutterUpperHorizontalEdge": 1, "ShutterLowerHorizontalEdge": 1}
        >>> hidden_by(shutter, "Shutter", (2, 4))[0].tolist()
        [[True, False, False, True], [True, True, True, True]]
    """
    shapes = codes(dataset, f"{what}Shape")
    rows, columns = np.ogrid[1 : shape[0] + 1, 1 : shape[1] + 1]
    hidden = np.zeros(shape, bool)
    for named in shapes:
        if named == "RECTANGULAR":
            seen = _rectangle(dataset, what, shape, rows, columns)
        elif named == "CIRCULAR":
            seen = _circle(dataset, what, rows, columns)
        elif named == "POLYGONAL":
            seen = _polygon(dataset, what, shape)
        else:  # BITMAP is an overlay of a presentation state
            seen = None
        # A vendor that counts in millimetres hides all, or lies outside; neither can be meant.
        if seen is None or not seen.any():
            return None, [remark("shutter-unusable" if what == "Shutter" else "collimator-ignored")]
        hidden |= ~seen
    return (hidden if shapes and hidden.any() else None), []


def _rectangle(
    dataset: Any, what: str, shape: tuple[int, int], rows: NDArray[Any], columns: NDArray[Any]
) -> NDArray[np.bool_] | None:
    edges = [number(dataset, f"{what}{edge}") for edge in ("UpperHorizontalEdge", "LowerHorizontalEdge")]
    edges += [number(dataset, f"{what}{edge}") for edge in ("LeftVerticalEdge", "RightVerticalEdge")]
    top, bottom, left, right = edges
    if top is None or bottom is None or left is None or right is None:
        return None
    # Edges at 0 and one past the end are common; more is another unit.
    if not (0 <= top <= bottom <= shape[0] + 1 and 0 <= left <= right <= shape[1] + 1):
        return None
    return (rows >= top) & (rows <= bottom) & (columns >= left) & (columns <= right)


def _circle(dataset: Any, what: str, rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[np.bool_] | None:
    center, radius = numbers(dataset, f"CenterOfCircular{what}"), number(dataset, f"RadiusOfCircular{what}")
    if len(center) != 2 or radius is None:
        return None
    return (rows - center[0]) ** 2 + (columns - center[1]) ** 2 <= radius**2


def _polygon(dataset: Any, what: str, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    flat = numbers(dataset, f"VerticesOfThePolygonal{what}")
    if not 6 <= len(flat) <= _MOST_NUMBERS or len(flat) % 2:
        return None
    corners = [(column - 1, row - 1) for row, column in zip(flat[::2], flat[1::2], strict=True)]
    if not all(-1 <= column <= shape[1] and -1 <= row <= shape[0] for column, row in corners):
        return None
    drawn = Image.new("1", (shape[1], shape[0]))
    ImageDraw.Draw(drawn).polygon(corners, fill=1, outline=1)
    return np.array(drawn)
