# SPDX-License-Identifier: Apache-2.0
"""How alike two images are, and at which size and place of the one on the other: a score that ranks references.

The published score, the cost of the transport at a grid of 14, ranks a noise image before the image itself. This one
is a correlation, 1 for the image itself: of what stands out of its surroundings (ribs, borders of the lungs, the
diaphragm), so that exposure and window do not matter, at the best of a set of sizes and of all shifts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

__all__ = ["SCALES", "Poses", "best_poses", "placed"]

_ANISOTROPY = 1.26  # rows and columns are scaled alike up to this factor
SCALES = (0.8, 0.9, 1.0, 1.1, 1.25)


@dataclass(frozen=True, eq=False)
class Poses:
    """The best pose of each of several references on a target.

    Attributes:
        similarity: (B,), the correlation at the best pose, 1 for equal images.
        scale: (B, 2), factor for rows and columns about the middle of the square.
        shift: (B, 2), then so far down and to the right, as a fraction of the side.
    """

    similarity: NDArray[np.float64]
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]


def best_poses(
    references: NDArray[np.float64],
    target: NDArray[np.float64],
    scales: Sequence[float] = SCALES,
    farthest: float = 0.25,
) -> Poses:
    """Search sizes of each reference and, by their cross-correlation, all shifts.

    Args:
        references: (B, grid, grid), their local contrast.
        target: (grid, grid), local contrast.
        scales: factors tried for rows and columns.
        farthest: largest shift, as a fraction of the side.
    """
    grid = len(target)
    reach = int(grid * farthest)
    padded = (grid + reach, grid + reach)  # enough that no shift within reach wraps around
    stack = torch.from_numpy(references)
    spectrum = torch.fft.rfft2(torch.from_numpy(target), padded)
    norm = float(np.linalg.norm(target))
    found = torch.full((len(stack),), -torch.inf, dtype=torch.float64)
    scale, shift = torch.ones(len(stack), 2, dtype=torch.float64), torch.zeros(len(stack), 2, dtype=torch.float64)
    # From the identity outwards, so that of equal poses the nearest is taken.
    pairs = sorted(((r, c) for r in scales for c in scales), key=lambda pair: np.abs(np.log(pair)).sum())
    for pair in pairs:
        if max(pair) / min(pair) > _ANISOTROPY:
            continue
        resized = placed(stack[:, None], np.tile(pair, (len(stack), 1)), np.zeros((len(stack), 2)))[:, 0]
        products = torch.fft.irfft2(spectrum * torch.fft.rfft2(resized, padded).conj(), padded)
        window = products.roll((reach, reach), (-2, -1))[:, : 2 * reach + 1, : 2 * reach + 1]
        top, place = window.flatten(1).max(1)
        lengths = resized.flatten(1).norm(dim=1) * norm
        score = torch.where(lengths > 0, top / lengths.clamp(min=torch.finfo(lengths.dtype).tiny), 0.0)
        better = score > found
        found = torch.where(better, score, found)
        rows, columns = place // (2 * reach + 1) - reach, place % (2 * reach + 1) - reach
        scale[better] = torch.tensor(pair, dtype=torch.float64)
        shift[better] = torch.stack([rows, columns], 1)[better].double() / grid
    return Poses(found.numpy(), scale.numpy(), shift.numpy())


def placed(stack: Tensor, scale: NDArray[np.float64], shift: NDArray[np.float64]) -> Tensor:
    """(B, C, side, side), each scaled about its middle, then shifted by a fraction of the side; zeros come in."""
    side = stack.shape[-1]
    centre = (torch.arange(side, dtype=stack.dtype, device=stack.device) + 0.5) * (2 / side) - 1
    factor = torch.as_tensor(scale, dtype=stack.dtype, device=stack.device)
    moved = 2 * torch.as_tensor(shift, dtype=stack.dtype, device=stack.device)
    axes = (centre[None] - moved.T[..., None]) / factor.T[..., None]  # (2, B, side)
    rows, columns = (axis for axis in axes)
    places = torch.stack([columns[:, None, :].expand(-1, side, -1), rows[:, :, None].expand(-1, -1, side)], dim=-1)
    return grid_sample(stack, places, align_corners=False)
