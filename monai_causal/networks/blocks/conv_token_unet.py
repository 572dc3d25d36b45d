# SPDX-License-Identifier: Apache-2.0
"""A U-Net of three convolutional levels around two of tokens: what UNeXt and U-KAN have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from monai_causal.networks.blocks.image_size import check_image_size
from monai_causal.networks.blocks.patches import ChannelNorm, OverlappingPatches

__all__ = ["ConvTokenUNet"]


class ConvTokenUNet(nn.Module):
    """Convolutions for what is fine, a block of tokens for what is coarse.

    Three times (convolutions, max pool of 2, ReLU), twice (patches at half the resolution, a token block, a norm), and
    the same way up: five times (convolutions, interpolation to twice the size, ReLU, the skip added), where the first
    two are followed by a token block and a norm. A convolution of 1 gives the logits.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the answer, raw logits.
        widths: channels of the five levels, the finest first.
        down: makes the convolutions of a level on the way down, of channels in and out.
        up: the same for the way up.
        tokens: makes a token block of a width.

    Shape:
        ``(B, in_channels, H, W) -> (B, out_channels, H, W)``; each axis must be a multiple of 32.
    """

    stride = 32

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int],
        down: Callable[[int, int], nn.Module],
        up: Callable[[int, int], nn.Module],
        tokens: Callable[[int], nn.Module],
    ) -> None:
        super().__init__()
        if len(widths) != 5:
            raise ValueError(f"widths={tuple(widths)}: give five, three for convolutions and two for tokens.")
        self.down = nn.ModuleList(down(*widths) for widths in pairwise([in_channels, *widths[:3]]))
        self.patches = nn.ModuleList(OverlappingPatches(*pair) for pair in pairwise(widths[2:]))
        self.tokens_down = nn.ModuleList(_tokens(tokens, width) for width in widths[3:])
        self.up = nn.ModuleList(up(*pair) for pair in pairwise([*reversed(widths), widths[0]]))
        self.tokens_up = nn.ModuleList(_tokens(tokens, width) for width in (widths[3], widths[2]))
        self.head = nn.Conv2d(widths[0], out_channels, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        check_image_size(image, self.stride)
        x, skips = image, []
        for convolutions in self.down:
            x = F.relu(F.max_pool2d(convolutions(x), 2))
            skips.append(x)
        for patches, tokens in zip(self.patches, self.tokens_down, strict=True):
            x = tokens(patches(x))
            skips.append(x)
        skips.pop()  # the coarsest is no skip, the way up begins with it
        for level, convolutions in enumerate(self.up):
            x = F.relu(F.interpolate(convolutions(x), scale_factor=2.0, mode="bilinear"))
            x = x + skips.pop() if skips else x
            x = self.tokens_up[level](x) if level < len(self.tokens_up) else x
        logits: Tensor = self.head(x)
        return logits


def _tokens(make: Callable[[int], nn.Module], width: int) -> nn.Sequential:
    return nn.Sequential(make(width), ChannelNorm(width))
