# SPDX-License-Identifier: Apache-2.0
"""RISE (Petsiuk et al. 2018) for a region of interest: the expected score where a voxel is left visible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_causal.intervene import Fill, Score
from monai_causal.intervene.draws import draw_generator
from monai_causal.intervene.regions import per_axis
from monai_causal.visualize.hiding import HidingVisualizer
from monai_causal.visualize.normalise import normalise

__all__ = ["RISE", "visible_part"]


def visible_part(
    spatial_shape: Sequence[int], cells: int | Sequence[int], share: float, seed: int, number: int
) -> Tensor:
    """What the ``number``-th mask leaves visible, bool ``(*spatial)``: a coarse random grid, each cell visible with
    probability ``share``, up-sampled (bi- or trilinear), shifted by a random part of a cell, and cut at one half."""
    counts = per_axis(cells, len(spatial_shape), "cells")
    edges = [-(-length // count) for length, count in zip(spatial_shape, counts, strict=True)]
    generator = draw_generator(seed, number, -1)  # a draw that no fill makes
    coarse = torch.from_numpy(generator.random([count + 1 for count in counts]) < share).double()
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(counts)]
    size = [(count + 1) * edge for count, edge in zip(counts, edges, strict=True)]
    fine = F.interpolate(coarse[None, None], size=size, mode=mode, align_corners=False)[0, 0]
    starts = [int(generator.integers(edge)) for edge in edges]
    return fine[tuple(slice(s, s + n) for s, n in zip(starts, spatial_shape, strict=True))] > 0.5


class RISE(HidingVisualizer):
    """``E[S | voxel visible]`` over random masks, then min-max: high where seeing the voxel goes with a good score.

    The published masks are soft; these are cut at one half, so that hiding is an intervention like any other, and the
    mean over the masks that show a voxel takes the place of the division by the expected mask. An effect's sign, which
    is that of hiding, is turned: the map is one of importance.

    Args:
        network: a module or any callable.
        fill: with what the rest is hidden; by default the image's mean.
        n_masks: how many; the error of the map falls with its root. The publication takes 4000 to 8000.
        cells: of the coarse grid, per axis; 7 as published.
        share: probability that a cell is visible; 0.5 as published.
        options: ``class_idx``, ``score``, ``seed`` ..., see :class:`HidingVisualizer`.

    Example:
        >>> rise = RISE(nn.Conv2d(1, 1, 3, padding=1), n_masks=20, cells=4)
        >>> rise(torch.rand(1, 1, 16, 16), roi=((4, 8), (4, 8)), label=torch.ones(16, 16)).shape
        torch.Size([1, 1, 16, 16])
    """

    def __init__(
        self,
        network: nn.Module | Callable[[Tensor], Any],
        fill: Fill | float | None = None,
        n_masks: int = 1000,
        cells: int | Sequence[int] = 7,
        share: float = 0.5,
        **options: Any,
    ) -> None:
        super().__init__(network, fill, **options)
        if n_masks < 1 or not 0 < share < 1:
            raise ValueError(f"n_masks={n_masks}, share={share}: at least one mask, and a share between 0 and 1.")
        self.n_masks, self.cells, self.share = n_masks, cells, share

    def compute_map(self, image: Tensor, score: Score) -> Tensor:
        return normalise(self.expected_score(image, score)[None, None])[0, 0]

    def expected_score(self, image: Tensor, score: Score) -> Tensor:
        """``E[S | voxel visible]`` in the score's unit, ``(*spatial)``; a voxel that no mask shows gets the mean."""
        shape = tuple(image.shape[2:])
        total, shown = torch.zeros(2, *shape, dtype=torch.float64)
        overall = 0.0
        for first in range(0, self.n_masks, self.at_once):
            numbers = range(first, min(first + self.at_once, self.n_masks))
            visible = torch.stack([visible_part(shape, self.cells, self.share, self.seed, one) for one in numbers])
            before, effects = self.effects_of_hiding(image, ~visible, first, score)
            total += torch.einsum("n,n...->...", before + effects, visible.double())
            shown += visible.sum(0)
            overall += float((before + effects).sum()) / self.n_masks
        return torch.where(shown > 0, total / shown, overall)
