# SPDX-License-Identifier: Apache-2.0
"""A grid that is finer where a mask's boundary runs: RIA's stated limit is that its cells are coarser than edges."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_causal.intervene import Regions, box_regions, grid_regions

__all__ = ["refined_grid"]


def refined_grid(mask: Tensor, cells: int | Sequence[int], refine: int) -> tuple[Regions, Tensor]:
    """A grid whose cells that hold a voxel of the mask's boundary are parted in ``refine`` per axis.

    The boundary are the voxels with a neighbour, corners included, on the other side of the mask's edge.

    Args:
        mask: bool ``(*spatial)``.
        cells: of the coarse grid, per axis.
        refine: parts per axis of a cell, no more than its voxels.

    Returns:
        The regions, and for each the size of its coarse cell over its own ``(regions,)``, float64.

    Example:
        >>> mask = torch.zeros(8, 8, dtype=torch.bool)
        >>> mask[:3, :3] = True
        >>> regions, scale = refined_grid(mask, cells=2, refine=2)
        >>> regions.sizes, scale.tolist()
        ((4, 4, 4, 4, 16, 16, 16), [4.0, 4.0, 4.0, 4.0, 1.0, 1.0, 1.0])
    """
    shape = tuple(mask.shape)
    edge = boundary(mask)
    boxes, scale = [], []
    for cell in grid_regions(shape, cells=cells):
        parts = refine if bool(cell.within(edge).any()) else 1
        cuts = []
        for (start, _), length in zip(cell.box, cell.shape, strict=True):
            count = min(parts, length)
            cuts.append([start + i * length // count for i in range(count + 1)])
        for box in product(*(list(pairwise(cut)) for cut in cuts)):
            boxes.append(box)
            scale.append(cell.size / torch.Size(stop - start for start, stop in box).numel())
    return box_regions(shape, boxes), torch.tensor(scale, dtype=torch.float64)


def boundary(mask: Tensor) -> Tensor:
    """Voxels of ``mask`` (bool ``(*spatial)``) and around it that touch the other side."""
    pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[mask.ndim]

    def grown(inside: Tensor) -> Tensor:
        return pool(inside[None, None].float(), 3, 1, 1)[0, 0] > 0

    return grown(mask) & grown(~mask)
