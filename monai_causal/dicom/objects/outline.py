# SPDX-License-Identifier: Apache-2.0
"""The outline of a mask as closed lines along the edges of its pixels, made simpler within a tolerance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["outlines", "simplified"]

Line = NDArray[np.float64]
"""(points, 2): column and row; an edge of pixels has whole numbers, the first pixel's outer corner is 0, 0."""


def outlines(mask: NDArray[np.bool_]) -> list[Line]:
    """Closed lines around a mask and around its holes, the longest first; the last point is the first.

    Pixels that touch at a corner only are kept apart.

    Example:
        >>> outlines(np.array([[False, True, True]]))[0].tolist()
        [[1.0, 0.0], [3.0, 0.0], [3.0, 1.0], [1.0, 1.0], [1.0, 0.0]]
    """
    # Edges between inside and outside, each with the inside to its right, as start -> direction.
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    leaving: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for other, start, step in (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (0, 1)),
        (padded[2:, 1:-1], (1, 1), (-1, 0)),
        (padded[1:-1, :-2], (0, 1), (0, -1)),
    ):
        for row, column in np.argwhere(inside & ~other).tolist():
            leaving.setdefault((column + start[0], row + start[1]), []).append(step)
    lines = []
    for first in sorted(leaving, key=lambda point: (point[1], point[0])):
        while leaving[first]:
            lines.append(_followed(first, leaving))
    return sorted(lines, key=_length, reverse=True)


def _followed(first: tuple[int, int], leaving: dict[tuple[int, int], list[tuple[int, int]]]) -> Line:
    """One closed line from a point on, taking its edges away; only corners are kept."""
    corners = [first]
    step = leaving[first].pop(0)
    point = (first[0] + step[0], first[1] + step[1])
    while point != first:
        there = leaving[point]
        # Where two pixels meet at a corner, turning right stays with the same pixel.
        right = (-step[1], step[0])
        following = right if right in there else there[0]
        there.remove(following)
        if following != step:
            corners.append(point)
        step = following
        point = (point[0] + step[0], point[1] + step[1])
    return np.array([*corners, first], np.float64)


def _length(line: Line) -> float:
    return float(np.abs(np.diff(line, axis=0)).sum())


def simplified(line: Line, tolerance: float) -> Line:
    """A closed line with fewer points, none of the left-out ones farther than ``tolerance`` from it (Douglas, Peucker).

    Example:
        >>> square = np.array([[0, 0], [2, 0], [2, 0.1], [4, 0], [4, 4], [0, 4], [0, 0]], float)
        >>> simplified(square, 0.2).tolist()
        [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0], [0.0, 0.0]]
    """
    far = int(np.argmax(((line - line[0]) ** 2).sum(1)))
    kept = {0, far, len(line) - 1}
    stretches = [(0, far), (far, len(line) - 1)]
    while stretches:
        start, stop = stretches.pop()
        if stop - start < 2:
            continue
        distances = _distances(line[start + 1 : stop], line[start], line[stop])
        worst = int(distances.argmax())
        if distances[worst] > tolerance:
            middle = start + 1 + worst
            kept.add(middle)
            stretches += [(start, middle), (middle, stop)]
    return line[sorted(kept)]


def _distances(points: Line, start: NDArray[np.float64], stop: NDArray[np.float64]) -> NDArray[np.float64]:
    """From a stretch between two points."""
    along = stop - start
    length = float(along @ along)
    share = np.zeros(len(points)) if length == 0 else np.clip((points - start) @ along / length, 0, 1)
    return np.linalg.norm(points - start - share[:, None] * along, axis=1)
