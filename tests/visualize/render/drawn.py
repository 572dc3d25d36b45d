# SPDX-License-Identifier: Apache-2.0
"""Results with effects that were written down, and a look at what was drawn of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from monai_causal.intervene import RunRecord, grid_regions
from monai_causal.intervene.regions import Box, coverage
from monai_causal.visualize import PdCRResult


def made_result(
    effects: dict[Box, float],
    spatial_shape: Sequence[int] = (64, 64),
    patch_size: int | Sequence[int] = 8,
    roi: Box = ((24, 40), (24, 40)),
    *,
    spread: float = 0.0,
    draws: int = 4,
    unsettled: Sequence[Box] = (),
    affine: np.ndarray | None = None,
    rule: dict[str, Any] | None = None,
) -> PdCRResult:
    """A result whose regions at these boxes have these effects, and all others none."""
    regions = grid_regions(spatial_shape, patch_size)
    regions = regions.subset(~regions.touches(roi))
    ate = torch.tensor([effects.get(region.box, 0.0) for region in regions], dtype=torch.float64)
    assert int((ate != 0).sum()) == len(effects), "an effect lies on no region"
    swing = spread * torch.linspace(-1, 1, draws, dtype=torch.float64) * (ate != 0)[:, None]
    ites = ate[:, None] + swing
    return PdCRResult(
        baseline=90.0,
        unit="Dice points",
        regions=regions,
        roi=coverage(roi, spatial_shape),
        ites=ites,
        ate=ate,
        standard_error=ites.std(1) / draws**0.5 if draws > 1 else torch.full_like(ate, torch.nan),
        relevant=ate != 0,
        settled=torch.tensor([region.box not in unsettled for region in regions]),
        p_values=torch.full_like(ate, torch.nan),
        rule=rule or {"name": "sequential", "tau": 0.02},
        record=RunRecord(),
        affine=None if affine is None else torch.from_numpy(affine),
    )


@dataclass
class Drawing:
    """A figure as it was saved, and the file's pixels."""

    figure: Figure
    pixels: np.ndarray

    def panel(self, title: str) -> Axes:
        """The axes whose title begins so."""
        (found,) = (axes for axes in self.figure.axes if axes.get_title().replace("\n", " ").startswith(title))
        return found

    def at(self, axes: Axes, x: float, y: float) -> np.ndarray:
        """The file's colour at data coordinates of axes."""
        across, up = axes.transData.transform((x, y))
        return self.pixels[len(self.pixels) - 1 - int(up), int(across)]

    @property
    def bars(self) -> list[Axes]:
        """Colour bars."""
        return [axes for axes in self.figure.axes if axes.get_label() == "<colorbar>"]

    def words(self) -> list[Text]:
        """All that is written, but for the axes' ticks."""
        ticks = {
            id(label)
            for axes in self.figure.axes
            for axis in (axes.xaxis, axes.yaxis)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
            for label in (tick.label1, tick.label2)
        }
        return [
            text
            for text in self.figure.findobj(Text)
            if text.get_text().strip() and text.get_visible() and id(text) not in ticks
        ]

    def assert_tidy(self) -> None:
        """Nothing is cut off at the border, and no words lie on others."""
        border = np.concatenate([self.pixels[:2].reshape(-1, 3), self.pixels[-2:].reshape(-1, 3)])
        np.testing.assert_array_equal(border, 1.0)
        np.testing.assert_array_equal(self.pixels[:, [0, -1]], 1.0)
        boxes = [(text.get_text(), text.get_window_extent()) for text in self.words()]
        for (one, here), (other, there) in combinations(boxes, 2):
            assert not here.padded(-1).overlaps(there.padded(-1)), f"{one!r} lies on {other!r}"


@dataclass
class Drawings:
    """Remembers the figure that is saved next."""

    figures: list[Figure]

    def of(self, path: Path) -> Drawing:
        return Drawing(self.figures[-1], matplotlib.image.imread(path)[..., :3])


def reddish(colour: np.ndarray) -> bool:
    return bool(colour[0] > colour[2] + 0.2)


def bluish(colour: np.ndarray) -> bool:
    return bool(colour[2] > colour[0] + 0.2)
