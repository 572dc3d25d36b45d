# SPDX-License-Identifier: Apache-2.0
"""Region intervention attribution (RIA): what the masked mean probability loses without each cell of a grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from monai_causal.intervene import Fill, MaskedMeanProbability, MeanFill, Regions, grid_regions
from monai_causal.intervene.scores import Activation
from monai_causal.visualize.normalise import normalise, on_image
from monai_causal.visualize.refined_grid import refined_grid
from monai_causal.visualize.target import Mask, Target, TargetVisualizer

__all__ = ["RIA"]


class RIA(TargetVisualizer):
    """Region intervention attribution: the *drop* (before - after) of the masked mean class probability, Eq. 1, when a
    cell is replaced by the image's mean; constant over the cell, then min-max to [0, 1].

    Args:
        network: a module or any callable ``(B, C, *spatial) -> (B, K, *spatial)``.
        grid: cells per axis, one number or one per axis.
        fill: with what; several are averaged, see :meth:`per_fill` (beyond the paper: against missingness bias).
        draws: how often, for fills that leave something to chance.
        regions: other regions than the grid, or a function ``image (C, *spatial) -> Regions`` such as
            ``superpixel_regions`` (beyond the paper).
        refine: cells that the mask's boundary runs through are parted in so many per axis (beyond the paper); a part's
            drop is scaled to the size of its cell, so that small regions do not look weak for being small.
        signed: the drop itself, not min-max normalised: positive supports, negative suppresses.
        activation: logits to probabilities.
        options: further arguments of :class:`Evaluator`: ``inferer``, ``execution``, ``batch_size``, ``device`` ...

    Example:
        >>> ria = RIA(nn.Conv2d(1, 2, 3, padding=1), grid=4)
        >>> ria(torch.rand(1, 1, 16, 16), class_idx=1, mask=torch.ones(16, 16)).shape
        torch.Size([1, 1, 16, 16])
    """

    def __init__(
        self,
        network: nn.Module | Callable[[Tensor], Any],
        grid: int | Sequence[int] = 14,
        *,
        fill: Fill | float | Sequence[Fill | float] | None = None,
        draws: int = 1,
        regions: Regions | Callable[[Tensor], Regions] | None = None,
        refine: int = 1,
        signed: bool = False,
        activation: Activation = "auto",
        **options: Any,
    ) -> None:
        super().__init__(network, activation, **options)
        if refine < 1 or (refine > 1 and regions is not None):
            raise ValueError(f"refine={refine}: a whole number from 1, and for the grid only (leave regions out).")
        self.fills = list(fill) if isinstance(fill, Sequence) else [MeanFill() if fill is None else fill]
        self.grid, self.draws, self.regions, self.refine, self.signed = grid, draws, regions, refine, signed

    def compute_map(self, image: Tensor, targets: Sequence[Target]) -> Tensor:
        drops = torch.stack([self._drops(image[i : i + 1], one).mean(0) for i, one in enumerate(targets)])
        return drops if self.signed else normalise(drops)

    def per_fill(self, image: Tensor, class_idx: int = 1, mask: Mask | None = None) -> Tensor:
        """The drops under each fill by itself, ``(B, fills, *spatial)``: how far a map depends on what is put there."""
        asked, targets = self.targets(image, [(class_idx,)] * len(image), mask)
        drops = [self._drops(asked[i : i + 1], one)[:, 0] for i, one in enumerate(targets)]
        return on_image(torch.stack(drops), image)

    def _drops(self, image: Tensor, target: Target) -> Tensor:
        """Drops of one item painted over its regions, ``(fills, classes, *spatial)``."""
        regions, scale = self._where(image, target)
        score = MaskedMeanProbability(target.mask, target.classes, self.activation)
        effects = [self.evaluator(image, regions, fill, score, self.draws).data[0].mean(1) for fill in self.fills]
        return torch.stack([regions.to_map(-(one * scale[:, None]).T) for one in effects])

    def _where(self, image: Tensor, target: Target) -> tuple[Regions, Tensor]:
        if self.refine > 1:
            return refined_grid(target.mask, self.grid, self.refine)
        regions = self.regions(image[0]) if callable(self.regions) else self.regions
        regions = regions or grid_regions(image.shape[2:], cells=self.grid)
        return regions, torch.ones(len(regions), dtype=torch.float64)
