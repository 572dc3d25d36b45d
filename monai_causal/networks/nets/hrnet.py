# SPDX-License-Identifier: Apache-2.0
"""HRNet (Wang et al. 2020) with the head for segmentation, HRNetV2, on timm's trunk."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_causal.extras import require
from monai_causal.networks.blocks.image_size import check_image_size

__all__ = ["HRNet"]


class HRNet(nn.Module):
    """Four resolutions side by side, from 1/4 to 1/32, that exchange what they see again and again.

    All four, brought to the finest by linear interpolation and joined, go through (convolution 1, batch norm, ReLU) and
    a convolution of 1; the logits are interpolated to the image's size. At the study's settings (width 32) it has
    29,537,857 parameters; the study counted 29.531 M.

    Needs the extra ``networks``.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the answer, raw logits.
        trunk: name of an HRNet in timm; its weights are random.

    Shape:
        ``(B, in_channels, H, W) -> (B, out_channels, H, W)``; each axis must be a multiple of 32.
    """

    stride = 32

    def __init__(self, in_channels: int = 3, out_channels: int = 1, trunk: str = "hrnet_w32") -> None:
        super().__init__()
        # The stem's own output and the classifier's wider features are left out.
        self.trunk = require("timm").create_model(
            trunk, features_only=True, feature_location="", out_indices=(1, 2, 3, 4), in_chans=in_channels
        )
        joined = sum(self.trunk.feature_info.channels())
        self.head = nn.Sequential(
            nn.Conv2d(joined, joined, kernel_size=1),
            nn.BatchNorm2d(joined),
            nn.ReLU(inplace=True),
            nn.Conv2d(joined, out_channels, kernel_size=1),
        )

    def forward(self, image: Tensor) -> Tensor:
        check_image_size(image, self.stride)
        finest, *others = self.trunk(image)
        size = finest.shape[2:]
        joined = torch.cat([finest, *(F.interpolate(one, size=size, mode="bilinear") for one in others)], dim=1)
        return F.interpolate(self.head(joined), size=image.shape[2:], mode="bilinear")
