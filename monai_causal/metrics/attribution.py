# SPDX-License-Identifier: Apache-2.0
"""Do a map's first regions matter? Averaged attribution (PdCR, Table 2) and progressive perturbation (Fig. 5).

The paper names both and leaves the region, the operator, the sign and the unit open. What is chosen here, and why,
stands with each function; what else it could mean goes by a name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from monai_causal.intervene import Effects, Evaluator, Fill, Regions, Score
from monai_causal.intervene.fills import as_fill
from monai_causal.intervene.regions import Box, plain
from monai_causal.metrics.items import item_heats, located
from monai_causal.metrics.joint import JointFill, joint_regions
from monai_causal.metrics.ranking import descending

__all__ = ["ProgressiveCurve", "averaged_attribution", "progressive_curve", "ranked_regions"]

AverageRule = Literal["absolute", "signed", "joint", "normalised"]
ProgressRule = Literal["together", "signed", "accumulated"]


def ranked_regions(
    image: Tensor, heat: Tensor, regions: Regions, roi: Box | Regions | Tensor | np.ndarray
) -> list[int]:
    """Positions in ``regions`` from the highest mean ``|heat|`` to the lowest, ties in favour of the lower position.

    Regions that share a voxel with the RoI are left out: what a RoI owes to itself is no context.

    Args:
        image: ``(1, C, *spatial)``.
        heat: a map ``(1, 1, *spatial)`` or ``(*spatial)``, or one value per region ``(regions,)``.
        regions: where.
        roi: a box, or a mask ``(*spatial)``.
    """
    if len(image) != 1:
        raise ValueError(f"the image is {tuple(image.shape)}: regions are ranked for one at a time, (1, C, *spatial).")
    heat = plain(heat)
    if heat.ndim == 1:
        if len(heat) != len(regions):
            raise ValueError(f"{len(heat)} values for {len(regions)} regions: give one per region, or a map.")
        strength = located(heat.detach().cpu()).abs().double()
    else:
        volume = item_heats(heat, image)[0].abs().double()
        strength = torch.stack([region.within(volume).mean() for region in regions.to(volume.device)])
    eligible = (~regions.touches(roi)).nonzero().flatten()
    return eligible[descending(strength[eligible])].tolist()


def averaged_attribution(
    evaluator: Evaluator,
    image: Tensor,
    heat: Tensor,
    regions: Regions,
    fill: Fill | Callable[..., Any] | float,
    score: Score | Callable[[Tensor], Tensor],
    *,
    roi: Box | Regions | Tensor | np.ndarray,
    top: int = 10,
    draws: int = 1,
    rule: AverageRule = "absolute",
    effects: Effects | None = None,
) -> float:
    """The averaged attribution on a map's ``top`` regions (Table 2), in the score's unit: Dice points of a RoIDice.

    ``rule`` says which average:

    - ``"absolute"`` (default): mean of ``|ATE_i|`` of the top regions, intervened on one at a time. Absolute, because
      the paper's "higher is better" and a ranking by magnitude count a region that suppresses as much as one that
      supports; one at a time, because that is the intervention of Eq. 2.
    - ``"signed"``: mean of ``ATE_i``, after - before: negative where the regions support.
    - ``"joint"``: ``|ATE|`` of replacing all of them at once, each member as it would be alone.
    - ``"normalised"``: the absolute one over that of the best possible ``top`` regions, a fraction; every region
      outside the RoI is asked. Not a number where no region has an effect. With random draws the best possible is
      chosen by the same draws that measure it, hence optimistic, and the same for all maps.

    Args:
        evaluator: who asks the network.
        image: ``(1, C, *spatial)``.
        heat: a map ``(1, 1, *spatial)`` or one value per region ``(regions,)``; ranked by mean magnitude.
        regions: where; those that touch the RoI are left out.
        fill: with what.
        score: compared on what, one number per item.
        roi: a box, or a mask ``(*spatial)``.
        top: how many regions.
        draws: how many draws of the fill each effect is averaged over.
        rule: see above.
        effects: effects of these regions (or a subset that holds all that are needed) with this fill and score, known
            from an earlier call: looked up, not asked again. Of no use to ``"joint"``.

    Example:
        >>> from monai_causal.intervene import MeanFill, RoIDice, grid_regions
        >>> network = torch.nn.Conv2d(1, 1, 9, padding=4)
        >>> image, roi = torch.rand(1, 1, 32, 32), ((12, 20), (12, 20))
        >>> heat, regions = torch.rand(1, 1, 32, 32), grid_regions((32, 32), 4)
        >>> score = RoIDice(roi, torch.ones(32, 32))
        >>> averaged_attribution(Evaluator(network), image, heat, regions, MeanFill(), score, roi=roi) >= 0
        True
    """
    if rule not in ("absolute", "signed", "joint", "normalised"):
        raise ValueError(f"rule={rule!r}: choose 'absolute', 'signed', 'joint' or 'normalised'.")
    order = _top_of(image, heat, regions, roi, top)
    ask = _Question(evaluator, image, regions, as_fill(fill), score, draws, effects)
    if rule == "joint":
        return abs(float(ask.joint([order[:top]])[0]))
    if rule == "signed":
        return float(ask.single(order[:top]).mean())
    if rule == "absolute":
        return float(ask.single(order[:top]).abs().mean())
    magnitudes = ask.single(order).abs()
    best = magnitudes.sort(descending=True).values[:top].mean()
    return float(magnitudes[:top].mean() / best) if best > 0 else float("nan")


@dataclass(frozen=True, eq=False)
class ProgressiveCurve:
    """The effect of the first k regions of a map, for k = 0 .. top.

    Attributes:
        order: positions of the regions, in the order in which they go, ``(top,)``.
        effects: float64 ``(top + 1,)`` in the score's unit; 0 at k = 0.
    """

    order: tuple[int, ...]
    effects: Tensor

    @property
    def area(self) -> float:
        """Area by the trapezoid rule over the share k / top of the regions: the curve's mean height, in the score's
        unit, whatever ``top``."""
        return float(torch.trapezoid(self.effects)) / len(self.order)


def progressive_curve(
    evaluator: Evaluator,
    image: Tensor,
    heat: Tensor,
    regions: Regions,
    fill: Fill | Callable[..., Any] | float,
    score: Score | Callable[[Tensor], Tensor],
    *,
    roi: Box | Regions | Tensor | np.ndarray,
    top: int = 10,
    draws: int = 1,
    rule: ProgressRule = "together",
    effects: Effects | None = None,
) -> ProgressiveCurve:
    """The attribution curve under progressive perturbation (Fig. 5); arguments as :func:`averaged_attribution`.

    ``rule`` says what stands at k:

    - ``"together"`` (default): ``|ATE|`` of replacing the first k regions at once, each as it would be alone. That is
      what "progressive perturbation" says, it sees redundant and interacting regions, and its magnitude is what the
      figure's rising curves show. All groups are one batched set; a region's donors are the same in all of them.
    - ``"signed"``: the same without the magnitude, after - before.
    - ``"accumulated"``: the sum of ``|ATE_i|`` of the first k regions, one at a time: at k = 10 ten times Table 2.
    """
    if rule not in ("together", "signed", "accumulated"):
        raise ValueError(f"rule={rule!r}: choose 'together', 'signed' or 'accumulated'.")
    order = _top_of(image, heat, regions, roi, top)[:top]
    ask = _Question(evaluator, image, regions, as_fill(fill), score, draws, effects)
    if rule == "accumulated":
        after = ask.single(order).abs().cumsum(0)
    else:
        after = ask.joint([order[: k + 1] for k in range(top)])
        after = after.abs() if rule == "together" else after
    return ProgressiveCurve(tuple(order), torch.cat([after.new_zeros(1), after]))


def _top_of(
    image: Tensor, heat: Tensor, regions: Regions, roi: Box | Regions | Tensor | np.ndarray, top: int
) -> list[int]:
    order = ranked_regions(image, heat, regions, roi)
    if not 1 <= top <= len(order):
        raise ValueError(
            f"top={top}: {len(order)} of {len(regions)} regions do not touch the RoI; ask for between 1 and that many."
        )
    return order


@dataclass(frozen=True)
class _Question:
    """Effects of some regions on one image, alone or together, float64."""

    evaluator: Evaluator
    image: Tensor
    regions: Regions
    fill: Fill
    score: Score | Callable[[Tensor], Tensor]
    draws: int
    known: Effects | None

    def single(self, rows: list[int]) -> Tensor:
        """ATE of each region alone ``(rows,)``."""
        if self.known is None:
            return _scalar(self.evaluator(self.image, self.regions.subset(rows), self.fill, self.score, self.draws))
        assert isinstance(self.known.regions, Regions)
        place = {id: at for at, id in enumerate(self.known.regions.ids)}
        missing = [self.regions[row].id for row in rows if self.regions[row].id not in place]
        if missing:
            raise ValueError(
                f"the known effects lack {len(missing)} of {len(rows)} regions, the first with id {missing[0]}: give "
                "the effects of all regions, or none."
            )
        return _scalar(self.known)[[place[self.regions[row].id] for row in rows]]

    def joint(self, groups: list[list[int]]) -> Tensor:
        """ATE of each group at once ``(groups,)``."""
        fill = JointFill(self.fill, self.regions, groups)
        asked = joint_regions(self.regions, groups)
        return _scalar(self.evaluator(self.image, asked, fill, self.score, self.draws))


def _scalar(effects: Effects) -> Tensor:
    if effects.vector or len(effects.data) != 1:
        raise ValueError("an attribution is one number per region: use a score of one class, and one image.")
    return effects.ate
