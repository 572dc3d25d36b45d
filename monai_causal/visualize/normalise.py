# SPDX-License-Identifier: Apache-2.0
"""The last step of every attribution map: min-max to [0, 1], and back onto the image it belongs to."""

from __future__ import annotations

import torch
from monai.data import MetaTensor
from torch import Tensor

from monai_causal.intervene.regions import plain

__all__ = ["normalise", "on_image"]


def normalise(maps: Tensor) -> Tensor:
    """``(A - min) / (max - min)`` of each map by itself, without an epsilon; a constant map becomes 0.

    Args:
        maps: ``(B, K, *spatial)``; each item's K maps are K maps.

    Example:
        >>> normalise(torch.tensor([[[2.0, 4.0, 3.0]], [[5.0, 5.0, 5.0]]])).tolist()
        [[[0.0, 1.0, 0.5]], [[0.0, 0.0, 0.0]]]
    """
    axes = tuple(range(2, maps.ndim))
    low, high = maps.amin(axes, keepdim=True), maps.amax(axes, keepdim=True)
    return torch.where(high > low, (maps - low) / (high - low), torch.zeros_like(maps))


def on_image(maps: Tensor, image: Tensor) -> Tensor:
    """Maps ``(B, K, *spatial)`` as an image has come: on its device, in its precision (float32 at least), and with its
    affine where it is a MetaTensor."""
    placed = maps.to(image.device, torch.promote_types(image.dtype, torch.float32))
    return MetaTensor(placed).copy_meta_from(image) if isinstance(image, MetaTensor) else plain(placed)
