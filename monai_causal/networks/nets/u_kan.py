# SPDX-License-Identifier: Apache-2.0
"""U-KAN (Li et al. 2025): a U-Net whose coarsest levels are Kolmogorov-Arnold layers on tokens."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from monai_causal.networks.blocks.conv_token_unet import ConvTokenUNet
from monai_causal.networks.blocks.kan import TokenizedKAN

__all__ = ["UKAN"]


class UKAN(ConvTokenUNet):
    """Twice (convolution 3, batch norm, ReLU) per level, and tokenised KAN blocks at the two coarsest.

    A block is three times a layer whose weights are functions (cubic splines on five intervals and a SiLU), a
    depth-wise convolution, batch norm and ReLU; see :class:`ConvTokenUNet` for what is around it. At the study's
    settings it has 6,356,689 parameters; the study counted 6.357 M.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the answer, raw logits.
        widths: channels of the five levels, the finest first; the last three carry tokens.

    Shape:
        ``(B, in_channels, H, W) -> (B, out_channels, H, W)``; each axis must be a multiple of 32.
    """

    def __init__(
        self, in_channels: int = 3, out_channels: int = 1, widths: Sequence[int] = (16, 32, 128, 160, 256)
    ) -> None:
        super().__init__(in_channels, out_channels, widths, _down, _up, TokenizedKAN)


def _down(in_channels: int, out_channels: int) -> nn.Sequential:
    return _convolutions(in_channels, out_channels, out_channels)


def _up(in_channels: int, out_channels: int) -> nn.Sequential:
    """On the way up the first convolution keeps the width."""
    return _convolutions(in_channels, in_channels, out_channels)


def _convolutions(in_channels: int, between: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, between, kernel_size=3, padding=1),
        nn.BatchNorm2d(between),
        nn.ReLU(inplace=True),
        nn.Conv2d(between, out_channels, kernel_size=3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
