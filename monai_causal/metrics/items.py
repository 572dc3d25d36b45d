# SPDX-License-Identifier: Apache-2.0
"""A batch as its items, each with its own map, class and mask; checked before the first forward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from monai_causal.intervene.regions import coverage, plain
from monai_causal.intervene.scores import check_count, for_item

__all__ = ["ClassIndex", "Item", "as_answer", "item_heats", "items_of", "located"]

ClassIndex = int | Sequence[int] | Tensor | None
"""The class asked about, one for all items or one per item; ``None`` where the network gives one channel."""


class Item(NamedTuple):
    """One item of a batch: ``image`` (1, C, *spatial); ``heat`` and ``mask`` (*spatial), on the CPU."""

    image: Tensor
    heat: Tensor
    class_idx: int | None
    mask: Tensor


def items_of(image: Tensor, heat: Tensor, class_idx: ClassIndex, mask: Tensor | np.ndarray) -> list[Item]:
    """The items of a batch ``(B, C, *spatial)``.

    Args:
        image: the batch.
        heat: ``(B, 1, *spatial)``, or ``(*spatial)`` where there is one item.
        class_idx: one class, or one per item.
        mask: ``(*spatial)``, ``(1, *spatial)`` or one per item ``(B, 1, *spatial)``; a voxel above 0.5 belongs.
    """
    heats = item_heats(heat, image)
    mask, shape = plain(mask), tuple(image.shape[2:])
    check_count(mask, shape, len(image), "mask")
    masks = [coverage(for_item(mask, item, len(shape)), shape) for item in range(len(image))]
    for item, covered in enumerate(masks):
        if not covered.any():
            raise ValueError(f"the mask of item {item} is empty: there is nothing to score; leave the item out.")
    if class_idx is None or isinstance(class_idx, int):
        classes: list[int | None] = [class_idx] * len(image)
    else:
        classes = [int(index) for index in class_idx]
        if len(classes) != len(image):
            raise ValueError(f"class_idx names {len(classes)} classes, the batch has {len(image)} items.")
    image = plain(image)
    return [Item(image[i : i + 1], heats[i], classes[i], masks[i]) for i in range(len(image))]


def item_heats(heat: Tensor, image: Tensor) -> Tensor:
    """Maps ``(B, *spatial)`` on the CPU, from ``(B, 1, *spatial)`` or, of one item, from ``(*spatial)``."""
    heat, shape = plain(heat).detach().cpu(), tuple(image.shape[2:])
    if heat.shape == shape and len(image) == 1:
        heat = heat[None, None]
    if heat.shape != (len(image), 1, *shape):
        raise ValueError(
            f"the map has shape {tuple(heat.shape)}; the image of shape {tuple(image.shape)} needs "
            f"{(len(image), 1, *shape)}: one channel per item, as large as the image."
        )
    return located(heat[:, 0])


def located(heat: Tensor) -> Tensor:
    """The map, or an error where some of it is not a number and so has no rank."""
    if not torch.isfinite(heat).all():
        raise ValueError(f"the map holds {int((~torch.isfinite(heat)).sum())} values that are NaN or infinite.")
    return heat


def as_answer(values: Tensor) -> float | Tensor:
    """A float for one item, the tensor ``(B,)`` for a batch."""
    return float(values) if values.numel() == 1 else values
