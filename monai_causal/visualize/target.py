# SPDX-License-Identifier: Apache-2.0
"""What GPA, EGA, RIA and DEA are asked: why is there this class inside this mask?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from monai_causal.intervene import Evaluator
from monai_causal.intervene.regions import Box, coverage, plain
from monai_causal.intervene.scores import Activation, check_count, for_item, hard_answer
from monai_causal.visualize.normalise import on_image

__all__ = ["Mask", "Target", "TargetVisualizer"]

Mask = Tensor | np.ndarray | Box
"""``(*spatial)``, ``(1, *spatial)`` or one per item ``(B, 1, *spatial)``; above 0.5 is inside. Or a box."""


@dataclass(frozen=True, eq=False)
class Target:
    """What is asked about one item: ``classes`` (``None``: the only channel) inside ``mask``, bool ``(*spatial)``."""

    classes: tuple[int, ...] | None
    mask: Tensor


class TargetVisualizer(ABC):
    """The call of a map that explains a class c inside a mask M.

    Args:
        network: ``(B, C, *spatial) -> (B, K, *spatial)``; dict and tuple outputs are understood.
        activation: logits to probabilities, see :data:`monai_causal.intervene.scores.Activation`.
        options: further arguments of :class:`Evaluator`: ``inferer``, ``execution``, ``batch_size``, ``device`` ...
    """

    def __init__(
        self, network: nn.Module | Callable[[Tensor], Any], activation: Activation = "auto", **options: Any
    ) -> None:
        self.activation = activation
        self.evaluator = Evaluator(network, **options)

    @abstractmethod
    def compute_map(self, image: Tensor, targets: Sequence[Target]) -> Tensor:
        """Maps ``(B, classes, *spatial)`` of a plain image ``(B, C, *spatial)``, one target per item."""

    def __call__(
        self, image: Tensor, class_idx: int | Sequence[int] | Tensor | np.ndarray | None = 1, mask: Mask | None = None
    ) -> Tensor:
        """The map ``(B, 1, *spatial)``; a MetaTensor with the image's affine where the image is one.

        Args:
            image: ``(B, C, *spatial)``.
            class_idx: the class, or one per item; a one-channel network answers about its only channel.
            mask: M, see :data:`Mask`; ``None``: where the network itself answers the class.
        """
        given = class_idx.tolist() if isinstance(class_idx, Tensor | np.ndarray) else class_idx
        listed = list(given) if isinstance(given, Sequence) else [given] * len(image)
        if len(listed) != len(image):
            raise ValueError(
                f"class_idx={listed} for {len(image)} items: give one class, or one per item; for several classes of "
                "each item there is for_classes()."
            )
        return self._explain(image, [None if one is None else (int(one),) for one in listed], mask)

    def for_classes(self, image: Tensor, classes: Sequence[int], mask: Mask) -> Tensor:
        """Beyond the paper: several classes in one pass, ``(B, classes, *spatial)``, each map as of a call of its own.
        The interventions are run once for all of them."""
        return self._explain(image, [tuple(int(one) for one in classes)] * len(image), mask)

    def targets(
        self, image: Tensor, classes: Sequence[tuple[int, ...] | None], mask: Mask | None
    ) -> tuple[Tensor, list[Target]]:
        """The plain image and what is asked about each item, or an error that says what is wrong."""
        if image.ndim < 3 or not image.is_floating_point() or not torch.isfinite(image).all():
            raise ValueError(
                f"the image is {image.dtype} {tuple(image.shape)}: a floating point tensor (B, C, *spatial) without "
                "NaN and infinite values is needed."
            )
        asked, shape = plain(image).detach(), tuple(image.shape[2:])
        if mask is None:
            mask = self._own_answer(asked, [one[0] if one else 0 for one in classes])
        where = plain(mask) if isinstance(mask, Tensor | np.ndarray) else mask
        check_count(where, shape, len(image), "mask")
        masks = [coverage(for_item(where, item, len(shape)), shape) for item in range(len(image))]
        for item, inside in enumerate(masks):
            if not inside.any():
                raise ValueError(f"the mask of item {item} is empty: there is no answer to explain; choose another.")
        return asked, [Target(one, inside) for one, inside in zip(classes, masks, strict=True)]

    def _own_answer(self, image: Tensor, classes: Sequence[int]) -> Tensor:
        output = self.evaluator.answer(image)
        several = output.shape[1] > 1  # then the class that beats the others, else a probability above one half
        rows = [
            hard_answer(output[item : item + 1], index if several else 0, self.activation, None if several else 0.5)
            for item, index in enumerate(classes)
        ]
        return torch.stack(rows)

    def _explain(self, image: Tensor, classes: Sequence[tuple[int, ...] | None], mask: Mask | None) -> Tensor:
        asked, targets = self.targets(image, classes, mask)
        return on_image(self.compute_map(asked, targets), image)
