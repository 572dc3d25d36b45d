# SPDX-License-Identifier: Apache-2.0
"""LightM-UNet (Liao et al. 2024): a light U-Net whose encoder is Mamba on the flattened image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_causal.networks.blocks.image_size import check_image_size
from monai_causal.networks.blocks.mamba import Mamba

__all__ = ["LightMUNet"]

_CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}
_POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
_INTERPOLATION = {2: "bilinear", 3: "trilinear"}


class LightMUNet(nn.Module):
    """Residual vision Mamba layers on the way down, depth-wise convolutions on the way up.

    A separable convolution makes the first features. An encoder block flattens its map into one sequence, row by row,
    and sends it through residual vision Mamba layers, the last of which doubles the channels; a max pool of 2 follows.
    Four more layers make the bottleneck. A decoder block adds the skip, applies a separable convolution beside a scaled
    identity, ReLU and a convolution of 1 to half the channels, and interpolates to twice the size. At last a separable
    convolution gives the logits.

    One scan, in one direction: a pixel knows only what lies above it and left of it, but for what convolutions and
    pools carry back.

    At its default settings (2-D, 3 channels in, 1 out) it has 2,526,955 parameters. There is no published count to hold
    it to: the study's own could not be built without ``mamba_ssm``, the paper states about 1 M and leaves the inner
    width and the states of its Mamba open (Mamba's own defaults, 2 and 16, are taken here), and the released code
    differs from the paper: twice as many layers, in residual blocks with group norms.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: channels of the answer, raw logits.
        width: channels of the first features; every encoder block doubles them.
        depths: layers of the encoder blocks and, last, of the bottleneck.
        states: of the scans, per channel.

    Shape:
        ``(B, in_channels, *spatial) -> (B, out_channels, *spatial)``; each axis must be a multiple of
        ``2 ** (len(depths) - 1)``.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 3,
        out_channels: int = 1,
        width: int = 32,
        depths: Sequence[int] = (1, 2, 2, 4),
        states: int = 16,
    ) -> None:
        super().__init__()
        if spatial_dims not in _CONVOLUTION:
            raise ValueError(f"spatial_dims={spatial_dims}: the network is made for 2 or 3.")
        if len(depths) < 2 or min(depths) < 1:
            raise ValueError(f"depths={tuple(depths)}: give at least one encoder block and the bottleneck, 1 or more.")
        self.stride = 2 ** (len(depths) - 1)
        widths = [width * 2**level for level in range(len(depths))]
        self.stem = _separable(spatial_dims, in_channels, width)
        self.down = nn.ModuleList(
            _layers([narrow] * depth + [2 * narrow], states) for narrow, depth in zip(widths, depths[:-1], strict=False)
        )
        self.pool = _POOL[spatial_dims](2)
        self.bottleneck = _layers([widths[-1]] * (depths[-1] + 1), states)
        self.up = nn.ModuleList(_DecoderBlock(spatial_dims, wide) for wide in reversed(widths[1:]))
        self.head = _separable(spatial_dims, width, out_channels)

    def forward(self, image: Tensor) -> Tensor:
        check_image_size(image, self.stride)
        x, skips = self.stem(image), []
        for layers in self.down:
            x = self.pool(layers(x))
            skips.append(x)
        x = self.bottleneck(x)
        for block in self.up:
            x = block(x + skips.pop())
        logits: Tensor = self.head(x)
        return logits


class _ResidualVisionMamba(nn.Module):
    """``projection(norm(mamba(norm(x)) + s x))`` on the map as one sequence."""

    def __init__(self, in_channels: int, out_channels: int, states: int) -> None:
        super().__init__()
        self.norm_in, self.norm_out = nn.LayerNorm(in_channels), nn.LayerNorm(in_channels)
        self.mamba = Mamba(in_channels, states)
        self.scale = nn.Parameter(torch.ones(1))
        self.project = nn.Linear(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        tokens = self.mamba(self.norm_in(tokens)) + self.scale * tokens
        return self.project(self.norm_out(tokens)).transpose(1, 2).unflatten(2, x.shape[2:])


class _DecoderBlock(nn.Module):
    """``relu(separable(x) + s x)`` with half the channels, at twice the size."""

    def __init__(self, spatial_dims: int, channels: int) -> None:
        super().__init__()
        self.convolution = _separable(spatial_dims, channels, channels)
        self.scale = nn.Parameter(torch.ones(1))
        self.narrow = _CONVOLUTION[spatial_dims](channels, channels // 2, kernel_size=1)
        self.mode = _INTERPOLATION[spatial_dims]

    def forward(self, x: Tensor) -> Tensor:
        x = self.narrow(F.relu(self.convolution(x) + self.scale * x))
        return F.interpolate(x, scale_factor=2.0, mode=self.mode)


def _layers(widths: Sequence[int], states: int) -> nn.Sequential:
    """As many as there are steps from width to width."""
    return nn.Sequential(*(_ResidualVisionMamba(*pair, states) for pair in pairwise(widths)))


def _separable(spatial_dims: int, in_channels: int, out_channels: int) -> nn.Sequential:
    convolution = _CONVOLUTION[spatial_dims]
    return nn.Sequential(
        convolution(in_channels, in_channels, kernel_size=3, padding=1, groups=in_channels),
        convolution(in_channels, out_channels, kernel_size=1),
    )
