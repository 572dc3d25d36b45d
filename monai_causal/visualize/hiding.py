# SPDX-License-Identifier: Apache-2.0
"""What RISE and KernelSHAP share: they hide random parts of an image and look what becomes of the score in a RoI."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from monai_causal.intervene import Evaluator, Fill, MeanFill, Regions, RoIDice, Score, mask_regions
from monai_causal.intervene.regions import Box, plain
from monai_causal.intervene.scores import Activation
from monai_causal.visualize.normalise import on_image

__all__ = ["HidingVisualizer"]


class HidingVisualizer(ABC):
    """A map for a RoI from what happens when many regions at once are replaced.

    Args:
        network: a module or any callable ``(B, C, *spatial) -> (B, K, *spatial)``.
        fill: with what it is hidden; by default the image's mean.
        class_idx, activation, threshold: of the Dice, see :class:`RoIDice`.
        score: ``(roi, reference) -> Score``, to ask about something else than the Dice.
        seed: the i-th hidden part is drawn from (seed, i).
        options: further arguments of :class:`Evaluator`: ``inferer``, ``execution``, ``batch_size``, ``device`` ...
    """

    at_once = 64
    """How many hidden parts are held in memory together."""

    def __init__(
        self,
        network: nn.Module | Callable[[Tensor], Any],
        fill: Fill | float | None = None,
        *,
        class_idx: int | None = None,
        activation: Activation = "auto",
        threshold: float | None = 0.5,
        score: Callable[[Any, Tensor | None], Score] | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.fill = MeanFill() if fill is None else fill
        self.score = score or (lambda roi, reference: RoIDice(roi, reference, activation, threshold, class_idx))
        self.seed = seed
        self.evaluator = Evaluator(network, seed=seed, **options)

    def __call__(self, image: Tensor, roi: Box | Tensor | np.ndarray, label: Tensor | None = None) -> Tensor:
        """The map ``(1, 1, *spatial)``; a MetaTensor with the image's affine where the image is one.

        Args:
            image: ``(1, C, *spatial)``.
            roi: where the answer is scored: a box ``((start, stop), ...)`` or a mask ``(*spatial)``.
            label: what the answer is compared with; ``None``: the network's own first answer.
        """
        if image.ndim < 3 or len(image) != 1:
            name = type(self).__name__
            raise ValueError(f"the image is {tuple(image.shape)}: {name} explains one at a time, (1, C, *spatial).")
        heat = self.compute_map(plain(image).detach(), self.score(roi, label))
        return on_image(heat[None, None], image)

    @abstractmethod
    def compute_map(self, image: Tensor, score: Score) -> Tensor:
        """The map ``(*spatial)`` of a plain image ``(1, C, *spatial)``."""

    def effects_of_hiding(self, image: Tensor, hidden: Tensor, first: int, score: Score) -> tuple[float, Tensor]:
        """The score before, and the effect (after - before) of hiding each of ``hidden``, bool ``(n, *spatial)``; the
        parts are numbered from ``first``, and so are their draws."""
        some = hidden.flatten(1).any(1)
        effects = torch.zeros(len(hidden), dtype=torch.float64)
        # Nothing hidden is no region. Where that is all, any region gives the score before.
        asked = hidden[some] if some.any() else torch.ones_like(hidden[:1])
        numbers = (first + some.nonzero().flatten()).tolist() or [first]
        items = tuple(replace(one, id=number) for one, number in zip(mask_regions(asked), numbers, strict=True))
        found = self.evaluator(image, Regions(tuple(image.shape[2:]), items), self.fill, score)
        if some.any():
            effects[some] = found.ate
        return float(found.baseline), effects
