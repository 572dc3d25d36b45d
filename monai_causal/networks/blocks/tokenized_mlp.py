# SPDX-License-Identifier: Apache-2.0
"""The tokenised MLP of UNeXt (Valanarasu and Patel 2022): perceptrons on tokens whose channels were shifted."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_causal.networks.blocks.patches import ChannelNorm

__all__ = ["TokenizedMLP", "shifted"]


def shifted(x: Tensor, axis: int, groups: int = 5) -> Tensor:
    """Shift groups of channels of ``(B, C, H, W)`` along one spatial axis, by -2, -1, 0, 1 and 2 pixels for five.

    What leaves the map is lost, and zeros come in, so that a token never meets the far side.

    Args:
        x: the map.
        axis: 0: along the height, 1: along the width.
        groups: how many, odd.
    """
    reach = groups // 2
    length = x.shape[2 + axis]
    around = F.pad(x, (0, 0, reach, reach) if axis == 0 else (reach, reach))
    parts = around.tensor_split(groups, dim=1)
    return torch.cat([part.narrow(2 + axis, groups - 1 - k, length) for k, part in enumerate(parts)], dim=1)


class TokenizedMLP(nn.Module):
    """Norm, shift along the width, linear, depth-wise convolution, GELU, shift along the height, linear; added to what
    came in.

    Args:
        width: channels of a token; at least five.

    Shape:
        ``(B, width, H, W)`` to the same.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        if width < 5:
            raise ValueError(f"width={width}: channels are shifted in five groups, give at least 5.")
        self.norm = ChannelNorm(width)
        self.across = nn.Conv2d(width, width, kernel_size=1)
        self.around = nn.Conv2d(width, width, kernel_size=3, padding=1, groups=width)
        self.down = nn.Conv2d(width, width, kernel_size=1)

    def forward(self, tokens: Tensor) -> Tensor:
        x = F.gelu(self.around(self.across(shifted(self.norm(tokens), axis=1))))
        added: Tensor = self.down(shifted(x, axis=0))
        return tokens + added
