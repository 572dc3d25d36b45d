# SPDX-License-Identifier: Apache-2.0
"""Mean maps over aligned regions of interest: where, seen from the RoI, does the support lie in this cohort?"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np

from monai_causal.cohort.answers.blocks import Block, Kind
from monai_causal.files import draft_of

__all__ = ["MeanMaps", "draw_mean_maps"]

_ACROSS = 4
"""Maps beside each other; further ones go below."""


class MeanMaps:
    """Adds up maps, region by region: by the anatomy's name, or by the place relative to the RoI's centre."""

    def __init__(self) -> None:
        self._sums: dict[Kind, dict[Hashable, tuple[float, int]]] = {}
        self.maps: dict[Kind, int] = {}

    def add(self, block: Block) -> None:
        """One map; without names and places it belongs nowhere."""
        if block.keys is None:
            return
        self.maps[block.kind] = self.maps.get(block.kind, 0) + 1
        sums = self._sums.setdefault(block.kind, {})
        for key, effect in zip(block.keys, block.effects.tolist(), strict=True):
            total, count = sums.get(key, (0.0, 0))
            sums[key] = (total + effect, count + 1)

    def without(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """A map beside the mean of all others, where others have such a region: two rows of numbers."""
        sums = self._sums.get(block.kind, {})
        own, others = [], []
        for key, effect in zip(block.keys or (), block.effects.tolist(), strict=block.keys is not None):
            total, count = sums.get(key, (0.0, 0))
            if count > 1:
                own.append(effect)
                others.append((total - effect) / (count - 1))
        return np.array(own), np.array(others)

    def rows(self) -> list[dict[str, Any]]:
        """Every region of every mean map: its mean effect, and over how many maps."""
        found: list[dict[str, Any]] = []
        for kind, sums in sorted(self._sums.items()):
            for key, (total, count) in sorted(sums.items(), key=lambda one: str(one[0])):
                name = key if isinstance(key, str) else None
                offset = list(key) if isinstance(key, tuple) else None
                found.append({**kind._asdict(), "name": name, "offset": offset, "effect": total / count, "maps": count})
        return found

    def grid(self, kind: Kind, least: float = 0.1) -> tuple[np.ndarray, tuple[float, float, float, float]] | None:
        """A mean map of a plane as an array ``(rows, columns)``, not a number where fewer than ``least`` of the maps
        have a region, and its extent ``(left, right, bottom, top)`` in voxels from the RoI's centre; None for other
        maps."""
        enough = max(1, round(least * self.maps.get(kind, 0)))
        places: list[tuple[tuple[float, ...], float]] = []
        for key, (total, count) in self._sums[kind].items():
            if not isinstance(key, tuple) or len(key) != 2:
                return None
            if count >= enough:
                places.append((key, total / count))
        axes = [np.unique([offset[axis] for offset, _ in places]) for axis in range(2)]
        if min(map(len, axes)) < 2:
            return None
        steps = [float(np.diff(axis).min()) for axis in axes]
        counts = [round((axis[-1] - axis[0]) / step) + 1 for axis, step in zip(axes, steps, strict=True)]
        heat = np.full(counts, np.nan)
        for offset, effect in places:
            row, column = (round((at - axis[0]) / step) for at, axis, step in zip(offset, axes, steps, strict=True))
            heat[row, column] = effect
        left, right = axes[1][0] - steps[1] / 2, axes[1][-1] + steps[1] / 2
        top, bottom = axes[0][0] - steps[0] / 2, axes[0][-1] + steps[0] / 2
        return heat, (left, right, bottom, top)


def draw_mean_maps(maps: MeanMaps, path: Path) -> bool:
    """Draw the mean maps of planes beside each other; False where there is none."""
    import matplotlib.pyplot as plt

    drawn = [(kind, grid) for kind in sorted(maps.maps) if (grid := maps.grid(kind)) is not None]
    if not drawn:
        return False
    across = min(_ACROSS, len(drawn))
    down = -(-len(drawn) // across)
    figure, axes = plt.subplots(down, across, figsize=(4.4 * across, 4.2 * down), squeeze=False, layout="constrained")
    for axis in axes.flat[len(drawn) :]:
        axis.set_axis_off()
    for axis, (kind, (heat, extent)) in zip(axes.flat, drawn, strict=False):
        largest = float(np.nanmax(np.abs(heat))) or 1.0
        # Red supports, as everywhere in this package: a negative effect is a fall of the score.
        shown = axis.imshow(-heat, extent=extent, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
        axis.plot(0, 0, marker="+", color="black", markersize=12)
        axis.set_facecolor("0.85")
        axis.set_title(f"{kind.model}, {kind.method}, {maps.maps[kind]} maps\n{kind.question}", fontsize=10)
        axis.set_xlabel("columns from the RoI's centre")
        axis.set_ylabel("rows from the RoI's centre")
        bar = figure.colorbar(shown, ax=axis, shrink=0.8)
        bar.set_label(f"mean support ({kind.unit})")
    with draft_of(path) as draft:
        figure.savefig(draft, dpi=120)
    plt.close(figure)
    return True
