# SPDX-License-Identifier: Apache-2.0
"""Deletion faithfulness of a segmentation's map: TDD, ODD, leakage and insertion gain (DEA, Eqs. 1, 3-5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from monai_causal.intervene import Evaluator, Fill, MaskedMeanProbability, MeanFill, mask_regions
from monai_causal.intervene.scores import Activation
from monai_causal.metrics.items import ClassIndex, Item, as_answer, items_of
from monai_causal.metrics.leakage import EPSILON, leak_absolute, leak_signed
from monai_causal.metrics.ranking import top_voxels

__all__ = ["DeletionFaithfulness"]


class DeletionFaithfulness:
    """What a map's highest voxels do to the answer inside a mask ``M``::

        s(x)  = sum over M of the class's probability / (|M| + 1e-8)                     (Eq. 1)
        TDD   = (s(x) - s(do(S_t := fill))) / (|s(x)| + 1e-8)                            (Eq. 3)
        ODD   = (s(x) - s(do(S_o := fill))) / (|s(x)| + 1e-8)                            (Eq. 4)
        gain  = (s(do(all but S_t := fill)) - s(do(all := fill))) / (|s(x)| + 1e-8)

    ``S_t`` is the top fraction of the voxels of M, ``S_o`` of those outside: ``max(1, round(fraction x size))`` each,
    ties in favour of the lower flat index. TDD and ODD are drops: positive where the score falls. All four
    interventions run as one batch.

    The paper describes the insertion gain and gives no equation; it is divided by what TDD is divided by, so that the
    two are on one scale and items compare.

    Outcomes at the edges: an empty mask is an error. Under a full mask there is no outside: ODD and leakage are 0.
    With a base score of 0 the ratios are as the equations have them, changes over 1e-8: 0 where the score stays 0, huge
    where it rises; nothing was segmented that an occlusion could delete, so leave out items whose ``"score"`` is 0.

    Args:
        network: a module or any callable ``(B, C, *spatial) -> (B, K, *spatial)``.
        top_fraction: k, in (0, 1].
        activation: of the score, see :data:`monai_causal.intervene.scores.Activation`.
        fill: what occludes; ``None``: ``MeanFill()``, the mean of the original per channel. It must be able to fill
            the whole image.
        options: further arguments of :class:`Evaluator`: ``inferer``, ``execution``, ``device``, ``batch_size`` ...

    Example:
        >>> network = nn.Conv2d(1, 2, 3, padding=1)
        >>> image, mask = torch.rand(1, 1, 16, 16), torch.zeros(16, 16)
        >>> mask[4:12, 4:12] = 1
        >>> found = DeletionFaithfulness(network)(image, torch.rand(1, 1, 16, 16), class_idx=1, mask=mask)
        >>> sorted(found)
        ['insertion_gain', 'leak_abs', 'leak_signed', 'odd', 'score', 'tdd']
    """

    def __init__(
        self,
        network: nn.Module | Callable[[Tensor], Any],
        top_fraction: float = 0.2,
        *,
        activation: Activation = "auto",
        fill: Fill | Callable[..., Any] | float | None = None,
        **options: Any,
    ) -> None:
        if not 0 < top_fraction <= 1:
            raise ValueError(f"top_fraction={top_fraction}: a fraction above 0 and at most 1, such as 0.2.")
        self.top_fraction = top_fraction
        self.activation = activation
        self.fill = MeanFill() if fill is None else fill
        self.evaluator = Evaluator(network, **options)

    def __call__(
        self, image: Tensor, heat: Tensor, class_idx: ClassIndex = 1, *, mask: Tensor | np.ndarray
    ) -> dict[str, float | Tensor]:
        """``score`` (a probability), ``tdd``, ``odd``, ``leak_abs``, ``leak_signed``, ``insertion_gain`` (fractions of
        the score): floats for one item, float64 tensors ``(B,)`` for a batch.

        Args:
            image: ``(B, C, *spatial)``.
            heat: the map ``(B, 1, *spatial)``.
            class_idx: the class, or one per item.
            mask: the target, ``(*spatial)``, ``(1, *spatial)`` or one per item ``(B, 1, *spatial)``.
        """
        rows = [self._item(item) for item in items_of(image, heat, class_idx, mask)]
        return {name: as_answer(torch.tensor([row[name] for row in rows], dtype=torch.float64)) for name in rows[0]}

    def _item(self, item: Item) -> dict[str, float]:
        target = top_voxels(item.heat, item.mask, self.top_fraction)
        everything = torch.ones_like(target)
        asked = {"target": target, "all but target": ~target, "all": everything}
        if not item.mask.all():
            asked["off target"] = top_voxels(item.heat, ~item.mask, self.top_fraction)
        # To intervene on nothing changes nothing: it is not asked, and its change is 0.
        asked = {name: where for name, where in asked.items() if where.any()}
        score = MaskedMeanProbability(item.mask, item.class_idx, self.activation)
        effects = self.evaluator(item.image, mask_regions(list(asked.values())), self.fill, score)
        size = int(item.mask.sum())
        of_mean = size / (size + EPSILON)  # the engine's score is the plain mean, Eq. 1 has its epsilon
        change = dict(zip(asked, (effects.ate * of_mean).tolist(), strict=True))
        base = float(effects.baseline) * of_mean
        scale = abs(base) + EPSILON
        tdd, odd = -change["target"] / scale, -change.get("off target", 0.0) / scale
        return {
            "score": base,
            "tdd": tdd,
            "odd": odd,
            "leak_abs": leak_absolute(tdd, odd),
            "leak_signed": leak_signed(tdd, odd),
            "insertion_gain": (change.get("all but target", 0.0) - change["all"]) / scale,
        }
