# SPDX-License-Identifier: Apache-2.0
"""The two-dimensional scan of VMamba (Liu et al. 2024): a map read by rows and columns, forwards and backwards."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_causal.networks.blocks.selective_scan import SelectiveScan

__all__ = ["Scan2D", "VisualStateSpaceBlock", "four_sequences", "one_map"]


def four_sequences(image: Tensor) -> Tensor:
    """A map ``(B, C, H, W)`` as ``(B, 4, C, H * W)``: row by row, column by column, and both from the end."""
    both = torch.stack([image.flatten(2), image.transpose(2, 3).flatten(2)], dim=1)
    return torch.cat([both, both.flip(-1)], dim=1)


def one_map(sequences: Tensor, height: int, width: int) -> Tensor:
    """The way back: the sum of the four at each place, ``(B, C, H, W)``."""
    rows, columns = (sequences[:, :2] + sequences[:, 2:].flip(-1)).unbind(1)
    return rows.unflatten(-1, (height, width)) + columns.unflatten(-1, (width, height)).transpose(2, 3)


class Scan2D(nn.Module):
    """Mamba's mixer for a map: a depth-wise convolution of 3, four scans, and a gate.

    Args:
        width: channels of the map.
        states: per channel.
        expansion: channels inside, in multiples of ``width``.

    Shape:
        ``(B, H, W, width)`` to the same.
    """

    def __init__(self, width: int, states: int = 16, expansion: int = 2) -> None:
        super().__init__()
        inside = expansion * width
        self.enter = nn.Linear(width, 2 * inside, bias=False)
        self.convolution = nn.Conv2d(inside, inside, kernel_size=3, padding=1, groups=inside)
        self.scan = SelectiveScan(inside, states, rank=-(-width // 16), directions=4)
        self.norm = nn.LayerNorm(inside)
        self.leave = nn.Linear(inside, width, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        x, gate = self.enter(image).chunk(2, dim=-1)
        x = F.silu(self.convolution(x.permute(0, 3, 1, 2)))
        x = one_map(self.scan(four_sequences(x)), *x.shape[2:])
        return self.leave(self.norm(x.permute(0, 2, 3, 1)) * F.silu(gate))


class VisualStateSpaceBlock(nn.Module):
    """A layer norm and :class:`Scan2D`, added to what came in.

    Args:
        width: channels of the map.
        states: per channel.
        drop_path: how often a training leaves the block out.

    Shape:
        ``(B, H, W, width)`` to the same.
    """

    def __init__(self, width: int, states: int = 16, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.scan = Scan2D(width, states)
        from monai.networks.layers.drop_path import DropPath  # MONAI loads transformers

        self.drop_path = DropPath(drop_path)

    def forward(self, image: Tensor) -> Tensor:
        added: Tensor = self.drop_path(self.scan(self.norm(image)))
        return image + added
