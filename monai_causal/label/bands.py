# SPDX-License-Identifier: Apache-2.0
"""A map of effects as a label map: what a viewer of segmentations can show of an explanation.

3D Slicer, OHIF and the like show whole numbers with names, and no map of real numbers. So effects become ordinal bands,
with their limits beside them; the numbers themselves go to whoever can take them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from monai_causal.intervene.regions import plain

__all__ = ["LABELS", "Band", "as_dicts", "bands"]

LABELS = {
    "strong support": 1,
    "support": 2,
    "weak support": 3,
    "weak suppression": 4,
    "suppression": 5,
    "strong suppression": 6,
}
"""Names and values of the bands; 0 is no effect, or too little to tell."""

_SIGNED = (0.0, 1 / 3, 2 / 3)
# A map of evidence is above 0 nearly everywhere: its lowest quarter would cover the image and say nothing.
_UNSIGNED = (1 / 4, 1 / 2, 3 / 4)


@dataclass(frozen=True)
class Band:
    """Voxels whose effect lies beyond ``start``, up to ``stop``, in the map's unit.

    Attributes:
        name, value: of :data:`LABELS`.
        start: the limit nearer to 0, not of the band.
        stop: the farther one, which belongs to it; ``None``: there is no limit.
        voxels: how many.
    """

    name: str
    value: int
    start: float
    stop: float | None
    voxels: int


def bands(heat: Tensor, signed: bool, limit: float | None = None) -> tuple[Tensor, tuple[Band, ...]]:
    """Ordinal bands of a map: uint8 of its shape, and what each value means.

    Bands end at thirds of ``limit`` on both sides of 0 for effects (negative ones support the answer), at quarters of
    it for evidence (high values support), of which the lowest quarter stays 0.

    Args:
        heat: the map, of any shape.
        signed: whether it holds effects; otherwise evidence.
        limit: what a strong effect is measured by, so that two maps can be compared; ``None``: the map's own strongest.

    Example:
        >>> values, found = bands(torch.tensor([-9.0, -4.0, -1.0, 0.0, 2.0]), signed=True)
        >>> values.tolist(), found[1].name, found[1].start, found[1].stop
        ([1, 2, 3, 0, 4], 'support', -3.0, -6.0)
    """
    values = plain(heat).double()
    if not torch.isfinite(values).all():
        raise ValueError("the map holds NaN or infinite values: there is no order to make bands of.")
    if limit is not None and not limit > 0:
        raise ValueError(f"limit={limit}: what a strong effect is measured by is a number above 0.")
    strongest = float(values.abs().max()) if limit is None else float(limit)
    found = torch.zeros(values.shape, dtype=torch.uint8)
    told: list[Band] = []
    sides: Sequence[tuple[float, tuple[str, ...]]] = (
        ((-1.0, ("weak support", "support", "strong support")),
         (1.0, ("weak suppression", "suppression", "strong suppression")))
        if signed
        else ((1.0, ("weak support", "support", "strong support")),)
    )  # fmt: skip
    edges = _SIGNED if signed else _UNSIGNED
    for sign, names in sides:
        distance = sign * values
        for place, name in enumerate(names):
            start = edges[place] * strongest
            stop = edges[place + 1] * strongest if place + 1 < len(edges) else None
            inside = distance > start
            if stop is not None:
                inside &= distance <= stop
            found[inside] = LABELS[name]
            told.append(
                Band(name, LABELS[name], sign * start or 0.0, None if stop is None else sign * stop, int(inside.sum()))
            )
    return found, tuple(sorted(told, key=lambda band: band.value))


def as_dicts(found: Sequence[Band]) -> list[dict[str, Any]]:
    """Bands for JSON."""
    return [asdict(band) for band in found]
