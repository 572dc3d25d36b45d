# SPDX-License-Identifier: Apache-2.0
"""Draw: effects laid over images, in one convention everywhere.

Red: the region supports the answer (its effect is negative). Blue: it suppresses it. The colour scale is symmetric and
printed, so that two pictures can be compared, and what has no effect stays grey.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from monai_causal.files import draft_of

__all__ = ["Outline", "Panel", "save_panels"]

_SUPPORT_TO_SUPPRESS = "RdBu"  # red at the negative end
_BACKGROUND_INK = "0.25"


@dataclass(frozen=True)
class Outline:
    """The border of a mask ``(rows, columns)``."""

    mask: np.ndarray
    colour: str
    label: str


@dataclass(frozen=True)
class Panel:
    """One picture: a grey image ``(rows, columns)`` and what lies on it.

    Attributes:
        image: the grey image.
        title: what it is.
        heat: signed effects on the same grid, or nothing.
        unit: the unit of ``heat``, for its colour bar.
        outlines: borders to draw.
    """

    image: np.ndarray
    title: str
    heat: np.ndarray | None = None
    unit: str = ""
    outlines: Sequence[Outline] = field(default_factory=tuple)


def save_panels(path: str | os.PathLike, panels: Sequence[Panel], caption: str = "") -> Path:
    """Draw panels side by side into a PNG file, written under a temporary name first."""
    figure = Figure(figsize=(4.2 * len(panels), 4.9 if caption else 4.5), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        _draw(figure, axes, panel)
    if caption:
        figure.supxlabel(caption, fontsize=9, color=_BACKGROUND_INK)
    with draft_of(path) as draft:
        figure.savefig(draft)
    return Path(path)


def _draw(figure: Figure, axes: Any, panel: Panel) -> None:
    axes.imshow(panel.image, cmap="gray", interpolation="nearest")
    axes.set_title(panel.title, fontsize=10)
    axes.set_axis_off()
    if panel.heat is not None:
        limit = float(np.abs(panel.heat).max()) or 1.0
        scale = Normalize(-limit, limit)
        # Opacity grows with the effect: where nothing happens, the image itself is seen.
        opacity = 0.85 * np.sqrt(np.abs(panel.heat) / limit)
        axes.imshow(panel.heat, cmap=_SUPPORT_TO_SUPPRESS, norm=scale, alpha=opacity, interpolation="nearest")
        bar = figure.colorbar(ScalarMappable(scale, _SUPPORT_TO_SUPPRESS), ax=axes, shrink=0.75, pad=0.02)
        bar.set_label(f"effect ({panel.unit})" if panel.unit else "effect", fontsize=9)
        bar.ax.tick_params(labelsize=8)
    for outline in panel.outlines:
        axes.contour(outline.mask.astype(float), levels=[0.5], colors=[outline.colour], linewidths=1.4)
        axes.plot([], [], color=outline.colour, label=outline.label)
    if panel.outlines:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=3, fontsize=8, frameon=False)
