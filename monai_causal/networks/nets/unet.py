# SPDX-License-Identifier: Apache-2.0
"""The U-Net of the PdCR study (Ronneberger et al. 2015, in its form with batch norm and bilinear up-sampling)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from monai_causal.networks.blocks.image_size import check_image_size

__all__ = ["UNet"]

_CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}
_NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
_INTERPOLATION = {2: "bilinear", 3: "trilinear"}


class UNet(nn.Module):
    """Double convolutions down and up again, with skips.

    Each stage is twice (convolution 3, batch norm, ReLU). Four times a max pool of 2 halves the image and the stage
    after it widens it; the way up doubles it by linear interpolation (corners aligned), joins the skip of the same
    size in front of it, and narrows both to the next width. A convolution of 1 gives the logits. At the study's
    settings (2-D, 3 channels in, 1 out, widths 64 to 512) it has 13,395,329 parameters.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: channels of the answer, raw logits.
        widths: channels per level, the finest first; the last level keeps the width of the one before it.

    Shape:
        ``(B, in_channels, *spatial) -> (B, out_channels, *spatial)``; each axis must be a multiple of
        ``2 ** len(widths)``.

    Example:
        >>> UNet(widths=(8, 16))(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 1, 32, 32])
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 3,
        out_channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512),
    ) -> None:
        super().__init__()
        if spatial_dims not in _CONVOLUTION:
            raise ValueError(f"spatial_dims={spatial_dims}: the network is made for 2 or 3.")
        if len(widths) < 1:
            raise ValueError("widths is empty: name the channels of at least one level.")
        self.stride = 2 ** len(widths)
        deepest = [*widths, widths[-1]]
        self.stem = _double_convolution(spatial_dims, in_channels, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(_POOL[spatial_dims](2), _double_convolution(spatial_dims, narrow, wide))
            for narrow, wide in pairwise(deepest)
        )
        # On the way up a level takes its own skip and what comes from below, and hands on the next finer width.
        above = [widths[0], *widths[:-1]]
        self.up = nn.ModuleList(
            _double_convolution(spatial_dims, 2 * width, finer)
            for width, finer in zip(reversed(widths), reversed(above), strict=True)
        )
        self.upsample = nn.Upsample(scale_factor=2, mode=_INTERPOLATION[spatial_dims], align_corners=True)
        self.head = _CONVOLUTION[spatial_dims](widths[0], out_channels, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        check_image_size(image, self.stride)
        skips = [self.stem(image)]
        for stage in self.down:
            skips.append(stage(skips[-1]))
        x = skips.pop()
        for stage in self.up:
            x = stage(torch.cat([skips.pop(), self.upsample(x)], dim=1))
        return self.head(x)


def _double_convolution(spatial_dims: int, in_channels: int, out_channels: int) -> nn.Sequential:
    convolution, norm = _CONVOLUTION[spatial_dims], _NORM[spatial_dims]
    return nn.Sequential(
        convolution(in_channels, out_channels, kernel_size=3, padding=1),
        norm(out_channels),
        nn.ReLU(inplace=True),
        convolution(out_channels, out_channels, kernel_size=3, padding=1),
        norm(out_channels),
        nn.ReLU(inplace=True),
    )
