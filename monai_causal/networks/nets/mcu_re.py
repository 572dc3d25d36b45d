# SPDX-License-Identifier: Apache-2.0
"""MCU-RE (Jiang and Cai 2025): a ResNet-34 and an encoder of visual state spaces side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_causal.networks.blocks.image_size import check_image_size
from monai_causal.networks.nets.vm_unet import VisualStateSpaceEncoder

__all__ = ["MCURE"]


class MCURE(nn.Module):
    """Local and long-range features at four scales, joined and brought to the image's own size at once.

    One branch is a convolution of 3 and the four stages of a ResNet-34 (MONAI's blocks), at 1/2 to 1/16 of the image;
    the other is VM-UNet's encoder, at 1/4 to 1/32, each level up-sampled by a transposed convolution. Both are joined
    at each scale. The two coarser scales first meet one that is four times as fine: dilated depth-wise convolutions
    look at both. Then four decoder blocks (two grouped convolutions of 3) at the image's size each take the image's
    first features, all decoder blocks before them, and one scale; each has logits of its own, and their sum with learnt
    weights is the answer.

    At the study's settings it has 39,751,784 parameters; the study counted 39.752 M. The paper was not at hand: what is
    built is the network that the PdCR study released and counted, in our own words, and where the paper says otherwise
    the paper is right.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the answer, raw logits.
        width: of the ResNet's first stage and of the decoder, even; the next stages have 2, 4 and 8 times as many.
        blocks: of the ResNet's stages.
        scan_width: channels of a token at the finest level of the other branch.
        depths: its blocks per level.
        states: of its scans, per channel.
        drop_path: how often a training leaves its last block out; those before it less often.

    Shape:
        ``(B, in_channels, H, W) -> (B, out_channels, H, W)``; each axis must be a multiple of 32.
    """

    stride = 32

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        width: int = 64,
        blocks: Sequence[int] = (3, 4, 6, 3),
        scan_width: int = 96,
        depths: Sequence[int] = (2, 2, 2, 2),
        states: int = 16,
        drop_path: float = 0.2,
    ) -> None:
        super().__init__()
        if len(blocks) != 4 or len(depths) != 4:
            raise ValueError(f"blocks={tuple(blocks)}, depths={tuple(depths)}: both branches have four levels.")
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.scans = VisualStateSpaceEncoder(in_channels, scan_width, depths, states, drop_path)
        self.widen = nn.ModuleList(
            nn.ConvTranspose2d(scan_width * 2**level, wide, kernel_size=3, stride=2, padding=1, output_padding=1)
            for level, wide in enumerate(widths)
        )
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.stages = nn.ModuleList(
            _stage(narrow, wide, depth)
            for narrow, wide, depth in zip([width, *widths[:-1]], widths, blocks, strict=True)
        )
        self.dilated = nn.ModuleList(_DilatedBlock(2 * (widths[k] + widths[k + 2]), width) for k in range(2))
        scales = [2 * widths[0], 2 * widths[1], width, width]
        self.decode = nn.ModuleList(
            _grouped((1 + before) * width + scale, width) for before, scale in enumerate(scales)
        )
        self.heads = nn.ModuleList(nn.Conv2d(width, out_channels, kernel_size=1) for _ in scales)
        self.mix = nn.Parameter(torch.ones(len(scales)))

    def forward(self, image: Tensor) -> Tensor:
        check_image_size(image, self.stride)
        known = [self.stem(image)]
        x = F.max_pool2d(known[0], 2)
        scales = []
        for stage, widen, tokens in zip(self.stages, self.widen, self.scans(image)[1], strict=True):
            x = stage(x)
            scales.append(torch.cat([x, widen(tokens.permute(0, 3, 1, 2))], dim=1))
        for level, dilated in enumerate(self.dilated):
            coarse = F.interpolate(scales[level + 2], scale_factor=4.0)
            scales[level + 2] = dilated(torch.cat([scales[level], coarse], dim=1))
        logits = []
        for scale, block, head in zip(scales, self.decode, self.heads, strict=True):
            known.append(block(torch.cat([*known, F.interpolate(scale, size=image.shape[2:])], dim=1)))
            logits.append(head(known[-1]))
        return torch.einsum("k,kbchw->bchw", self.mix, torch.stack(logits))


class _DilatedBlock(nn.Module):
    """A grouped convolution of 1, three dilations side by side, and a grouped convolution of 3 over them."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        half = width // 2
        self.enter = nn.Sequential(
            nn.Conv2d(in_channels, half, kernel_size=1, groups=half, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
        )
        self.dilations = nn.ModuleList(
            nn.Conv2d(half, half, kernel_size=3, padding=reach, dilation=reach, groups=half, bias=False)
            for reach in (1, 2, 4)
        )
        self.leave = nn.Sequential(
            nn.Conv2d(3 * half, width, kernel_size=3, padding=1, groups=half, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        left: Tensor = self.leave(torch.cat([dilated(x) for dilated in self.dilations], dim=1))
        return left


def _grouped(in_channels: int, width: int) -> nn.Sequential:
    half = width // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, half, kernel_size=3, padding=1, groups=half, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(inplace=True),
        nn.Conv2d(half, width, kernel_size=3, padding=1, groups=half, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


def _stage(in_channels: int, out_channels: int, blocks: int) -> nn.Sequential:
    """Of a ResNet; it halves the image where it widens."""
    stride = 1 if in_channels == out_channels else 2
    shortcut = None
    if stride > 1:
        shortcut = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
        )
    from monai.networks.nets.resnet import ResNetBlock  # MONAI loads transformers

    first = ResNetBlock(in_channels, out_channels, spatial_dims=2, stride=stride, downsample=shortcut)
    return nn.Sequential(first, *(ResNetBlock(out_channels, out_channels, spatial_dims=2) for _ in range(blocks - 1)))
