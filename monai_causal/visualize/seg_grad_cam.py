# SPDX-License-Identifier: Apache-2.0
"""Seg-Grad-CAM restricted to a region of interest: PdCR's compared method SEG-GRAD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from monai_causal.intervene.regions import Box, coverage, plain, without_leading_axes
from monai_causal.visualize.gpa import GPA

__all__ = ["SegGradCAM"]


class SegGradCAM:
    """:class:`GPA` whose mask is the RoI: the gradient of the class's mean logit over the RoI, pooled per channel.

    Args:
        network: a module.
        target_layers: the layer, by default the deepest one, which is the bottleneck that PdCR's comparison takes.
        class_idx: the class; needed where the network gives more than one channel.
        options: of :class:`GPA`: ``inferer``, ``device``.

    Example:
        >>> cam = SegGradCAM(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1)), "0")
        >>> cam(torch.rand(1, 1, 16, 16), roi=((4, 8), (4, 8))).shape
        torch.Size([1, 1, 16, 16])
    """

    def __init__(
        self,
        network: nn.Module,
        target_layers: str | Sequence[str] | None = None,
        class_idx: int | None = None,
        **options: Any,
    ) -> None:
        self.gpa = GPA(network, target_layers, **options)
        self.class_idx = class_idx

    def __call__(self, image: Tensor, roi: Box | Tensor | np.ndarray, label: Tensor | None = None) -> Tensor:
        """The map ``(1, 1, *spatial)`` in [0, 1].

        Args:
            image: ``(1, C, *spatial)``.
            roi: a box ``((start, stop), ...)`` or a mask ``(*spatial)``.
            label: narrows the RoI to the object's part of it; ``None``: the whole RoI, as published.
        """
        mask = coverage(roi, image.shape[2:])
        if label is not None:
            labels = without_leading_axes(plain(label), tuple(image.shape[2:]), "the label").cpu()
            by_value = labels.dtype != torch.bool and self.class_idx is not None
            mask = mask & (labels == self.class_idx if by_value else labels > 0.5)
        return self.gpa(image, self.class_idx, mask)
