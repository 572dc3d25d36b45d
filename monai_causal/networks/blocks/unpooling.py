# SPDX-License-Identifier: Apache-2.0
"""Max pooling that remembers where the largest values were, and the way back (SegNet, Badrinarayanan et al. 2017).

The same as ``max_pool2d(..., return_indices=True)`` with ``max_unpool2d``, the first of equal values included. But the
places are kept as a mask beside the values, and not as positions in the whole image: each step is local, so a change in
one corner need not be computed elsewhere.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["pool_with_places", "unpool"]


def pool_with_places(x: Tensor) -> tuple[Tensor, Tensor]:
    """Halve a map ``(B, C, *spatial)`` by its largest values.

    Returns:
        the values ``(B, C, *spatial / 2)``, and a mask of the map's size: 1 where each of them was.
    """
    axes = x.ndim - 2
    pool = F.max_pool2d if axes == 2 else F.max_pool3d
    pooled = pool(x, 2)
    largest = (x == _repeated(pooled)).to(x.dtype)
    # Of equal ones the first: earlier places count more.
    order = torch.arange(2**axes, 0, -1, dtype=x.dtype, device=x.device).reshape(1, 1, *(2,) * axes)
    ranked = largest * order.repeat(1, 1, *(length // 2 for length in x.shape[2:]))
    places = (ranked == _repeated(pool(ranked, 2))).to(x.dtype)
    return pooled, places


def unpool(x: Tensor, places: Tensor) -> Tensor:
    """Each value of ``(B, C, *spatial)`` back to its place in a map of twice the size, with zeros around."""
    return _repeated(x) * places


def _repeated(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
