# SPDX-License-Identifier: Apache-2.0
"""Where each image token of a model lies on the picture that the caller gave.

A processor resizes, crops, pads or tiles a picture before a network cuts it into patches. All of these are scalings and
shifts along one axis at a time, so the tokens of a picture, or of one of its tiles, form a regular grid over a box of
the original picture. A :class:`PixelMap` holds these boxes, in the picture's own pixels, and carries maps across
exactly: by the area that a cell and a pixel have in common.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["PixelMap", "Sheet"]

Interval = tuple[float, float]


@dataclass(frozen=True)
class Sheet:
    """A regular grid of cells over one box of a picture.

    Args:
        grid: rows and columns; cells are counted row by row.
        box: half-open ``((top, bottom), (left, right))`` in pixels of the picture, fractions included. It may reach
            beyond the picture where a processor pads, and lie within it where a processor crops.
    """

    grid: tuple[int, int]
    box: tuple[Interval, Interval]

    def __post_init__(self) -> None:
        if min(self.grid) < 1:
            raise ValueError(f"a sheet has at least one row and one column of cells, not {self.grid}.")
        if any(stop <= start for start, stop in self.box):
            raise ValueError(f"a sheet's box has a height and a width above 0; got {self.box}.")

    def __len__(self) -> int:
        return self.grid[0] * self.grid[1]


@dataclass(frozen=True)
class PixelMap:
    """The cells of a model on a picture, in the order of its image tokens.

    Args:
        size: height and width of the picture.
        sheets: one grid, or several where a processor looks at tiles and at the whole.

    Example:
        >>> cells = PixelMap((4, 8), (Sheet((1, 2), ((0, 4), (0, 8))),))
        >>> cells.to_pixels(torch.tensor([1.0, 3.0]))[0].tolist()
        [1.0, 1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 3.0]
    """

    size: tuple[int, int]
    sheets: tuple[Sheet, ...]

    def __len__(self) -> int:
        return sum(len(sheet) for sheet in self.sheets)

    @property
    def boxes(self) -> Tensor:
        """Each cell's ``((top, bottom), (left, right))`` in pixels: (cells, 2, 2), not clipped to the picture."""
        found = []
        for sheet in self.sheets:
            (rows, columns), (vertical, horizontal) = sheet.grid, sheet.box
            y, x = _edges(vertical, rows), _edges(horizontal, columns)
            tall = torch.stack([y[:-1], y[1:]], dim=1)[:, None].expand(rows, columns, 2)
            wide = torch.stack([x[:-1], x[1:]], dim=1)[None].expand(rows, columns, 2)
            found.append(torch.stack([tall, wide], dim=2).reshape(-1, 2, 2))
        return torch.cat(found)

    def to_cells(self, image: Tensor) -> Tensor:
        """Mean of a map over each cell, as far as the cell lies on the picture.

        Of a mask this is the share of the cell that the mask covers.

        Args:
            image: (..., height, width).

        Returns:
            (..., cells), in the floating type of the map; 0 for a cell of nothing but padding.
        """
        if tuple(image.shape[-2:]) != self.size:
            raise ValueError(f"the map is {tuple(image.shape[-2:])}, the picture of these cells {self.size}.")
        values = image if image.is_floating_point() else image.float()
        means = []
        for y, x in self._overlaps:
            y, x = y.to(values), x.to(values)
            area = y.sum(0)[:, None] * x.sum(0)[None]
            mean = (y.T @ values @ x) / torch.where(area > 0, area, 1)
            means.append(mean.flatten(-2))
        return torch.cat(means, dim=-1)

    def to_pixels(self, values: Tensor, smooth: bool = False) -> Tensor:
        """Paint the cells' values on the picture.

        Args:
            values: (..., cells).
            smooth: interpolate linearly between the cells' centres, instead of painting each cell in one value.

        Returns:
            (..., height, width). Where several cells share a pixel, their mean by area; where the model sees nothing
            (a processor crops it away), 0.
        """
        if values.shape[-1] != len(self):
            raise ValueError(f"{values.shape[-1]} values for {len(self)} cells.")
        values = values if values.is_floating_point() else values.float()
        height, width = self.size
        painted = values.new_zeros((*values.shape[:-1], height, width))
        weight = values.new_zeros((height, width))
        parts = values.split([len(sheet) for sheet in self.sheets], dim=-1)
        for sheet, part, (y, x) in zip(self.sheets, parts, self._weights if smooth else self._overlaps, strict=True):
            y, x = y.to(values), x.to(values)
            painted = painted + y @ part.unflatten(-1, sheet.grid) @ x.T
            weight = weight + y.sum(1)[:, None] * x.sum(1)[None]
        return painted / torch.where(weight > 0, weight, 1)

    def seen(self) -> Tensor:
        """Share of each pixel that some cell covers: (height, width); below 1 where a processor crops."""
        covered = [y.sum(1)[:, None] * x.sum(1)[None] for y, x in self._overlaps]
        return torch.stack(covered).amax(0).float()

    @cached_property
    def _overlaps(self) -> list[tuple[Tensor, Tensor]]:
        """Per sheet and axis: the length that pixel p and cell c have in common, (pixels, cells)."""
        return [tuple(map(_overlap, sheet.box, sheet.grid, self.size)) for sheet in self.sheets]  # type: ignore[misc]

    @cached_property
    def _weights(self) -> list[tuple[Tensor, Tensor]]:
        """Per sheet and axis: how much cell c counts at pixel p in linear interpolation, (pixels, cells)."""
        return [tuple(map(_interpolation, sheet.box, sheet.grid, self.size)) for sheet in self.sheets]  # type: ignore[misc]


def _edges(interval: Interval, cells: int) -> Tensor:
    start, stop = interval
    return start + (stop - start) * torch.arange(cells + 1, dtype=torch.float64) / cells


def _overlap(interval: Interval, cells: int, pixels: int) -> Tensor:
    edges = _edges(interval, cells)
    pixel = torch.arange(pixels, dtype=torch.float64)[:, None]
    return (torch.minimum(pixel + 1, edges[1:]) - torch.maximum(pixel, edges[:-1])).clamp(min=0)


def _interpolation(interval: Interval, cells: int, pixels: int) -> Tensor:
    start, stop = interval
    centre = torch.arange(pixels, dtype=torch.float64) + 0.5
    place = ((centre - start) / (stop - start) * cells - 0.5).clamp(0, cells - 1)
    distance = (place[:, None] - torch.arange(cells, dtype=torch.float64)).abs()
    inside = (centre >= start) & (centre < stop)
    return (1 - distance).clamp(min=0) * inside[:, None]
