# SPDX-License-Identifier: Apache-2.0
"""How much of the images supports the answers, per architecture and site (Table 3 of the PdCR paper, for a cohort)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from monai_causal.cohort.answers.blocks import Block, Kind

__all__ = ["EVERYWHERE", "Shares"]

EVERYWHERE = "all"


class Shares:
    """Adds up maps.

    Args:
        sites: by item; None where it has none.
        units: by item: items of one patient count as one.
    """

    def __init__(self, sites: Mapping[int, str | None], units: Mapping[int, int]) -> None:
        self._sites, self._units = sites, units
        self._found: dict[tuple[Kind, str], dict[int, list[tuple[float, ...]]]] = {}

    def add(self, block: Block) -> None:
        """One map."""
        effects = block.effects
        made_of = (
            float((effects < 0).mean()),
            float((effects > 0).mean()),
            float((effects == 0).mean()),
            min(0.0, float(effects.min())),
            max(0.0, float(effects.max())),
        )
        site = self._sites.get(block.item)
        for place in (EVERYWHERE, *(() if site is None else (site,))):
            units = self._found.setdefault((block.kind, place), {})
            units.setdefault(self._units.get(block.item, block.item), []).append(made_of)

    def rows(self) -> list[dict[str, Any]]:
        """Averages over units, all sites together first."""
        return [
            {**kind._asdict(), "site": place, **_averages(units.values())}
            for (kind, place), units in sorted(self._found.items(), key=lambda one: (one[0][0], _all_first(one[0][1])))
        ]


def _averages(units: Iterable[list[tuple[float, ...]]]) -> dict[str, Any]:
    listed = list(units)
    means = np.array([np.mean(maps, axis=0) for maps in listed]).mean(0)
    names = ("supporting", "suppressing", "irrelevant", "strongest_support", "strongest_suppression")
    return {"units": len(listed), "maps": sum(map(len, listed)), **dict(zip(names, means.tolist(), strict=True))}


def _all_first(site: str) -> tuple[bool, str]:
    return (site != EVERYWHERE, site)
