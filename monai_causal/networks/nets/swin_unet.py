# SPDX-License-Identifier: Apache-2.0
"""Swin-Unet (Cao et al. 2022): a U-Net of attention in shifted windows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from monai_causal.networks.blocks.image_size import check_image_size
from monai_causal.networks.blocks.patches import PatchExpanding
from monai_causal.networks.blocks.stochastic_depth import rising_rates

__all__ = ["SwinUNet"]


class SwinUNet(nn.Module):
    """Swin blocks down and up again, with skips.

    Patches of 4 become tokens. A level is some Swin blocks (MONAI's: attention within windows, every other time within
    windows shifted by half of their size), then 2x2 tokens are merged into one of twice the width. On the way up a
    token is expanded into 2x2 of half the width, joined with the skip, narrowed by a linear layer, and goes through as
    many blocks. At last each token is expanded into 4x4 pixels and a linear layer gives the logits. At the study's
    settings (Swin-T, windows of 8 at 256x256) it has 27,175,524 parameters; the study counted 27.176 M.

    What one block reads is its token's window. Through merging a window of level k covers ``4 window 2^k`` pixels: at
    256x256 the coarsest one is the whole image.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the answer, raw logits.
        width: channels of a token at the finest level.
        depths: blocks per level, the finest first.
        heads: of attention per level.
        window: edge of a window, in tokens; an image's edge in tokens must be a multiple of it, or smaller.
        drop_path: how often a training leaves the last block out; those before it less often.

    Shape:
        ``(B, in_channels, H, W) -> (B, out_channels, H, W)``; each axis must be a multiple of
        ``2 ** (len(depths) + 1)``.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        width: int = 96,
        depths: Sequence[int] = (2, 2, 2, 2),
        heads: Sequence[int] = (3, 6, 12, 24),
        window: int = 8,
        drop_path: float = 0.1,
    ) -> None:
        from monai.networks.blocks.patchembedding import PatchEmbed  # MONAI loads transformers
        from monai.networks.nets.swin_unetr import BasicLayer, PatchMergingV2

        super().__init__()
        if len(depths) != len(heads) or not depths:
            raise ValueError(f"depths={tuple(depths)}, heads={tuple(heads)}: give each level both.")
        self.stride = 2 ** (len(depths) + 1)
        widths = [width * 2**level for level in range(len(depths))]
        rates = rising_rates(drop_path, depths)

        def blocks(level: int) -> nn.Module:
            layer: nn.Module = BasicLayer(
                widths[level], depths[level], heads[level], (window, window), rates[level], qkv_bias=True
            )
            return layer

        levels = range(len(depths))
        self.embed = PatchEmbed(4, in_channels, width, norm_layer=nn.LayerNorm, spatial_dims=2)
        self.down = nn.ModuleList(blocks(level) for level in levels)
        self.merge = nn.ModuleList(PatchMergingV2(widths[level], spatial_dims=2) for level in levels[:-1])
        self.norm_down = nn.LayerNorm(widths[-1])
        self.expand = nn.ModuleList(PatchExpanding(widths[level + 1], widths[level]) for level in levels[:-1])
        self.join = nn.ModuleList(nn.Linear(2 * widths[level], widths[level]) for level in levels[:-1])
        self.up = nn.ModuleList(blocks(level) for level in levels[:-1])
        self.norm_up = nn.LayerNorm(width)
        self.last = PatchExpanding(width, width, scale=4)
        self.head = nn.Linear(width, out_channels, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        check_image_size(image, self.stride)
        x = _channels_last(self.embed(image))
        skips = []
        for blocks, merge in zip(self.down, [*self.merge, None], strict=True):
            x = _through(blocks, x)
            if merge is not None:
                skips.append(x)
                x = merge(x)
        x = self.norm_down(x)
        for level in reversed(range(len(self.up))):
            x = self.join[level](torch.cat([self.expand[level](x), skips[level]], dim=-1))
            x = _through(self.up[level], x)
        logits: Tensor = self.head(self.last(self.norm_up(x)))
        return logits.permute(0, 3, 1, 2)


def _channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def _through(blocks: nn.Module, x: Tensor) -> Tensor:
    """MONAI's layer takes and gives channels first."""
    return _channels_last(blocks(x.permute(0, 3, 1, 2)))
