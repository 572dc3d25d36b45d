# SPDX-License-Identifier: Apache-2.0
"""Regions of interest, given or found by a stated rule. The papers choose theirs by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from monai_causal.intervene import Regions, grid_regions
from monai_causal.intervene.regions import Box, coverage, per_axis

__all__ = ["RoI", "boundary_roi", "component_roi", "find_roi", "tile_rois"]

RoI = Box | Tensor | np.ndarray | Literal["boundary", "component"]
"""A box, a mask ``(*spatial)``, or the name of a rule."""


def find_roi(
    roi: RoI,
    spatial_shape: tuple[int, ...],
    find_object: Callable[[], Tensor],
    size: int | Sequence[int],
    step: int | Sequence[int],
) -> Box | Tensor:
    """The box or bool mask that ``roi`` means; ``find_object() -> (*spatial)`` is asked where a rule needs the object.

    Raises:
        ValueError: for a RoI that leaves the image, holds nothing, or follows no known rule.
    """
    if isinstance(roi, str):
        if roi == "boundary":
            return boundary_roi(find_object(), size, step)
        if roi == "component":
            return component_roi(find_object())
        raise ValueError(f"roi={roi!r}: give a box ((start, stop), ...), a mask, 'boundary' or 'component'.")
    mask = coverage(roi, spatial_shape)
    if not mask.any():
        raise ValueError("the RoI is empty: its mask holds no voxel.")
    return mask if isinstance(roi, Tensor | np.ndarray) else roi


def boundary_roi(mask: Tensor, size: int | Sequence[int], step: int | Sequence[int] = 1) -> Box:
    """The box on the object's boundary: of those of ``size`` voxels per axis at multiples of ``step`` the one whose
    foreground share is nearest to a half, the first in raster order where several are.

    Args:
        mask: bool ``(*spatial)``.
        size: edges of the box; an axis shorter than that is taken whole.
        step: the patch size, so that the box lies on the grid of interventions.
    """
    shape = tuple(mask.shape)
    _check(mask)
    edges = tuple(min(edge, length) for edge, length in zip(per_axis(size, len(shape), "size"), shape, strict=True))
    stride = per_axis(step, len(shape), "step")
    # Sums over boxes from a cumulative table: one pass, whatever the size of the box.
    table = np.pad(mask.cpu().numpy().astype(np.int64), [(1, 0)] * len(shape))
    for axis in range(len(shape)):
        table = table.cumsum(axis)
        starts = np.arange(0, shape[axis] - edges[axis] + 1, stride[axis])
        table = table.take(starts + edges[axis], axis) - table.take(starts, axis)
    distance = np.abs(2 * table - int(np.prod(edges)))
    place = np.unravel_index(int(distance.argmin()), distance.shape)
    corner = tuple(int(index) * by for index, by in zip(place, stride, strict=True))
    return tuple((start, start + edge) for start, edge in zip(corner, edges, strict=True))


def component_roi(mask: Tensor) -> Tensor:
    """The largest connected component of a bool mask ``(*spatial)``, as a mask; the first in raster order of equals."""
    _check(mask)
    labels, count = ndimage.label(mask.cpu().numpy())
    sizes = np.bincount(labels.reshape(-1), minlength=count + 1)[1:]
    return torch.from_numpy(labels == 1 + int(sizes.argmax()))


def tile_rois(mask: Tensor, size: int | Sequence[int], every: int = 1) -> Regions:
    """Every ``every``-th tile of a grid among those that hold foreground, in raster order."""
    _check(mask)
    if every < 1:
        raise ValueError(f"every={every}: take every k-th tile, k from 1.")
    tiles = grid_regions(tuple(mask.shape), size)
    holding = tiles.touches(mask).nonzero().flatten().tolist()
    return tiles.subset(holding[::every])


def _check(mask: Tensor) -> None:
    if not mask.any():
        raise ValueError(f"the segmentation of shape {tuple(mask.shape)} is empty: there is no object to put a RoI on.")
