# SPDX-License-Identifier: Apache-2.0
"""TransUNet (Chen et al. 2021): a ResNet-50, a vision transformer on its features, and a U-Net's way up."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_causal.extras import require
from monai_causal.networks.blocks.image_size import check_image_size

__all__ = ["TransUNet"]


class TransUNet(nn.Module):
    """Local features first, then attention among all of them.

    The first three stages of a ResNet-50 with group norm and standardised weights (timm's) give features at 1/16. Each
    cell of them becomes a token, a learnt position is added, and transformer blocks (timm's) follow. The tokens, back
    as a map, are narrowed by a convolution; four times (interpolation to twice the size, the ResNet's skip of that
    size, twice convolution 3, batch norm and ReLU) lead back to the image. The finest level has no skip. At the study's
    settings (R50-B16 at 256x256) it has 105,322,001 parameters; the study counted 105.322 M.

    Needs the extra ``networks``.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the answer, raw logits.
        image_size: for which positions are learnt; for another one they are interpolated.
        blocks: of the ResNet's three stages.
        stem: channels of its first convolution; its stages have 4, 8 and 16 times as many.
        norm_groups: of its norms; they divide ``stem``.
        width: of a token.
        depth: transformer blocks.
        heads: of their attention.
        decoder: channels on the way up, of the tokens' map first.
        dropout: in the transformer.

    Shape:
        ``(B, in_channels, H, W) -> (B, out_channels, H, W)``; each axis must be a multiple of 16.
    """

    stride = 16

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        image_size: Sequence[int] = (256, 256),
        blocks: Sequence[int] = (3, 4, 9),
        stem: int = 64,
        norm_groups: int = 32,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        decoder: Sequence[int] = (512, 256, 128, 64, 16),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        timm, layers = require("timm"), require("timm.layers")
        skips = [stem, 4 * stem, 8 * stem]
        self.resnet = timm.create_model(
            "resnetv2_50",
            features_only=True,
            out_indices=(0, 1, 2, 3),
            in_chans=in_channels,
            layers=tuple(blocks),
            channels=(*skips[1:], 16 * stem),
            stem_chs=stem,
            stem_type="same",
            preact=False,
            conv_layer=partial(layers.StdConv2dSame, eps=1e-8),
            norm_layer=partial(layers.GroupNormAct, num_groups=norm_groups),
        )
        self.embed = nn.Conv2d(16 * stem, width, kernel_size=1)
        cells = [length // self.stride for length in image_size]
        self.position = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, width, *cells), std=0.02))
        block = partial(require("timm.models.vision_transformer").Block, qkv_bias=True, proj_drop=dropout)
        self.transformer = nn.Sequential(*(block(width, heads) for _ in range(depth)), nn.LayerNorm(width, eps=1e-6))
        self.enter = _convolution(width, decoder[0])
        self.up = nn.ModuleList(
            nn.Sequential(_convolution(coarse + skip, fine), _convolution(fine, fine))
            for coarse, fine, skip in zip(decoder[:-1], decoder[1:], [*reversed(skips), 0], strict=True)
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Conv2d(decoder[-1], out_channels, kernel_size=3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        check_image_size(image, self.stride)
        *skips, features = self.resnet(image)
        cells = self.embed(features)
        position: Tensor = self.position
        if position.shape[2:] != cells.shape[2:]:
            position = F.interpolate(position, size=cells.shape[2:], mode="bilinear")
        tokens = self.dropout((cells + position).flatten(2).transpose(1, 2))
        x = self.enter(self.transformer(tokens).transpose(1, 2).unflatten(2, cells.shape[2:]))
        for stage in self.up:
            finer = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
            x = stage(torch.cat([finer, skips.pop()], dim=1) if skips else finer)
        return self.head(x)


def _convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
