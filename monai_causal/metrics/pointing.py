# SPDX-License-Identifier: Apache-2.0
"""The pointing game: does a map's maximum lie on its target? (Zhang et al. 2018)"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from monai_causal.metrics.items import as_answer, items_of
from monai_causal.metrics.ranking import descending

__all__ = ["pointing_game"]


def pointing_game(heat: Tensor, mask: Tensor | np.ndarray, tolerance: float = 0.0) -> float | Tensor:
    """1 where the highest voxel lies in the mask, or at most ``tolerance`` voxels from one of it; else 0.

    Of several highest voxels the one with the lowest flat index counts, so a constant map points at the first voxel:
    it earns nothing by saying nothing. A float for one item, float64 ``(B,)`` for a batch; the mean over items is the
    game's accuracy.

    Args:
        heat: ``(B, 1, *spatial)``.
        mask: ``(*spatial)``, ``(1, *spatial)`` or one per item ``(B, 1, *spatial)``; an empty one is an error.
        tolerance: Euclidean distance in voxels (15 in the publication, at its image size).

    Example:
        >>> heat, mask = torch.zeros(1, 1, 4, 4), torch.zeros(4, 4)
        >>> heat[0, 0, 1, 1], mask[1, 3] = 1, 1
        >>> pointing_game(heat, mask), pointing_game(heat, mask, tolerance=2)
        (0.0, 1.0)
    """
    if tolerance < 0:
        raise ValueError(f"tolerance={tolerance}: a distance in voxels, 0 or more.")
    hits = []
    for item in items_of(heat, heat, None, mask):
        highest = torch.stack(torch.unravel_index(descending(item.heat)[0], item.heat.shape))
        distance = (item.mask.nonzero() - highest).double().norm(dim=1).min()
        hits.append(float(distance <= tolerance))
    return as_answer(torch.tensor(hits, dtype=torch.float64))
