# SPDX-License-Identifier: Apache-2.0
"""Perturbation-driven Causal Reasoning: which regions made this segmentation, and for how sure (PdCR, Eqs. 1-3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from monai.data import MetaTensor
from torch import Tensor, nn

from monai_causal.intervene import Effects, Evaluator, Fill, Regions, RoIDice, Score, grid_regions
from monai_causal.intervene.fills import as_fill
from monai_causal.intervene.modules import ModuleRegions
from monai_causal.intervene.regions import plain, without_leading_axes
from monai_causal.intervene.scores import Activation, hard_answer
from monai_causal.visualize.pdcr_result import PdCRResult
from monai_causal.visualize.rois import RoI, find_roi
from monai_causal.visualize.sampling import ExhaustiveRule, Floats, Rule, make_rule

__all__ = ["PdCR"]


class PdCR:
    """The average effect of replacing each region by what other images hold there, on the Dice inside a RoI::

        ATE_i = 1/N sum_t [M_RoI(f(x | do(x_i := b_t))) - M_RoI(f(x))]        (Eq. 2), M = Dice x 100

    Negative: the region supports the RoI's segmentation (the paper's red). Positive: it suppresses it (blue). Regions
    that touch the RoI are never intervened on; they are 0 in the map and no part of the profile.

    Args:
        network: a module or any callable ``(B, C, *spatial) -> (B, K, *spatial)``.
        fill: what regions are replaced by, such as ``DonorPatchFill(bank)``. One that leaves nothing to chance, such
            as ``MeanFill()``, makes the rule ``"exhaustive"``: there is one draw, or one per donor.
        patch_size: edge of the grid's patches in voxels, one number or one per axis; or see ``patch_mm``.
        rule: ``"paper"`` (S = n_screen, N = n_samples, as published), ``"exhaustive"`` (every donor once),
            ``"sequential"`` (growing looks, false discovery rate controlled, :class:`SequentialRule`), or a rule.
        n_screen, n_samples: of the paper's rule.
        tau: the largest effect that counts as none, in Dice points.
        activation, threshold, class_idx: of the Dice, see :class:`RoIDice`.
        seed: draws belong to (seed, region, draw).
        fdr, accuracy: of the sequential rule.
        patch_mm: edge of the patches in millimetres, through the image's affine, in place of ``patch_size``.
        roi_size: edge of the RoI where its place is found by the rule ``roi="boundary"``.
        score: ``(roi, reference) -> Score``, to ask about something else than the Dice; ``tau`` has its unit.
        options: further arguments of :class:`Evaluator`: ``inferer``, ``execution``, ``device``, ``progress`` ...

    Example:
        >>> from monai_causal.intervene import DonorPatchFill
        >>> network = nn.Conv2d(1, 1, 5, padding=2)
        >>> pdcr = PdCR(network, DonorPatchFill(torch.rand(20, 1, 8, 8)), patch_size=8)
        >>> result = pdcr.explain(torch.rand(1, 1, 32, 32), roi=((8, 16), (8, 16)), label=torch.ones(32, 32))
        >>> result.map.shape, len(result.ate)
        (torch.Size([1, 1, 32, 32]), 15)
    """

    def __init__(
        self,
        network: nn.Module | Callable[[Tensor], Any],
        fill: Fill | Callable[..., Any] | float,
        patch_size: int | Sequence[int] = 8,
        rule: Literal["paper", "exhaustive", "sequential"] | Rule = "sequential",
        n_screen: int = 3,
        n_samples: int = 50,
        tau: float = 0.02,
        activation: Activation = "auto",
        threshold: float | None = 0.5,
        seed: int = 0,
        *,
        class_idx: int | None = None,
        fdr: float = 0.05,
        accuracy: float = 0.3,
        patch_mm: float | Sequence[float] | None = None,
        roi_size: int | Sequence[int] = 32,
        score: Callable[[Any, Tensor | None], Score] | None = None,
        **options: Any,
    ) -> None:
        fill = as_fill(fill)
        if rule == "exhaustive" or (isinstance(rule, str) and fill.distinct_draws is not None):
            fill = fill.exhaustive()
            rule = ExhaustiveRule(fill.distinct_draws or 1)
        self.fill = fill
        self.rule = make_rule(rule, n_screen, n_samples, tau, fdr, accuracy)
        self.patch_size, self.patch_mm, self.roi_size = patch_size, patch_mm, roi_size
        self.score = score or (lambda roi, reference: RoIDice(roi, reference, activation, threshold, class_idx))
        self.class_idx, self.activation, self.threshold = class_idx, activation, threshold
        self.evaluator = Evaluator(network, seed=seed, **options)

    def __call__(self, image: Tensor, roi: RoI = "boundary", label: Tensor | None = None) -> Tensor:
        """The map ``(1, 1, *spatial)`` alone; arguments as :meth:`explain`."""
        return self.explain(image, roi, label).map

    def explain(
        self,
        image: Tensor,
        roi: RoI = "boundary",
        label: Tensor | None = None,
        regions: Regions | ModuleRegions | None = None,
    ) -> PdCRResult:
        """Effects of all regions on the RoI.

        Args:
            image: ``(1, C, *spatial)``; a MetaTensor's affine goes into the maps.
            roi: a box, a mask ``(*spatial)``, or a rule for where the object is: ``"boundary"`` (the box of
                ``roi_size``, at a multiple of the patch size, that the object fills nearest to a half) or
                ``"component"`` (the object's largest connected part).
            label: what the answer is compared with; ``None``: the network's own first answer.
            regions: any other regions: supervoxels, organs, components of the network.
        """
        if image.ndim < 3 or len(image) != 1:
            raise ValueError(f"the image is {tuple(image.shape)}: PdCR explains one at a time, (1, C, *spatial).")
        shape = tuple(image.shape[2:])
        if regions is None:
            regions = self._grid(image, shape)
        place = find_roi(roi, shape, lambda: self._object(image, label), self.roi_size, self.patch_size)
        if isinstance(regions, Regions):
            beside = ~regions.touches(place)
            if not beside.any():
                raise ValueError(
                    f"each of the {len(regions)} regions touches the RoI: choose smaller ones, or a smaller RoI."
                )
            regions = regions.subset(beside)
        score = self.score(place, label)
        runs: list[Effects] = []

        def ask(rows: Sequence[int], draws: range) -> Floats:
            runs.append(self.evaluator(image, regions.subset(rows), self.fill, score, draws))
            return runs[-1].values.cpu().numpy()

        verdict = self.rule.sample(ask, len(regions))
        return PdCRResult.of(verdict, runs, regions, place, self.rule)

    def _grid(self, image: Tensor, shape: tuple[int, ...]) -> Regions:
        if self.patch_mm is None:
            return grid_regions(shape, self.patch_size)
        if not isinstance(image, MetaTensor):
            raise ValueError(
                f"patch_mm={self.patch_mm} needs the image's affine: give a MetaTensor, or patch_size in voxels."
            )
        affine = image.affine[0] if image.affine.ndim == 3 else image.affine
        return grid_regions(shape, patch_mm=self.patch_mm, affine=affine)

    def _object(self, image: Tensor, label: Tensor | None) -> Tensor:
        """Where the object is, for a RoI that is found by a rule: bool ``(*spatial)``."""
        if label is None:
            output = self.evaluator.answer(image)
            index = self.class_idx or 0
            return hard_answer(output, 0 if output.shape[1] == 1 else index, self.activation, self.threshold)[0]
        labels = without_leading_axes(plain(label), image.shape[2:], "the label")
        if labels.dtype == torch.bool:
            return labels
        return labels > 0.5 if self.class_idx is None else labels == self.class_idx
