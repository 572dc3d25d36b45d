# SPDX-License-Identifier: Apache-2.0
"""Rows of the tables, made of what the methods find."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from monai_causal.intervene import Regions, grid_regions
from monai_causal.intervene.regions import Box, coverage
from monai_causal.visualize.pdcr_result import PdCRResult

__all__ = ["box_text", "centre_of", "effect_rows", "heat_rows", "overlap", "pdcr_rows"]

Rows = list[dict[str, Any]]


def box_text(box: Box) -> str:
    """A box as tables hold it.

    Example:
        >>> box_text(((0, 8), (16, 24)))
        '0:8 16:24'
    """
    return " ".join(f"{start}:{stop}" for start, stop in box)


def centre_of(roi: Box | Tensor, shape: Sequence[int]) -> tuple[float, ...]:
    """The middle of the smallest box around a RoI, in voxels.

    Example:
        >>> centre_of(((8, 16), (0, 4)), (32, 32))
        (12.0, 2.0)
    """
    inside = coverage(roi, tuple(shape)).nonzero()
    if not len(inside):
        raise ValueError("the RoI is empty: it has no centre.")
    return tuple(((inside.amin(0) + inside.amax(0) + 1).double() / 2).tolist())


def pdcr_rows(common: Mapping[str, Any], result: PdCRResult) -> Rows:
    """A row per region of PdCR, with its uncertainty and decision."""
    assert isinstance(result.regions, Regions)
    low, high = result.interval().unbind(-1)
    more = [
        {
            "standard_error": _number(result.standard_error[row]),
            "low": _number(low[row]),
            "high": _number(high[row]),
            "p_value": _number(result.p_values[row]),
            "draws": int(result.draws[row]),
            "relevant": bool(result.relevant[row]),
        }
        for row in range(len(result.ate))
    ]
    centre = centre_of(result.roi, result.roi.shape)
    return effect_rows({**common, "unit": result.unit}, result.regions, result.ate.tolist(), centre, more)


def heat_rows(
    common: Mapping[str, Any], heat: Tensor, roi: Box | Tensor, size: Sequence[int], signed: bool = False
) -> Rows:
    """A row per cell of a grid, with the mean of a map in it.

    Args:
        common: columns that all rows share.
        heat: ``(*spatial)``.
        roi: what the map is about; cells are placed relative to it.
        size: edges of a cell, in voxels.
        signed: negative values support already; otherwise high values do, and change their sign here.
    """
    cells = grid_regions(tuple(heat.shape), tuple(size))
    values = heat.double() if signed else -heat.double()
    means = [float(cell.within(values).mean()) for cell in cells]
    return effect_rows(common, cells, means, centre_of(roi, heat.shape))


def effect_rows(
    common: Mapping[str, Any],
    regions: Regions,
    effects: Sequence[float],
    centre: Sequence[float],
    more: Sequence[Mapping[str, Any]] | None = None,
) -> Rows:
    """A row per region.

    Args:
        common: columns that all rows share.
        regions: where.
        effects: of each, after - before.
        centre: of the RoI, in voxels.
        more: further columns of each.
    """
    return [
        {
            **common,
            "region": region.id,
            "box": box_text(region.box),
            "offset": [(start + stop) / 2 - at for (start, stop), at in zip(region.box, centre, strict=True)],
            "effect": float(effect),
            **(more[row] if more is not None else {}),
        }
        for row, (region, effect) in enumerate(zip(regions, effects, strict=True))
        if math.isfinite(effect)
    ]


def overlap(answer: Tensor, truth: Tensor) -> float | None:
    """Dice of two masks, a fraction; None where both are empty.

    Example:
        >>> overlap(torch.tensor([True, True]), torch.tensor([True, False]))
        0.6666666666666666
    """
    both = int(answer.sum()) + int(truth.sum())
    return 2 * int((answer.bool() & truth.bool()).sum()) / both if both else None


def _number(value: Any) -> float | None:
    number = float(np.asarray(value))
    return number if math.isfinite(number) else None
