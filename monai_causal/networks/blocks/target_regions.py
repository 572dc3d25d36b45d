# SPDX-License-Identifier: Apache-2.0
"""Multimodal target region selection (MTRS): the cells of a feature map that look most like the text of a lesion."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import normalize

__all__ = ["Scatter", "gather_cells", "kept_cells", "put_back", "similarity", "soft_gate", "top_share"]

Scatter: TypeAlias = Literal["residual", "zero", "soft"]


def similarity(cells: Tensor, classes: Tensor) -> Tensor:
    """Cosine of every cell with every class's text (Eq. 6).

    Args:
        cells: ``(B, d, h, w)``.
        classes: ``(K, d)``, or ``(B, K, d)`` where the texts depend on the image.

    Returns:
        ``(B, K, h, w)``.
    """
    classes = classes.expand(cells.shape[0], *classes.shape[-2:])
    return torch.einsum("bdhw,bkd->bkhw", normalize(cells, dim=1), normalize(classes, dim=-1))


def kept_cells(share: float, cells: int) -> int:
    """N = alpha h w of Eq. 6: how many cells are kept; at least one."""
    return max(1, round(share * int(cells)))


def top_share(similar: Tensor, share: float) -> Tensor:
    """The kept cells' flat indices ``(B, N)``, ascending.

    Args:
        similar: ``(B, K, h, w)``; a cell counts by its most similar class. Of equal cells the first ones are kept.
        share: alpha, in (0, 1].
    """
    unified = similar.amax(dim=1).flatten(1)
    order = unified.argsort(dim=1, descending=True, stable=True)
    return order[:, : kept_cells(share, unified.shape[1])].sort(dim=1).values


def gather_cells(cells: Tensor, kept: Tensor) -> Tensor:
    """The kept cells of a map ``(B, d, h, w)`` as ``(B, N, d)``."""
    flat = cells.flatten(2).transpose(1, 2)
    return flat.gather(1, kept[..., None].expand(-1, -1, flat.shape[2]))


def put_back(changed: Tensor, kept: Tensor, cells: Tensor, scatter: Scatter) -> Tensor:
    """Cells ``(B, N, d)`` back at their places: among the others as they were (``"residual"``), or among zeros."""
    flat = cells.flatten(2).transpose(1, 2)
    background = torch.zeros_like(flat) if scatter == "zero" else flat
    whole = background.scatter(1, kept[..., None].expand(-1, -1, flat.shape[2]), changed)
    return whole.transpose(1, 2).reshape(cells.shape)


def soft_gate(similar: Tensor, share: float) -> Tensor:
    """A weight in (0, 1) per cell ``(B, 1, h, w)`` instead of a hard choice.

    It is 1/2 at the similarity that ``share`` of the cells reach, and one standard deviation of the image's
    similarities is one unit of the sigmoid.
    """
    unified = similar.amax(dim=1, keepdim=True)
    flat = unified.flatten(1)
    order = flat.sort(dim=1, descending=True).values
    threshold = order[:, kept_cells(share, flat.shape[1]) - 1][:, None, None, None]
    spread = flat.std(dim=1, correction=0)[:, None, None, None].clamp_min(1e-6)
    return torch.sigmoid((unified - threshold) / spread)
