# SPDX-License-Identifier: Apache-2.0
"""UNet++ (Zhou et al. 2018) on a ResNet-34, from segmentation-models-pytorch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from monai_causal.extras import require
from monai_causal.networks.blocks.image_size import check_image_size

__all__ = ["UNetPlusPlus"]


class UNetPlusPlus(nn.Module):
    """A U-Net whose skips are grids of convolutions: each node sees all nodes of its level before it and the one below.

    The encoder is a ResNet; a node up-samples what is below it (nearest neighbour), joins the nodes of its own level,
    and convolves twice (convolution 3, batch norm, ReLU). At the study's settings it has 26,078,609 parameters; the
    study's own variant has 26.904 M, 3 % more.

    Needs the extra ``networks``.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the answer, raw logits.
        encoder: a ResNet's name in segmentation-models-pytorch; its weights are random.
        widths: channels per level of the decoder, the coarsest first.

    Shape:
        ``(B, in_channels, H, W) -> (B, out_channels, H, W)``; each axis must be a multiple of ``2 ** len(widths)``.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        encoder: str = "resnet34",
        widths: Sequence[int] = (256, 128, 64, 32, 16),
    ) -> None:
        super().__init__()
        self.stride = 2 ** len(widths)
        self.network = require("segmentation_models_pytorch").UnetPlusPlus(
            encoder_name=encoder,
            encoder_depth=len(widths),
            encoder_weights=None,
            decoder_channels=tuple(widths),
            in_channels=in_channels,
            classes=out_channels,
        )

    def forward(self, image: Tensor) -> Tensor:
        check_image_size(image, self.stride)
        logits: Tensor = self.network(image)
        return logits
