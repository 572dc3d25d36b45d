# SPDX-License-Identifier: Apache-2.0
"""Arrays as a browser draws them: four bytes per pixel, no more of them than a screen shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monai_causal.intervene.regions import Box
from monai_causal.studio.segmentation import NOTHING
from monai_causal.visualize.render import style

__all__ = [
    "CLASS_COLOURS",
    "NEITHER",
    "SUPPORTS",
    "SUPPRESSES",
    "Cut",
    "colours_of_map",
    "colours_of_picture",
    "colours_of_segmentation",
]

MOST = 1024
"""Pixels of the longer side that are sent."""
CLASS_COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#f0e442")
SUPPORTS, SUPPRESSES, NEITHER = "#ff8a80", "#82b1ff", "#c8ced4"
"""Of lines on a picture, which are seen on dark and on bright; as in a report."""
_OPAQUE = 110


@dataclass(frozen=True)
class Cut:
    """A slice through a volume, or all of a picture.

    Attributes:
        shape: of the image, ``(*spatial)``.
        through: the axis that slices are counted along; ``None`` for a picture.
        index: which slice.
    """

    shape: tuple[int, ...]
    through: int | None = None
    index: int = 0

    @property
    def axes(self) -> tuple[int, int]:
        """The axes of the array that run down and across."""
        first, second = (axis for axis in range(len(self.shape)) if axis != self.through)
        return first, second

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """The slice of ``(..., *spatial)``."""
        if self.through is None:
            return values
        found: NDArray[Any] = values.take(self.index, values.ndim - len(self.shape) + self.through)
        return found

    def voxel(self, row: float, column: float) -> tuple[int, ...] | None:
        """The voxel at a place on the slice; ``None`` beside it."""
        place = dict(zip(self.axes, (int(np.floor(row)), int(np.floor(column))), strict=True))
        if self.through is not None:
            place[self.through] = self.index
        found = tuple(place[axis] for axis in range(len(self.shape)))
        return found if all(0 <= at < length for at, length in zip(found, self.shape, strict=True)) else None

    def rectangle(self, box: Box) -> tuple[int, int, int, int] | None:
        """Top, bottom, left and right of a box on the slice; ``None`` where the slice does not meet it."""
        if self.through is not None and not box[self.through][0] <= self.index < box[self.through][1]:
            return None
        down, across = self.axes
        return (*box[down], *box[across])


def colours_of_picture(image: NDArray[Any]) -> NDArray[np.uint32]:
    """``(C, rows, columns)`` in [0, 1]: colour where there are three channels, else the first one, grey."""
    shown = np.moveaxis(image, 0, -1) if len(image) == 3 else np.repeat(image[0][..., None], 3, -1)
    picture = Image.fromarray(np.rint(255 * np.clip(np.nan_to_num(shown), 0, 1)).astype(np.uint8)).convert("RGBA")
    factor = max(picture.size) / MOST
    if factor > 1:
        small = [max(1, round(edge / factor)) for edge in picture.size]
        picture = picture.resize((small[0], small[1]), Image.Resampling.BOX)
    return _packed(np.asarray(picture))


def colours_of_segmentation(segmentation: NDArray[Any]) -> NDArray[np.uint32]:
    """Classes ``(rows, columns)`` as colours that the image is seen through."""
    table = np.zeros((len(CLASS_COLOURS) + 1, 4), dtype=np.uint8)
    table[1:, :3] = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in CLASS_COLOURS]
    table[1:, 3] = _OPAQUE
    few = _thinned(segmentation)
    return _packed(table[np.where(few == NOTHING, 0, 1 + few % len(CLASS_COLOURS))])


def colours_of_map(heat: NDArray[Any], signed: bool, limit: float) -> NDArray[np.uint32]:
    """A map ``(rows, columns)`` whose scale ends at ``limit``; what is 0 or no number is not seen."""
    few = np.nan_to_num(_thinned(heat)) / (limit or 1.0)
    colours = style.SUPPORT_TO_SUPPRESS if signed else style.MAGNITUDES
    shown = np.asarray(colours((few + 1) / 2 if signed else few), dtype=np.float64)
    return _packed(np.rint(255 * shown).astype(np.uint8))


def _thinned(values: NDArray[Any]) -> NDArray[Any]:
    """Every k-th row and column, so that values are chosen and never mixed."""
    every = -(-max(values.shape) // MOST)
    return values[every // 2 :: every, every // 2 :: every]


def _packed(bytes_: NDArray[np.uint8]) -> NDArray[np.uint32]:
    return np.ascontiguousarray(bytes_).view(np.uint32)[..., 0]
