# SPDX-License-Identifier: Apache-2.0
"""Patches into tokens and tokens into finer ones."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["ChannelNorm", "OverlappingPatches", "PatchExpanding"]


class ChannelNorm(nn.LayerNorm):
    """A layer norm over the channels of each pixel of ``(B, C, *spatial)``."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class OverlappingPatches(nn.Sequential):
    """Tokens at half the resolution: a convolution of 3 with stride 2, and a norm.

    Shape:
        ``(B, in_channels, H, W) -> (B, width, H / 2, W / 2)``.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__(nn.Conv2d(in_channels, width, kernel_size=3, stride=2, padding=1), ChannelNorm(width))


class PatchExpanding(nn.Module):
    """Each token becomes ``scale x scale`` finer ones: a linear layer whose channels are dealt out, and a norm (the
    reverse of patch merging, from Swin-Unet).

    Args:
        in_channels: of a token.
        out_channels: of a finer one.
        scale: per axis.

    Shape:
        ``(B, H, W, in_channels) -> (B, scale H, scale W, out_channels)``.
    """

    def __init__(self, in_channels: int, out_channels: int, scale: int = 2) -> None:
        super().__init__()
        self.scale = scale
        self.expand = nn.Linear(in_channels, scale**2 * out_channels, bias=False)
        self.norm = nn.LayerNorm(out_channels)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, height, width, _ = tokens.shape
        dealt = self.expand(tokens).view(batch, height, width, self.scale, self.scale, -1)
        finer = dealt.transpose(2, 3).reshape(batch, self.scale * height, self.scale * width, -1)
        normed: Tensor = self.norm(finer)
        return normed
