# SPDX-License-Identifier: Apache-2.0
"""VM-UNet (Ruan et al. 2024): a U-Net of two-dimensional selective scans."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from monai_causal.networks.blocks.image_size import check_image_size
from monai_causal.networks.blocks.patches import PatchExpanding
from monai_causal.networks.blocks.scan_2d import VisualStateSpaceBlock
from monai_causal.networks.blocks.stochastic_depth import rising_rates

__all__ = ["VMUNet", "VisualStateSpaceEncoder"]


class VisualStateSpaceEncoder(nn.Module):
    """Patches of 4 as tokens, then levels of blocks; between two levels 2x2 tokens become one of twice the width.

    Args:
        in_channels: channels of the image.
        width: channels of a token at the finest level.
        depths: blocks per level, the finest first.
        states: of the scans, per channel.
        drop_path: how often a training leaves the last block out; those before it less often.

    Shape:
        ``(B, in_channels, H, W)`` to what enters each level, and to what leaves it, both
        ``(B, H / 4 / 2^level, W / 4 / 2^level, width 2^level)``.
    """

    def __init__(
        self, in_channels: int, width: int, depths: Sequence[int], states: int = 16, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        from monai.networks.blocks.patchembedding import PatchEmbed  # MONAI loads transformers
        from monai.networks.nets.swin_unetr import PatchMergingV2

        self.embed = PatchEmbed(4, in_channels, width, norm_layer=nn.LayerNorm, spatial_dims=2)
        self.levels = nn.ModuleList(
            _blocks(width * 2**level, rates, states) for level, rates in enumerate(rising_rates(drop_path, depths))
        )
        self.merge = nn.ModuleList(PatchMergingV2(width * 2**level, spatial_dims=2) for level in range(len(depths) - 1))

    def forward(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        entering = [self.embed(image).permute(0, 2, 3, 1)]
        leaving = [self.levels[0](entering[0])]
        for merge, level in zip(self.merge, self.levels[1:], strict=True):
            entering.append(merge(leaving[-1]))
            leaving.append(level(entering[-1]))
        return entering, leaving


class VMUNet(nn.Module):
    """Visual state space blocks down and up again, with skips that are added.

    A block is a layer norm and a scan by rows and by columns, forwards and backwards. On the way up a level adds what
    entered the encoder's level of its size, expands each token into 2x2 of half the width, and goes through its blocks.
    At last each token is expanded into 4x4 pixels and a convolution of 1 gives the logits. At the study's settings it
    has 27,427,561 parameters; the study counted 27.428 M.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the answer, raw logits.
        width: channels of a token at the finest level, a multiple of 4.
        depths: blocks per level on the way down, the finest first.
        depths_up: blocks per level on the way up, the coarsest first.
        states: of the scans, per channel.
        drop_path: how often a training leaves the last block of each way out; those before it less often.

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
        depths_up: Sequence[int] = (2, 2, 2, 1),
        states: int = 16,
        drop_path: float = 0.2,
    ) -> None:
        super().__init__()
        if len(depths) != len(depths_up) or not depths:
            raise ValueError(f"depths={tuple(depths)}, depths_up={tuple(depths_up)}: give as many levels on both ways.")
        self.stride = 2 ** (len(depths) + 1)
        self.encoder = VisualStateSpaceEncoder(in_channels, width, depths, states, drop_path)
        widths = [width * 2**level for level in reversed(range(len(depths)))]
        rates = reversed(rising_rates(drop_path, depths_up[::-1]))
        self.up = nn.ModuleList(_blocks(*level, states) for level in zip(widths, rates, strict=True))
        self.expand = nn.ModuleList(PatchExpanding(2 * wide, wide) for wide in widths[1:])
        self.last = PatchExpanding(width, width // 4, scale=4)
        self.head = nn.Conv2d(width // 4, out_channels, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        check_image_size(image, self.stride)
        (_, *skips), (*_, coarsest) = self.encoder(image)
        x = self.up[0](coarsest)
        for expand, blocks in zip(self.expand, self.up[1:], strict=True):
            x = blocks(expand(x + skips.pop()))
        logits: Tensor = self.head(self.last(x).permute(0, 3, 1, 2))
        return logits


def _blocks(width: int, rates: Sequence[float], states: int) -> nn.Sequential:
    return nn.Sequential(*(VisualStateSpaceBlock(width, states, rate) for rate in rates))
