# SPDX-License-Identifier: Apache-2.0
"""Marks on a picture that follow its pixels exactly: borders of masks, and hatching inside them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Curve

from monai_causal.visualize.render import style

__all__ = ["draw_border", "draw_hatching"]


def draw_border(axes: Axes, mask: np.ndarray, colour: str) -> None:
    """Along the pixels' own edges, so that a box has corners and a mask at the image's border is closed."""
    inside = np.pad(np.asarray(mask, dtype=bool), 1)
    across = np.argwhere(inside[1:] != inside[:-1])[:, ::-1] + (-1.5, -0.5)
    along = np.argwhere(inside[:, 1:] != inside[:, :-1])[:, ::-1] + (-0.5, -1.5)
    segments = [np.stack([start, start + step], 1) for start, step in ((across, (1, 0)), (along, (0, 1)))]
    vertices = np.concatenate(segments).reshape(-1, 2)
    codes = np.tile([Curve.MOVETO, Curve.LINETO], len(vertices) // 2)
    line = PathPatch(
        Curve(vertices, codes), fill=False, edgecolor=colour, linewidth=1.4, capstyle="projecting",
        path_effects=style.halo(2.6),
    )  # fmt: skip
    axes.add_patch(line)


def draw_hatching(axes: Axes, mask: np.ndarray) -> None:
    """Diagonals in the mask, dark with a bright border: seen on any colour."""
    rows, columns = mask.shape
    inches = axes.get_window_extent().width / axes.figure.dpi  # before the layout: about
    fine = min(1.0, max(0.55, inches / 3))
    step = max(rows, columns) / (40 * fine**0.5)
    starts = np.arange(-rows, columns, step)
    diagonals = np.stack([starts, np.full_like(starts, rows), starts + rows, 0 * starts], 1).reshape(-1, 2, 2)
    cover = _cover(np.asarray(mask, dtype=bool))
    for width, colour in ((1.5, "white"), (0.7, "black")):
        lines = LineCollection(list(diagonals - 0.5), colors=colour, linewidths=fine * width, alpha=0.8)
        axes.add_collection(lines, autolim=False)
        lines.set_clip_path(cover, axes.transData)


def _cover(mask: np.ndarray) -> Curve:
    """Rectangles that make up a mask."""
    changes = np.flatnonzero((mask[1:] != mask[:-1]).any(1)) + 1
    rectangles = []
    for top, bottom in pairwise([0, *changes.tolist(), len(mask)]):
        edges = np.flatnonzero(np.diff(mask[top], prepend=False, append=False)).reshape(-1, 2)
        rectangles += [
            Curve(np.array([(a, top), (b, top), (b, bottom), (a, bottom), (a, top)]) - 0.5, closed=True)
            for a, b in edges
        ]
    return Curve.make_compound_path(*rectangles)
