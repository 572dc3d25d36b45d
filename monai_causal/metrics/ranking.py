# SPDX-License-Identifier: Apache-2.0
"""The order in which a map would have voxels removed: from the highest down, ties in favour of the lower flat index."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["descending", "mask_of", "top_voxels"]


def descending(values: Tensor) -> Tensor:
    """Flat indices of ``values`` from the highest to the lowest; among equals the lower index comes first.

    Example:
        >>> descending(torch.tensor([1.0, 3.0, 3.0, 2.0])).tolist()
        [1, 2, 3, 0]
    """
    return torch.argsort(values.flatten(), descending=True, stable=True)


def top_voxels(heat: Tensor, within: Tensor, fraction: float) -> Tensor:
    """The top fraction of ``heat`` (*spatial) among the voxels of ``within`` (bool, *spatial, at least one): a mask.

    It holds ``max(1, round(fraction x size of within))`` voxels; halves are rounded to the even number.
    """
    candidates = within.flatten().nonzero().flatten()
    count = max(1, round(fraction * len(candidates)))
    return mask_of(candidates[descending(heat.flatten()[candidates])][:count], heat.shape)


def mask_of(flat: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A bool mask of this shape, true at some flat indices."""
    mask = torch.zeros(shape, dtype=torch.bool, device=flat.device)
    mask.view(-1)[flat] = True
    return mask
