# SPDX-License-Identifier: Apache-2.0
"""Mamba's mixer along one sequence (Gu and Dao 2023)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from monai_causal.networks.blocks.selective_scan import SelectiveScan

__all__ = ["Mamba"]


class Mamba(nn.Module):
    """Two projections; one goes through a causal convolution and the selective scan, the other is its gate.

    Args:
        width: of a token.
        states: per channel.
        kernel: of the convolution along the sequence.
        expansion: channels inside, in multiples of ``width``.

    Shape:
        ``(B, length, width)`` to the same.
    """

    def __init__(self, width: int, states: int = 16, kernel: int = 4, expansion: int = 2) -> None:
        super().__init__()
        inside = expansion * width
        self.kernel = kernel
        self.enter = nn.Linear(width, 2 * inside, bias=False)
        self.convolution = nn.Conv1d(inside, inside, kernel, groups=inside)
        self.scan = SelectiveScan(inside, states, rank=-(-width // 16))
        self.leave = nn.Linear(inside, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        sequence, gate = self.enter(tokens).chunk(2, dim=-1)
        # Zeros in front only: no position sees one behind it.
        sequence = F.silu(self.convolution(F.pad(sequence.transpose(1, 2), (self.kernel - 1, 0))))
        scanned = self.scan(sequence[:, None])[:, 0].transpose(1, 2)
        return self.leave(scanned * F.silu(gate))
