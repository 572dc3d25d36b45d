# SPDX-License-Identifier: Apache-2.0
"""Images that a tiny network can learn from."""

from __future__ import annotations

import torch
from torch import Tensor


def discs(seed: int, count: int, side: int = 32) -> tuple[Tensor, Tensor]:
    """Bright discs on a darker ground, (count, 3, side, side), and where they are; every fourth image has none."""
    generator = torch.Generator().manual_seed(seed)
    axis = torch.arange(side) + 0.5
    images = 0.3 + 0.05 * torch.rand(count, 3, side, side, generator=generator)
    labels = torch.zeros(count, 1, side, side, dtype=torch.long)
    for number in range(count):
        row, column = (side * (0.3 + 0.4 * torch.rand(2, generator=generator))).tolist()
        disc = (axis[:, None] - row) ** 2 + (axis - column) ** 2 < (0.2 * side) ** 2
        if number % 4 != 3:
            labels[number, 0] = disc
            images[number] += 0.4 * disc
    return images, labels
