# SPDX-License-Identifier: Apache-2.0
"""Is an image answered for the right reason? Two numbers from interventions on it, each from 0 to 1.

The share of effect outside the prediction: every cell of a grid is replaced by the image's mean, and the drop or rise
of the answer's probability is summed over what lies outside it, as a share of all. An answer that hangs on a marker, a
border or the lamp's reflection has much of it outside.

Disagreement under do(confounder): light, contrast, sharpness and noise are changed as a site or a camera may change
them, the finding being what it was; how much of the answer does not stay?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from scipy import ndimage
from torch import Tensor

from monai_causal.apps.explain.models import Model
from monai_causal.intervene import Evaluator, MaskedMeanProbability, MeanFill, Regions, grid_regions
from monai_causal.intervene.regions import plain
from monai_causal.label.served import ServedBundle, first_answer

__all__ = ["CONFOUNDERS", "Evidence", "disagreement", "evidence_of", "share_outside"]

CELLS = {2: 8, 3: 4}
"""Cells per axis of the grid, by the image's axes."""

NOISE = 0.06  # of the image's range, one standard deviation
BLUR = 1.5  # voxels, one standard deviation


def _blurred(unit: Tensor) -> Tensor:
    sigma = (0.0, 0.0, *(BLUR,) * (unit.ndim - 2))
    return torch.from_numpy(ndimage.gaussian_filter(unit.double().numpy(), sigma, mode="nearest")).to(unit.dtype)


def _noisy(unit: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return unit + NOISE * torch.randn(unit.shape, generator=generator)


CONFOUNDERS: dict[str, Callable[[Tensor], Tensor]] = {
    "dim light": lambda unit: 0.6 * unit,
    "bright light": lambda unit: 1 - 0.6 * (1 - unit),
    "low contrast": lambda unit: unit.mean() + 0.5 * (unit - unit.mean()),
    "blur": _blurred,
    "noise": _noisy,
}
"""What is done to an image ``(1, C, *spatial)`` whose own range is brought to [0, 1] before, and back after."""


@dataclass(frozen=True)
class Evidence:
    """What was found of one image.

    Attributes:
        outside: share of effect outside the prediction; ``None`` where nothing is predicted or nothing has an effect.
        disagreement: the mean over confounders of the share of the answer that does not stay.
        by_confounder: the same of each.
        score: the mean of what is known of the two; high: answered for the wrong reason.
    """

    outside: float | None
    disagreement: float
    by_confounder: dict[str, float]

    @property
    def score(self) -> float:
        known = [value for value in (self.outside, self.disagreement) if value is not None]
        return sum(known) / len(known)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"score": self.score}


def evidence_of(served: ServedBundle, model: Model, image: Tensor, device: torch.device) -> Evidence:
    """Both numbers of an image ``(1, C, *spatial)`` as the network gets it."""
    output = first_answer(model, image, device)
    answer = served.label_map(output, model)
    changed = {
        name: served.label_map(first_answer(model, under(image, do), device), model) for name, do in CONFOUNDERS.items()
    }
    by_confounder = {name: disagreement(answer, other) for name, other in changed.items()}
    outside = None
    if answer.any():
        value = 1 + int(torch.bincount(answer[answer > 0].long())[1:].argmax())
        mask = answer == value
        class_idx = None if output.shape[1] == 1 else value - 1 + served.first
        regions = grid_regions(mask.shape, cells=[min(CELLS[mask.ndim], length) for length in mask.shape])
        asking = Evaluator(model.network, inferer=model.inferer, device=device)
        score = MaskedMeanProbability(mask, class_idx, model.activation)
        effects = asking(plain(image), regions, MeanFill(), score)
        outside = share_outside(effects.ate, regions, mask)
    return Evidence(outside, sum(by_confounder.values()) / len(by_confounder), by_confounder)


def share_outside(effects: Tensor, regions: Regions, mask: Tensor) -> float | None:
    """How much of the sum of ``|effects|`` ``(regions,)`` lies outside a mask ``(*spatial)``; a region's effect is
    shared out by its voxels. ``None`` where there is no effect at all."""
    strength = effects.abs().double().flatten()
    free = torch.tensor([1 - region.within(mask).double().mean().item() for region in regions], dtype=torch.float64)
    total = float(strength.sum())
    return float((strength * free).sum()) / total if total > 0 else None


def disagreement(first: Tensor, second: Tensor) -> float:
    """``1 - Dice`` of two label maps over all their classes at once; 0 where both are empty.

    Example:
        >>> disagreement(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 2, 2]))
        0.33333333333333337
    """
    held = int((first > 0).sum()) + int((second > 0).sum())
    return 1 - 2 * int(((first == second) & (first > 0)).sum()) / held if held else 0.0


def under(image: Tensor, do: Callable[[Tensor], Tensor]) -> Tensor:
    """An image ``(1, C, *spatial)`` under an intervention of :data:`CONFOUNDERS`; what leaves its range is cut."""
    values = plain(image).float()
    low, high = values.min(), values.max()
    width = high - low if high > low else torch.ones(())
    return low + width * do((values - low) / width).clamp(0, 1)
