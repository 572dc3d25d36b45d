# SPDX-License-Identifier: Apache-2.0
"""SegNet (Badrinarayanan et al. 2017): an encoder like VGG-16, and a decoder that knows where its maxima were."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from monai_causal.networks.blocks.image_size import check_image_size
from monai_causal.networks.blocks.unpooling import pool_with_places, unpool

__all__ = ["SegNet"]

_CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}
_NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class SegNet(nn.Module):
    """Convolutions down and up again; on the way up a value returns to the place of the maximum that it stands for.

    A level is two or three times (convolution 3, batch norm, ReLU), then a max pool of 2. The decoder mirrors it: each
    level unpools by the places of its pool and convolves as often, the last time to the next level's width. Nothing
    else crosses over. The last convolution gives the logits. At the study's settings (2-D, 3 channels in, 1 out) it has
    29,443,585 parameters; the study counted 29.444 M.

    Two values of a pool that are equal but for round-off may change places between two ways to compute them.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: channels of the answer, raw logits.
        widths: channels per level, the finest first.
        depths: convolutions per level.

    Shape:
        ``(B, in_channels, *spatial) -> (B, out_channels, *spatial)``; each axis must be a multiple of
        ``2 ** len(widths)``.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 3,
        out_channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        depths: Sequence[int] = (2, 2, 3, 3, 3),
    ) -> None:
        super().__init__()
        if spatial_dims not in _CONVOLUTION:
            raise ValueError(f"spatial_dims={spatial_dims}: the network is made for 2 or 3.")
        if len(widths) != len(depths) or min(depths, default=0) < 1:
            raise ValueError(f"widths={tuple(widths)}, depths={tuple(depths)}: give each level a width and a depth.")
        self.stride = 2 ** len(widths)
        above = [in_channels, *widths[:-1]]
        self.down = nn.ModuleList(
            _convolutions(spatial_dims, [narrow, *[wide] * depth])
            for narrow, wide, depth in zip(above, widths, depths, strict=True)
        )
        finer = [widths[0], *widths[:-1]]
        up = [
            _convolutions(spatial_dims, [*[wide] * depth, narrow])
            for narrow, wide, depth in zip(finer, widths, depths, strict=True)
        ]
        up[0] = up[0][:-1]  # the finest level's last convolution is the head
        self.up = nn.ModuleList(reversed(up))
        self.head = _CONVOLUTION[spatial_dims](widths[0], out_channels, kernel_size=3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        check_image_size(image, self.stride)
        x, places = image, []
        for stage in self.down:
            x, place = pool_with_places(stage(x))
            places.append(place)
        for stage in self.up:
            x = stage(unpool(x, places.pop()))
        return self.head(x)


def _convolutions(spatial_dims: int, widths: Sequence[int]) -> nn.Sequential:
    """As many as there are steps from width to width."""
    return nn.Sequential(
        *(
            nn.Sequential(
                _CONVOLUTION[spatial_dims](narrow, wide, kernel_size=3, padding=1),
                _NORM[spatial_dims](wide),
                nn.ReLU(inplace=True),
            )
            for narrow, wide in pairwise(widths)
        )
    )
