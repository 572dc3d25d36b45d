# SPDX-License-Identifier: Apache-2.0
"""A picture with its map, or three stacks of slices through a volume with its map, ready for a page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monai_causal.report.content import Plane, Slice
from monai_causal.report.pictures import encode_image, encode_map

__all__ = ["planes_of"]

Array = NDArray[np.float64]

_MOST_SLICES, _LEAST_SLICES = 48, 8
_SLICE_BYTES = 6000
_SHOWN = 1024
"""Longest side in CSS pixels that a page gives a picture; the page itself makes it smaller where there is less room."""


def planes_of(
    image: Array | None,
    heat: Array | None,
    *,
    signed: bool,
    limit: float,
    room: int,
    smooth: bool = False,
    edges: Sequence[float] | None = None,
) -> tuple[Plane, ...]:
    """One plane of a picture, three of a volume.

    Args:
        image: (C, \\*spatial) in [0, 1], or ``None`` where only the map is known.
        heat: (\\*spatial), or ``None``.
        signed: of the map.
        limit: of its colour scale.
        room: bytes for all of it.
        smooth: the map may be interpolated.
        edges: of a voxel, in any unit of length; squares and cubes by default.
    """
    shape = tuple(image.shape[1:]) if image is not None else tuple(heat.shape) if heat is not None else ()
    if len(shape) not in (2, 3):
        raise ValueError(f"shape {shape}: a picture of two axes or a volume of three is needed.")
    if heat is not None and heat.shape != shape:
        raise ValueError(f"the map is {heat.shape}, the image {shape}: they must be of one size.")
    lengths = [float(edge) for edge in ((1.0,) * len(shape) if edges is None else edges)]
    grey = None if image is None else _bytes(image)
    if len(shape) == 2:
        only = (Slice(0, *_slice(grey, heat, signed, limit, room, smooth)),)
        return (Plane("", (0, 1), None, *shape, *_size(shape, lengths), only, 0, not smooth),)
    count = int(np.clip(room // (3 * _SLICE_BYTES), _LEAST_SLICES, _MOST_SLICES))
    found = []
    for through in range(3):
        axes = (0, 1) if through == 2 else (0, 2) if through == 1 else (1, 2)
        indices = np.unique(np.linspace(0, shape[through] - 1, min(count, shape[through])).round().astype(int))
        each = room // (3 * len(indices))
        slices = tuple(
            Slice(
                int(index),
                *_slice(
                    None if grey is None else grey.take(index, through),
                    None if heat is None else heat.take(index, through),
                    signed,
                    limit,
                    each,
                    smooth,
                ),
            )
            for index in indices
        )
        size = _size([shape[axis] for axis in axes], [lengths[axis] for axis in axes])
        start = _start(heat, indices, through)
        name = f"slices along axis {through}"
        found.append(Plane(name, axes, through, shape[axes[0]], shape[axes[1]], *size, slices, start, not smooth))
    return tuple(found)


def _slice(
    grey: NDArray[np.uint8] | None, heat: Array | None, signed: bool, limit: float, room: int, smooth: bool
) -> tuple[str, str]:
    base = "" if grey is None else encode_image(grey, room * 3 // 4)
    empty = heat is None or not np.nan_to_num(heat).any()
    return base, "" if empty or heat is None else encode_map(heat, signed, limit, room // 4, smooth)


def _bytes(image: Array) -> NDArray[np.uint8]:
    """(*spatial) or, of three channels, (*spatial, 3); of any other number of channels the first."""
    shown = np.moveaxis(image, 0, -1) if image.shape[0] == 3 else image[0]
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    if low < 0 or high > 1:
        shown = (shown - low) / (high - low)
    return np.rint(np.nan_to_num(np.clip(shown, 0, 1)) * 255).astype(np.uint8)


def _size(voxels: Sequence[int], edges: Sequence[float]) -> tuple[int, int]:
    """Width and height in CSS pixels, in the proportions of the body, not of the array."""
    height, width = (count * edge for count, edge in zip(voxels, edges, strict=True))
    factor = _SHOWN / max(height, width)
    return max(1, round(width * factor)), max(1, round(height * factor))


def _start(heat: Array | None, indices: NDArray[np.int_], through: int) -> int:
    """The slice with the strongest value of the map, the middle one where there is no map."""
    if heat is None or not np.nan_to_num(heat).any():
        return len(indices) // 2
    strength = np.abs(np.nan_to_num(heat)).max(axis=tuple(axis for axis in range(3) if axis != through))
    return int(strength[indices].argmax())
