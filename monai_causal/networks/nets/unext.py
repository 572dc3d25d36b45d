# SPDX-License-Identifier: Apache-2.0
"""UNeXt (Valanarasu and Patel 2022): few convolutions, and perceptrons on shifted tokens."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from monai_causal.networks.blocks.conv_token_unet import ConvTokenUNet
from monai_causal.networks.blocks.tokenized_mlp import TokenizedMLP

__all__ = ["UNeXt"]


class UNeXt(ConvTokenUNet):
    """One convolution of 3 with batch norm per level, and tokenised MLPs at the two coarsest.

    A tokenised MLP shifts groups of channels by up to two tokens along the width, applies a linear layer and a
    depth-wise convolution, and does the same along the height; see :class:`ConvTokenUNet` for what is around it. At the
    study's settings it has 1,471,953 parameters; the study counted 1.472 M.

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
        super().__init__(in_channels, out_channels, widths, _convolution, _convolution, TokenizedMLP)


def _convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1), nn.BatchNorm2d(out_channels))
