# SPDX-License-Identifier: Apache-2.0
"""A segmentation head that draws outlines finer than the grid it reads.

The best mask that a 7x7 grid can hold has a mean Dice of about 0.7 on polyps. So the way up from the grid joins shallow
convolutions of the image itself: they see some ten pixels, enough for an edge, not for what lies inside it. Their norms
see the whole image's brightness and colour: what is erased from the grid's features is not erased from these.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

__all__ = ["SkipHead"]

SKIPS = (16, 24, 32)


class SkipHead(nn.Module):
    """Logits at the image's size from a map on the encoder's grid.

    Args:
        width: channels of the map.
        out_channels: of the logits.
        hidden: channels of the grid's projection, a multiple of 8; halved at every step up.

    Shape:
        cells ``(B, width, h, w)``, images ``(B, 3, H, W)`` -> ``(B, out_channels, H, W)``.
    """

    def __init__(self, width: int, out_channels: int, hidden: int = 128) -> None:
        super().__init__()
        if hidden < 8 or hidden % 8:
            raise ValueError(f"hidden={hidden}: give a multiple of 8.")
        strides = (1, 2, 2)
        self.stem = nn.ModuleList(
            _convolution(narrow, wide, stride)
            for narrow, wide, stride in zip((3, *SKIPS), SKIPS, strides, strict=False)
        )
        self.project = _convolution(width, hidden)
        self.up = nn.ModuleList()
        for skip in reversed(SKIPS):
            half = max(hidden // 16 * 8, 16)
            self.up.append(_convolution(hidden + skip, half))
            hidden = half
        self.answer = nn.Conv2d(hidden, out_channels, 1)

    def forward(self, cells: Tensor, images: Tensor) -> Tensor:
        skips = []
        for convolution in self.stem:
            images = convolution(images)
            skips.append(images)
        x = self.project(cells)
        for convolution, skip in zip(self.up, reversed(skips), strict=True):
            x = interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=False)
            x = convolution(torch.cat([x, skip], dim=1))
        logits: Tensor = self.answer(x)
        return logits


def _convolution(narrow: int, wide: int, stride: int = 1) -> nn.Sequential:
    # Group norm: the same answer whatever else is in the batch, and on a batch of one.
    return nn.Sequential(
        nn.Conv2d(narrow, wide, 3, stride=stride, padding=1, bias=False), nn.GroupNorm(8, wide), nn.ReLU(inplace=True)
    )
