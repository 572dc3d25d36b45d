# SPDX-License-Identifier: Apache-2.0
"""KernelSHAP (Lundberg & Lee 2017) of regions: Shapley values of the game "replace these regions"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from monai_causal.intervene import Fill, Regions, Score, grid_regions
from monai_causal.visualize.hiding import HidingVisualizer
from monai_causal.visualize.shapley import coalitions, shapley_values

__all__ = ["KernelShap"]


class KernelShap(HidingVisualizer):
    """Shapley values of regions, in the score's unit (Dice points) and with an effect's sign: a region's mean
    effect (after - before) when it is replaced beside others. Negative: it supports the answer. They sum to the effect
    of replacing all of them.

    Args:
        network: a module or any callable.
        fill: with what regions are replaced; by default the image's mean.
        grid: cells per axis; 8 gives 64 regions in 2-D, of which 1024 coalitions are 16 times as many.
        n_samples: coalitions; exact where all of them are no more than that. At least twice as many as regions.
        regions: other regions than the grid, or a function ``image (C, *spatial) -> Regions``.
        options: ``class_idx``, ``score``, ``seed`` ..., see :class:`HidingVisualizer`.

    Example:
        >>> shap = KernelShap(nn.Conv2d(1, 1, 3, padding=1), grid=2)
        >>> shap(torch.rand(1, 1, 16, 16), roi=((4, 8), (4, 8)), label=torch.ones(16, 16)).shape
        torch.Size([1, 1, 16, 16])
    """

    def __init__(
        self,
        network: nn.Module | Callable[[Tensor], Any],
        fill: Fill | float | None = None,
        grid: int | Sequence[int] = 8,
        n_samples: int = 1024,
        *,
        regions: Regions | Callable[[Tensor], Regions] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(network, fill, **options)
        self.grid, self.n_samples, self.regions = grid, n_samples, regions

    def compute_map(self, image: Tensor, score: Score) -> Tensor:
        regions = self.regions(image[0]) if callable(self.regions) else self.regions
        regions = regions or grid_regions(image.shape[2:], cells=self.grid)
        return regions.to_map(self.values(image, regions, score))

    def values(self, image: Tensor, regions: Regions, score: Score) -> Tensor:
        """The Shapley value of each region ``(regions,)``."""
        count = len(regions)
        if self.n_samples < min(2 * count, 2**count - 2):
            raise ValueError(
                f"n_samples={self.n_samples} for {count} regions: at least {2 * count} are needed, or fewer regions."
            )
        members, weights = coalitions(count, self.n_samples, self.seed)
        members = torch.cat([members, torch.ones(1, count, dtype=torch.bool)])
        worth = []
        for first in range(0, len(members), self.at_once):
            hidden = torch.stack([_union(regions, row) for row in members[first : first + self.at_once]])
            worth.append(self.effects_of_hiding(image, hidden, first, score)[1])
        u = torch.cat(worth)
        return u if count == 1 else shapley_values(members[:-1], u[:-1], weights, float(u[-1]))


def _union(regions: Regions, members: Tensor) -> Tensor:
    """Bool ``(*spatial)``: the voxels of the regions that belong to a coalition."""
    covered = torch.zeros(regions.spatial_shape, dtype=torch.bool)
    for row in members.nonzero().flatten().tolist():
        region = regions[row]
        covered[region.index[1:]] |= True if region.mask is None else region.mask.cpu()
    return covered
