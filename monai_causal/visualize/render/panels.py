# SPDX-License-Identifier: Apache-2.0
"""Effects laid over images: single panels, rows of them, and grids that compare methods, networks or data sets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from monai_causal.visualize.render import style
from monai_causal.visualize.render.marks import draw_border, draw_hatching

__all__ = [
    "Outline",
    "Panel",
    "common_scale",
    "draw_bar",
    "draw_panel",
    "outline_legend",
    "row_title",
    "save_grid",
    "save_panels",
]

_FADED = 0.3


@dataclass(frozen=True)
class Outline:
    """The border of a mask ``(rows, columns)``."""

    mask: np.ndarray
    colour: str
    label: str


@dataclass(frozen=True)
class Panel:
    """One picture: an image and what lies on it. All arrays have the image's grid; row 0 is drawn on top, column 0 on
    the left. A panel of a volume holds volumes, until :mod:`.volumes` cuts it.

    Attributes:
        image: ``(rows, columns)``, or ``(rows, columns, 3)`` in [0, 1]; a coloured image turns grey under a map,
            whose colours could not be told from its own.
        title: what it is.
        heat: effects on the same grid, or nothing; what is not a number is not drawn.
        unit: the unit of ``heat``, for its colour bar.
        outlines: borders to draw.
        signed: whether ``heat`` has a sign: negative, supports, is red. If not, it starts at 0.
        limit: the end of the (symmetric) colour scale; by default the largest ``|heat|``.
        doubtful: where the effect is not sure: hatched.
        faded: where the effect is not to be counted on: drawn pale.
        window: the image's values that are black and white; by default its extremes.
        aspect: height of a pixel in terms of its width.
        edges: what lies to the left, right, top and bottom.
        bar_label: in place of the default ``effect (unit)``.
    """

    image: np.ndarray
    title: str
    heat: np.ndarray | None = None
    unit: str = ""
    outlines: Sequence[Outline] = field(default_factory=tuple)
    signed: bool = True
    limit: float | None = None
    doubtful: np.ndarray | None = None
    faded: np.ndarray | None = None
    window: tuple[float, float] | None = None
    aspect: float = 1.0
    edges: tuple[str, str, str, str] | None = None
    bar_label: str = ""

    @property
    def largest(self) -> float:
        """Where the colour scale ends; 1 for a map without effects."""
        if self.limit is not None:
            return self.limit
        finite = np.zeros(1) if self.heat is None else np.abs(self.heat[np.isfinite(self.heat)])
        return float(finite.max(initial=0.0)) or 1.0

    @property
    def scale(self) -> ScalarMappable:
        """From effects to colours."""
        limit = self.largest
        if self.signed:
            return ScalarMappable(Normalize(-limit, limit), style.SUPPORT_TO_SUPPRESS)
        return ScalarMappable(Normalize(0, limit), style.MAGNITUDES)


def common_scale(panels: Sequence[Panel | None]) -> list[Panel | None]:
    """The same panels on the largest of their colour scales, so that their colours can be compared.

    Example:
        >>> image = np.zeros((2, 2))
        >>> weak, strong = Panel(image, "a", image - 1), Panel(image, "b", image + 3)
        >>> [panel.limit for panel in common_scale([weak, None, strong]) if panel]
        [3.0, 3.0]
    """
    mapped = [panel for panel in panels if panel is not None and panel.heat is not None]
    kinds = {(panel.unit, panel.signed) for panel in mapped}
    if len(kinds) > 1:
        raise ValueError(f"maps in {sorted(unit for unit, _ in kinds)} have no common scale: give each its own.")
    limit = max((panel.largest for panel in mapped), default=1.0)
    return [panel if panel is None or panel.heat is None else replace(panel, limit=limit) for panel in panels]


def save_panels(
    path: str | os.PathLike[str],
    panels: Sequence[Panel],
    caption: str = "",
    *,
    columns: int = 3,
    same_scale: bool = False,
) -> Path:
    """Draw panels side by side, ``columns`` in a row, each with its colour bar, into a PNG file.

    Example:
        >>> import tempfile
        >>> effects = np.kron([[-2.0, 0.0], [0.0, 1.0]], np.ones((8, 8)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_panels(f"{folder}/map.png", [Panel(np.eye(16), "a map", effects, "Dice points")]).name
        'map.png'
    """
    if same_scale:
        panels = [panel for panel in common_scale(panels) if panel is not None]
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    width = style.WIDTH if columns > 1 else 0.65 * style.WIDTH
    height = max(0.9 * width / columns * _tallness(panel) for panel in panels)
    figure = style.new_figure(rows * (min(height, 1.5 * width) + 0.4), width)
    cells = figure.subplots(rows, columns, squeeze=False).flat
    for axes, panel in zip(cells, panels, strict=False):
        draw_panel(axes, replace(panel, title=style.wrapped(panel.title, width / columns)))
        if panel.heat is not None:
            draw_bar(figure, [axes], panel)
    for axes in list(cells)[len(panels) :]:
        axes.set_axis_off()
    return style.write(figure, path, caption, legend=outline_legend(panels))


def save_grid(
    path: str | os.PathLike[str],
    rows: Sequence[Sequence[Panel | None]],
    row_titles: Sequence[str],
    column_titles: Sequence[str],
    caption: str = "",
    *,
    same_scale: Literal["all", "rows", "no"] = "all",
    columns: int = 6,
) -> Path:
    """Draw a table of panels that compares methods, networks or data sets (Figs. 4, 6 and 7).

    Args:
        path: of the PNG file.
        rows: the panels; ``None`` where there is no result, which is said there.
        row_titles, column_titles: on the left and on top. The panels' own titles stand beneath the columns'.
        caption: beneath.
        same_scale: one colour scale and bar for ``"all"``, one per row (methods that differ in unit), or one for each
            panel (``"no"``).
        columns: at most so many side by side; a longer table goes on beneath, because smaller panels show nothing.
    """
    shape = {len(row) for row in rows}
    if len(rows) != len(row_titles) or shape != {len(column_titles)}:
        raise ValueError(
            f"{len(rows)} rows of {sorted(shape)} panels for {len(row_titles)} row titles and {len(column_titles)} "
            "column titles: give one title each, and None where a panel is missing."
        )
    if same_scale == "all":
        flat = iter(common_scale([panel for row in rows for panel in row]))
        rows = [[next(flat) for _ in row] for row in rows]
    elif same_scale == "rows":
        rows = [common_scale(row) for row in rows]
    blocks = -(-len(column_titles) // columns)
    columns = -(-len(column_titles) // blocks)
    side = (style.WIDTH - 1.1) / columns
    lines = [
        (row_titles[r], rows[r][start : start + columns], column_titles[start : start + columns] if r == 0 else ())
        for start in range(0, len(column_titles), columns)
        for r in range(len(rows))
    ]
    heights = [max((side * _tallness(panel) for panel in line if panel), default=0.0) or 0.5 for _, line, _ in lines]
    figure = style.new_figure(sum(heights) + 0.08 * len(lines) + 0.35 * blocks)
    cells = figure.subplots(len(lines), columns, squeeze=False, height_ratios=heights)
    for axes, (name, line, heads), height in zip(cells, lines, heights, strict=True):
        for c, cell in enumerate(axes):
            panel = line[c] if c < len(line) else None
            if panel is None:
                cell.set_axis_off()
                text = "no result" if c < len(line) else ""
                cell.text(0.5, 0.5, text, ha="center", va="center", fontsize=style.SMALL, color=style.INK)
            else:
                draw_panel(cell, replace(panel, title=style.wrapped(panel.title, side)))
                if same_scale == "no" and panel.heat is not None:
                    draw_bar(figure, [cell], panel)
            if c < len(heads):
                head, title = style.wrapped(heads[c], side), cell.get_title()
                cell.set_title(f"{head}\n{title}" if title else head, fontsize=style.TEXT, color=style.INK)
        row_title(axes[0], style.wrapped(name, max(height, 0.8)))
        if same_scale == "rows":
            _common_bar(figure, axes, line)
    everything = [panel for row in rows for panel in row if panel is not None]
    if same_scale == "all":
        _common_bar(figure, cells.ravel(), everything)
    return style.write(figure, path, caption, legend=outline_legend(everything))


def draw_panel(axes: Axes, panel: Panel) -> None:
    """Draw everything but the colour bar and the outlines' names."""
    rows, columns = panel.image.shape[:2]
    image = panel.image if panel.heat is None else _grey(panel.image)
    black, white = panel.window or (float(image.min()), float(image.max()))
    if white <= black:
        black, white = black - 0.5, black + 0.5
    if panel.heat is not None:
        # Between dark and light grey: neither red nor blue is seen on black, nor a pale one on white.
        black, white = black - (white - black) / 3, white + (white - black) / 3
    axes.imshow(image, cmap="gray", vmin=black, vmax=white, interpolation="nearest", aspect=panel.aspect)
    axes.set_title(panel.title, fontsize=style.TEXT, color=style.INK)
    axes.set_axis_off()
    if panel.heat is not None:
        if panel.heat.shape != (rows, columns):
            raise ValueError(f"a map of {panel.heat.shape} does not lie on an image of {(rows, columns)}.")
        pale = 1.0 if panel.faded is None else np.where(panel.faded, _FADED, 1.0)
        colours = panel.scale.to_rgba(np.ma.masked_invalid(panel.heat))
        colours[..., 3] *= pale
        axes.imshow(colours, interpolation="nearest", aspect=panel.aspect)
    if panel.doubtful is not None and panel.doubtful.any():
        draw_hatching(axes, panel.doubtful)
    for outline in panel.outlines:
        draw_border(axes, outline.mask, outline.colour)
    # Borders and hatching have no say in what is seen: the image fills the axes.
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    if panel.edges is not None:
        places = [(0.02, 0.5, "left", "center"), (0.98, 0.5, "right", "center")]
        places += [(0.5, 0.98, "center", "top"), (0.5, 0.02, "center", "bottom")]
        for text, (x, y, across, along) in zip(panel.edges, places, strict=True):
            axes.text(
                x, y, text, ha=across, va=along, transform=axes.transAxes, fontsize=style.SMALL, color="white",
                path_effects=style.halo(2.0),
            )  # fmt: skip


def draw_bar(figure: Figure, axes: Sequence[Axes], panel: Panel) -> None:
    """The colour bar of ``panel`` to the right of ``axes``."""
    bar = figure.colorbar(panel.scale, ax=list(axes), shrink=0.85, pad=0.02, aspect=22, fraction=0.06)
    unit = f" ({panel.unit})" if panel.unit else ""
    bar.set_label(panel.bar_label or f"effect{unit}", fontsize=style.SMALL, color=style.INK)
    bar.ax.tick_params(labelsize=style.SMALL)
    bar.outline.set_linewidth(0.5)


def outline_legend(panels: Sequence[Panel]) -> list[Line2D]:
    """One entry for each name among the panels' outlines."""
    shown = {outline.label: outline for panel in panels for outline in panel.outlines}
    return [
        Line2D([], [], color=outline.colour, linewidth=1.6, path_effects=style.halo(2.8), label=outline.label)
        for outline in shown.values()
    ]


def _tallness(panel: Panel) -> float:
    return panel.aspect * panel.image.shape[0] / panel.image.shape[1]


def _common_bar(figure: Figure, axes: np.ndarray, panels: Sequence[Panel | None]) -> None:
    mapped = next((panel for panel in panels if panel is not None and panel.heat is not None), None)
    if mapped is not None:
        draw_bar(figure, axes.tolist(), mapped)


def _grey(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else image @ np.array([0.299, 0.587, 0.114])


def row_title(axes: Axes, text: str) -> None:
    """Beside the first panel of a row, upwards."""
    axes.annotate(
        text, (0, 0.5), xytext=(-6, 0), xycoords="axes fraction", textcoords="offset points", rotation=90,
        ha="right", va="center", fontsize=style.TEXT, color=style.INK, annotation_clip=False,
    )  # fmt: skip
