# SPDX-License-Identifier: Apache-2.0
"""From images of any size to masses on the transport's square grid, and what a squared distance is divided by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft, ndimage
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

__all__ = ["Frame", "as_grey", "as_masks", "cost_quantile", "in_frame", "min_max", "to_grid"]

Image = NDArray[np.float64]


class Frame(NamedTuple):
    """Where an image lies in the square that is padded around it."""

    side: int
    top: int
    left: int
    rows: int
    columns: int

    @classmethod
    def around(cls, rows: int, columns: int) -> Frame:
        side = max(rows, columns)
        return cls(side, (side - rows) // 2, (side - columns) // 2, rows, columns)

    def crop(self, square: Tensor) -> Tensor:
        """(..., side, side) -> (..., rows, columns)."""
        return square[..., self.top : self.top + self.rows, self.left : self.left + self.columns]


def as_grey(image: Any, what: str, least: int) -> Image:
    """A grey image as float64 (rows, columns), or an error that says what is wrong with it.

    Args:
        image: array or tensor (rows, columns) or (1, rows, columns).
        what: how messages call it.
        least: its longer side has at least so many pixels.
    """
    values = np.asarray(image.detach().cpu() if isinstance(image, Tensor) else image, dtype=np.float64)
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    if values.ndim != 2:
        raise ValueError(f"{what}: a grey image (rows, columns) or (1, rows, columns) is needed, not {values.shape}.")
    if max(values.shape) < least:
        raise ValueError(
            f"{what}: {values.shape[0]} x {values.shape[1]} pixels are fewer than the transport's grid of {least}; "
            f"give a larger image or a smaller grid."
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{what}: {int((~np.isfinite(values)).sum())} of its values are not finite; replace them.")
    if values.max() == values.min():
        raise ValueError(f"{what}: it is blank (all values are {values.max():g}), so there is nothing to transport.")
    return values


def as_masks(masks: Any, shape: tuple[int, int], what: str) -> NDArray[np.float32]:
    """Masks or soft label maps as float32 (C, rows, columns) of the reference's shape."""
    values = np.asarray(masks.detach().cpu() if isinstance(masks, Tensor) else masks, dtype=np.float32)
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3 or values.shape[1:] != shape:
        raise ValueError(f"{what}: masks of shape {values.shape} do not lie on a reference of {shape[0]} x {shape[1]}.")
    if not np.isfinite(values).all() or values.min(initial=0) < 0:
        raise ValueError(f"{what}: masks hold values from 0 to 1; these go from {values.min():g} to {values.max():g}.")
    return values


def min_max(image: Image) -> Image:
    return (image - image.min()) / (image.max() - image.min())


def in_frame(images: NDArray[Any], frame: Frame) -> NDArray[Any]:
    """(..., rows, columns) -> (..., side, side), zeros around."""
    square = np.zeros((*images.shape[:-2], frame.side, frame.side), images.dtype)
    square[..., frame.top : frame.top + frame.rows, frame.left : frame.left + frame.columns] = images
    return square


def to_grid(square: NDArray[Any], grid: int, how: str) -> Image:
    """A square image on the grid: ``"area"``, means over cells; ``"linear"`` and ``"nearest"``, as scipy's zoom."""
    if how == "area":
        pooled: Image = adaptive_avg_pool2d(torch.from_numpy(np.ascontiguousarray(square))[None], grid)[0].numpy()
        return pooled
    zoomed: Image = ndimage.zoom(square, grid / len(square), order={"linear": 1, "nearest": 0}[how])
    return zoomed


def cost_quantile(on_a: NDArray[np.bool_], on_b: NDArray[np.bool_], q: float = 0.9) -> float:
    """The quantile of all squared distances between cells of two supports, exactly, without making the distances.

    How many pairs of cells have a given displacement is a cross-correlation of the supports. The quantile interpolates
    linearly between order statistics, as numpy's does.
    """
    rows, columns = on_a.shape
    size: Sequence[int] = (2 * rows - 1, 2 * columns - 1)
    spectrum = fft.rfft2(on_b.astype(float), size) * fft.rfft2(on_a[::-1, ::-1].astype(float), size)
    pairs = np.rint(fft.irfft2(spectrum, size)).astype(np.int64)
    squares = (np.arange(size[0])[:, None] - (rows - 1)) ** 2 + (np.arange(size[1]) - (columns - 1)) ** 2
    counts = np.bincount(squares.ravel(), pairs.ravel()).astype(np.int64)
    until = counts.cumsum()
    place = q * (until[-1] - 1)
    low, high = np.searchsorted(until, [np.floor(place), np.ceil(place)], side="right")
    return float(low + (high - low) * (place - np.floor(place)))
