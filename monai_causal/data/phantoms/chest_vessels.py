# SPDX-License-Identifier: Apache-2.0
"""The lung's vessels: trees that spread from each hilum and thin out towards the ribs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from monai_causal.data.phantoms.chest_anatomy import HILUM, SIGN, lateral_edge
from monai_causal.data.phantoms.chest_frame import Frame, Plane
from monai_causal.data.phantoms.fields import Field, stream

__all__ = ["Pieces", "branches", "vessels_of"]

TRUNKS = 11  # of each hilum
BENDS = (2, 2, 1, 1)  # straight pieces between one fork and the next
RADIUS = 0.0090  # shorter sides, of a trunk at the hilum
THINNEST = 0.0020  # thinner vessels would fall between the pixels: they are drawn this wide and fainter
USUAL_WIDTH = 0.84


class Pieces(NamedTuple):
    """Straight pieces of vessels: starts and ends (n, 2) as (across, down) in shorter sides from the middle of the
    apices, and radii (n,)."""

    starts: Field
    ends: Field
    radii: Field


def vessels_of(frame: Frame) -> Plane:
    """Thickness of the lung's vessels in shorter sides, as if the lungs filled the whole image."""
    total = frame.blank()
    across, down = frame.x * frame.half_width, frame.y * frame.height
    for side in SIGN:
        pieces = branches(frame, side)
        reaches = np.maximum(pieces.radii, THINNEST)
        for start, end, radius, reach, box in zip(
            *(part.tolist() for part in (*pieces, reaches)), windows(frame, pieces), strict=True
        ):
            east, south = across[box] - start[0], down[box] - start[1]
            if not east.size:
                continue
            chord_x, chord_y = end[0] - start[0], end[1] - start[1]
            along = (east * chord_x + south * chord_y) * (1.0 / (chord_x * chord_x + chord_y * chord_y))
            along = np.minimum(np.maximum(along, 0.0), 1.0)
            east -= along * chord_x
            south -= along * chord_y
            inside = np.maximum(1.0 - (east * east + south * south) * (1.0 / (reach * reach)), 0.0)
            # the larger of two, not their sum: pieces of one branch overlap at their joints
            drawn = np.sqrt(inside) * (2.0 * radius * radius / reach)
            np.maximum(total[box], drawn, out=total[box])
    return total


def windows(frame: Frame, pieces: Pieces) -> list[tuple[slice, slice]]:
    """The rows and columns that each piece may touch."""
    unit = np.array([frame.half_width, frame.height])
    ends = [frame.pixel(*(points / unit).T) for points in (pieces.starts, pieces.ends)]
    pad = (np.maximum(pieces.radii, THINNEST) + 1.5 * frame.causes.warp) * min(frame.causes.size) + 1
    bounds = []
    for first, last, length in zip(*ends, frame.causes.size, strict=True):
        low = np.clip(np.floor(np.minimum(first, last) - pad), 0, length).astype(int)
        high = np.clip(np.ceil(np.maximum(first, last) + pad) + 1, 0, length).astype(int)
        bounds.append([slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True)])
    return list(zip(*bounds, strict=True))


def branches(frame: Frame, side: str) -> Pieces:
    """All pieces of a side's tree that begin within the ribs."""
    rng = stream(frame.causes.anatomy_seed, f"chest vessels {side}")
    scale, sign = frame.causes.width / USUAL_WIDTH, SIGN[side]
    root = np.array([sign * HILUM[side][0] * frame.half_width, HILUM[side][1] * frame.height])
    # trunks fan out from straight up, over lateral, to straight down; the root is higher than it is wide
    headings = np.linspace(-1.45, 1.5, TRUNKS) + 0.16 * (2.0 * rng.random(TRUNKS) - 1.0)
    spots = 0.05 * np.sin(headings) + 0.02 * (rng.random(TRUNKS) - 0.5)
    points = root + scale * np.stack([0.03 * (rng.random(TRUNKS) - 0.5), spots], 1)
    radii = RADIUS * scale * (0.65 + 0.5 * rng.random(TRUNKS))
    length = 0.062 * scale
    starts, ends, widths = [], [], []
    for bends in BENDS:
        for _ in range(bends):
            headings = headings + 0.30 * (2.0 * rng.random(headings.size) - 1.0)
            stride = length * (0.75 + 0.5 * rng.random(headings.size)) * (2 / bends) ** 0.5
            starts.append(points)
            points = points + np.stack([sign * np.cos(headings), np.sin(headings)], 1) * stride[:, None]
            ends.append(points)
            widths.append(radii)
            radii = radii * 0.86
        spread = 0.22 + 0.30 * rng.random((2, headings.size))
        headings = np.concatenate([headings + spread[0], headings - spread[1]])
        shares = 0.58 + 0.28 * rng.random(radii.size)
        radii = np.concatenate([radii * shares, radii * (1.44 - shares)])
        points = np.concatenate([points, points])
        length *= 0.80
    tree = Pieces(np.concatenate(starts), np.concatenate(ends), np.concatenate(widths))
    down = tree.starts[:, 1] / frame.height
    within = (sign * tree.starts[:, 0] / frame.half_width < lateral_edge(frame.causes, down)) & (down < 1.0)
    return Pieces(*(part[within] for part in tree))
