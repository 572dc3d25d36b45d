# SPDX-License-Identifier: Apache-2.0
"""Deletion and insertion curves of a map, conditioned on a mask, with their areas (after RISE, Petsiuk et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from monai_causal.intervene import Evaluator, Fill, MaskedMeanProbability, MeanFill, mask_regions
from monai_causal.intervene.scores import Activation
from monai_causal.metrics.items import ClassIndex, Item, as_answer, items_of
from monai_causal.metrics.ranking import descending, mask_of

__all__ = ["Curve", "Curves", "PerturbationCurves"]


@dataclass(frozen=True, eq=False)
class Curve:
    """A score along the share of voxels deleted or inserted; float64, with an axis for the items before where there
    are several.

    Attributes:
        fractions: ``(steps + 1,)``, from 0 to 1.
        scores: ``(steps + 1,)``, in the score's unit.
        intact: at which end the image is whole: 0 for deletion, -1 for insertion.
    """

    fractions: Tensor
    scores: Tensor
    intact: Literal[0, -1]

    @property
    def area(self) -> float | Tensor:
        """Area under the curve by the trapezoid rule: the mean score. Deletion: low is good; insertion: high."""
        return as_answer(torch.trapezoid(self.scores, self.fractions))

    @property
    def normalised_area(self) -> float | Tensor:
        """Area once the end of the intact image is 1 and the other 0, so that it does not tell how confident the
        network was: a straight line has 1/2. Not a number where both ends score the same."""
        whole, filled = self.scores[..., [self.intact]], self.scores[..., [-1 - self.intact]]
        span = (whole - filled).where(whole != filled, torch.nan)
        return as_answer(torch.trapezoid((self.scores - filled) / span, self.fractions))


class Curves(NamedTuple):
    """Both curves of a map."""

    deletion: Curve
    insertion: Curve


class PerturbationCurves:
    """The mean probability inside a mask while voxels go (deletion) or come (insertion) in the order of a map.

    Step k takes the first ``floor(k N / steps)`` of the N voxels, highest first, ties in favour of the lower flat
    index. Deletion fills them in the image; insertion puts them back into the filled image, so it fills all others.
    The ranking is known before, so all ``2 steps`` interventions run as one batched set.

    Args:
        network: a module or any callable ``(B, C, *spatial) -> (B, K, *spatial)``.
        steps: how many, after the start.
        within: ``"image"``: all voxels are ranked; ``"mask"``: only the mask's, as for TDD; the deletion curve then
            ends where the mask is filled, the insertion curve where all but the mask is.
        activation: of the score, see :data:`monai_causal.intervene.scores.Activation`.
        fill: with what; ``None``: ``MeanFill()``, the mean of the original per channel.
        options: further arguments of :class:`Evaluator`.

    Example:
        >>> network = nn.Conv2d(1, 1, 3, padding=1)
        >>> image, mask = torch.rand(1, 1, 12, 12), torch.ones(12, 12)
        >>> curves = PerturbationCurves(network, steps=6)(image, torch.rand(1, 1, 12, 12), mask=mask)
        >>> curves.deletion.scores.shape, curves.insertion.fractions[-1].item()
        (torch.Size([7]), 1.0)
    """

    def __init__(
        self,
        network: nn.Module | Callable[[Tensor], Any],
        steps: int = 20,
        *,
        within: Literal["image", "mask"] = "image",
        activation: Activation = "auto",
        fill: Fill | Callable[..., Any] | float | None = None,
        **options: Any,
    ) -> None:
        if steps < 1:
            raise ValueError(f"steps={steps}: a curve has at least one.")
        if within not in ("image", "mask"):
            raise ValueError(f"within={within!r}: choose 'image' or 'mask'.")
        self.steps = steps
        self.within = within
        self.activation = activation
        self.fill = MeanFill() if fill is None else fill
        self.evaluator = Evaluator(network, **options)

    def __call__(self, image: Tensor, heat: Tensor, class_idx: ClassIndex = 1, *, mask: Tensor | np.ndarray) -> Curves:
        """Both curves; arguments as :class:`monai_causal.metrics.DeletionFaithfulness`."""
        items = items_of(image, heat, class_idx, mask)
        orders = [self._order(number, item) for number, item in enumerate(items)]
        rows = [self._item(item, order) for item, order in zip(items, orders, strict=True)]
        fractions, deletion, insertion = (
            column[0] if len(rows) == 1 else torch.stack(column) for column in map(list, zip(*rows, strict=True))
        )
        return Curves(Curve(fractions, deletion, 0), Curve(fractions, insertion, -1))

    def _order(self, number: int, item: Item) -> Tensor:
        """Flat indices of the voxels, in the order in which they go."""
        ranked = item.mask if self.within == "mask" else torch.ones_like(item.mask)
        candidates = ranked.flatten().nonzero().flatten()
        if self.steps > len(candidates):
            raise ValueError(
                f"steps={self.steps}: item {number} has {len(candidates)} voxels to rank; a step takes at least one."
            )
        return candidates[descending(item.heat.flatten()[candidates])]

    def _item(self, item: Item, order: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The fractions and the scores of both curves, ``(steps + 1,)`` each."""
        counts = [step * len(order) // self.steps for step in range(self.steps + 1)]
        gone = [mask_of(order[:count], item.heat.shape) for count in counts]
        # To fill nothing changes nothing: not asked. That is where deletion starts and where insertion may end.
        asked = [where for where in [*gone, *(~kept for kept in gone)] if where.any()]
        score = MaskedMeanProbability(item.mask, item.class_idx, self.activation)
        effects = self.evaluator(item.image, mask_regions(asked), self.fill, score)
        changes = effects.ate.tolist()
        deleted = [0.0, *changes[: self.steps]]
        inserted = [*changes[self.steps :], 0.0][: self.steps + 1]
        base = float(effects.baseline)
        fractions = torch.tensor(counts, dtype=torch.float64) / len(order)
        return fractions, base + fractions.new_tensor(deleted), base + fractions.new_tensor(inserted)
