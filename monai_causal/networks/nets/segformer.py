# SPDX-License-Identifier: Apache-2.0
"""SegFormer (Xie et al. 2021), from transformers: the authors' own file may not be used commercially."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from monai_causal.extras import require
from monai_causal.networks.blocks.image_size import check_image_size

__all__ = ["SegFormer"]


class SegFormer(nn.Module):
    """A hierarchy of transformers without positions, and a decoder of perceptrons.

    Overlapping patches at 1/4, 1/8, 1/16 and 1/32; at each, blocks of attention, whose keys and values are a coarser
    map, and of a perceptron with a depth-wise convolution inside. The decoder brings all four to one width and to 1/4,
    mixes them, and its logits are interpolated to the image's size. At the study's settings (b0) it has 3,714,401
    parameters; the study counted 3.714 M.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the answer, raw logits.
        widths: channels per stage; one head of attention for each 32 of them, but five for 160.
        depths: blocks per stage.
        decoder_width: of the decoder.
        dropout: in front of the logits.
        drop_path: how often a training leaves the last block out; the ones before it less often.

    Shape:
        ``(B, in_channels, H, W) -> (B, out_channels, H, W)``; each axis must be a multiple of 32.
    """

    stride = 32

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        widths: Sequence[int] = (32, 64, 160, 256),
        depths: Sequence[int] = (2, 2, 2, 2),
        decoder_width: int = 256,
        dropout: float = 0.1,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        transformers = require("transformers")
        settings = transformers.SegformerConfig(
            num_channels=in_channels,
            num_labels=out_channels,
            hidden_sizes=tuple(widths),
            depths=tuple(depths),
            num_attention_heads=tuple(max(1, width // 32) for width in widths),
            decoder_hidden_size=decoder_width,
            classifier_dropout_prob=dropout,
            drop_path_rate=drop_path,
        )
        self.network = transformers.SegformerForSemanticSegmentation(settings)

    def forward(self, image: Tensor) -> Tensor:
        check_image_size(image, self.stride)
        return F.interpolate(self.network(image).logits, size=image.shape[2:], mode="bilinear")
