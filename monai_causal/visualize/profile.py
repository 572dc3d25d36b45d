# SPDX-License-Identifier: Apache-2.0
"""How a map of effects is made up: shares, extremes and the histogram of the PdCR study (Table 3 and Fig. 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from monai_causal.intervene import grid_regions
from monai_causal.intervene.regions import Box, plain

__all__ = ["BINS", "Profile", "map_profile", "profile"]

BINS = (0.02, 0.3, 1.0, 3.0)
"""Where the released statistics cut |effect|, in Dice points. The bins mirror each other: a value on a cut belongs to
the bin farther from 0."""


@dataclass(frozen=True)
class Profile:
    """Regions counted by what they do; negative effects support the answer.

    Attributes:
        supporting: regions that support it (the paper's positive contribution, red).
        suppressing: regions that suppress it (negative contribution, blue).
        irrelevant: all others.
        minimum: the most negative effect, 0 where there is none.
        maximum: the most positive one.
        histogram: counts over ``edges``, 2 * len(bins) + 1 of them, the middle one around 0.
        edges: ``(low, high)`` of each bin.
    """

    supporting: int
    suppressing: int
    irrelevant: int
    minimum: float
    maximum: float
    histogram: tuple[int, ...]
    edges: tuple[tuple[float, float], ...]

    @property
    def shares(self) -> dict[str, float]:
        """Fractions of all regions."""
        total = self.supporting + self.suppressing + self.irrelevant
        return {name: getattr(self, name) / total for name in ("supporting", "suppressing", "irrelevant")}

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; the outer edges, which are infinite, are null."""
        edges = [[None if abs(edge) == float("inf") else edge for edge in pair] for pair in self.edges]
        return {**asdict(self), "edges": edges, "shares": self.shares}


def profile(effects: Tensor, bins: Sequence[float] = BINS) -> Profile:
    """The profile of effects ``(R,)``, one per region; irrelevant ones are 0. The RoI's own cells do not belong here.

    Example:
        >>> found = profile(torch.tensor([-0.5, 0.0, 0.1, -4.0]))
        >>> found.supporting, found.suppressing, found.irrelevant, found.histogram
        (2, 1, 1, (1, 0, 1, 0, 1, 1, 0, 0, 0))
    """
    values = plain(effects).flatten().double()
    if not len(values) or not torch.isfinite(values).all():
        raise ValueError(
            f"{len(values)} effects, {int(torch.isfinite(values).sum())} of them finite: all must be, and one at least."
        )
    cuts = torch.tensor(tuple(bins), dtype=torch.float64)
    if len(cuts) < 1 or (cuts <= 0).any() or (cuts.diff() <= 0).any():
        raise ValueError(f"bins={tuple(bins)}: growing numbers above 0 are needed.")
    steps = torch.bucketize(values.abs(), cuts, right=True) * values.sign().long()
    counts = torch.bincount(steps + len(cuts), minlength=2 * len(cuts) + 1)
    limits = [-float("inf"), *(-cuts.flip(0)).tolist(), *cuts.tolist(), float("inf")]
    return Profile(
        supporting=int((values < 0).sum()),
        suppressing=int((values > 0).sum()),
        irrelevant=int((values == 0).sum()),
        minimum=min(0.0, float(values.min())),
        maximum=max(0.0, float(values.max())),
        histogram=tuple(counts.tolist()),
        edges=tuple(pairwise(limits)),
    )


def map_profile(
    heat: Tensor, patch_size: int | Sequence[int], roi: Box, *, with_roi: bool = False, bins: Sequence[float] = BINS
) -> Profile:
    """The profile of a map ``(*spatial)`` that is constant over the patches of a grid, such as a published one.

    Args:
        heat: the map.
        patch_size: of its grid.
        roi: the RoI's box; cells that touch it are left out.
        with_roi: count them all the same, as the released statistics' histogram does.
        bins: see :data:`BINS`.
    """
    values = plain(heat).double()
    regions = grid_regions(tuple(values.shape), patch_size)
    if not with_roi:
        regions = regions.subset(~regions.touches(roi))
    cells = [region.within(values) for region in regions]
    uneven = next((region for region, cell in zip(regions, cells, strict=True) if (cell != cell[0]).any()), None)
    if uneven is not None:
        raise ValueError(f"the map varies inside the patch {uneven.box}: it was made with another patch size.")
    return profile(torch.stack([cell[0] for cell in cells]), bins)
