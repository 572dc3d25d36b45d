# SPDX-License-Identifier: Apache-2.0
"""How alike two maps are: correlation over their voxels, item by item."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from monai_causal.intervene.regions import plain

__all__ = ["CorrelationName", "map_correlation"]

CorrelationName = Literal["pearson", "spearman"]


def map_correlation(first: Tensor, second: Tensor, kind: CorrelationName = "pearson") -> Tensor:
    """Correlation of two batches of maps ``(B, ...)`` over all voxels: float64 ``(B,)``, in [-1, 1].

    A map that is constant, or holds something that is not a number, correlates with nothing: not a number.

    Args:
        first, second: of one shape.
        kind: ``"pearson"``, or ``"spearman"``: of the ranks, ties sharing their mean rank.
    """
    if kind not in ("pearson", "spearman"):
        raise ValueError(f"correlation={kind!r}: choose 'pearson' or 'spearman'.")
    if first.shape != second.shape:
        raise ValueError(f"maps of shapes {tuple(first.shape)} and {tuple(second.shape)} do not compare.")
    pair = [plain(heat).detach().cpu().double().flatten(1).numpy() for heat in (first, second)]
    constant = np.any([heat.min(1) == heat.max(1) for heat in pair], axis=0)
    if kind == "spearman":
        pair = [stats.rankdata(heat, axis=1, nan_policy="propagate") for heat in pair]
    a, b = (heat - heat.mean(1, keepdims=True) for heat in pair)
    # Scaled before the squares are summed, so that maps of tiny or huge values neither vanish nor overflow.
    a, b = (heat / np.where(constant, 1.0, np.abs(heat).max(1))[:, None] for heat in (a, b))
    norms = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return torch.from_numpy(np.where(constant, np.nan, (a * b).sum(1) / np.where(constant, 1.0, norms)))
