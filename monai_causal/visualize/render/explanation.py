# SPDX-License-Identifier: Apache-2.0
"""The standard pictures of PdCR results: one result with all that is known of it, several networks on one RoI."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from monai_causal.intervene.regions import coverage, plain
from monai_causal.visualize.pdcr_result import PdCRResult
from monai_causal.visualize.render import style
from monai_causal.visualize.render.panels import Outline, Panel, common_scale, draw_bar, draw_panel, outline_legend
from monai_causal.visualize.render.profile import (
    SHARES,
    draw_extremes,
    draw_histogram,
    draw_pie,
    extremes,
    share_legend,
)
from monai_causal.visualize.render.results import (
    Array,
    centre_of,
    doubtful,
    picture,
    result_panel,
    roi_outline,
    spread_panel,
)
from monai_causal.visualize.render.volumes import draw_planes, plane_widths, planes, planes_height

__all__ = ["save_explanation", "save_networks"]

LEGEND = "Red: the region supports the answer in the RoI. Blue: it suppresses it."


def save_explanation(
    path: str | os.PathLike[str],
    result: PdCRResult,
    image: Array,
    *,
    answer: Array | None = None,
    reference: Array | None = None,
    title: str = "",
    caption: str = "",
    level: float = 0.95,
    limit: float | None = None,
    channel: int | None = None,
    through: Literal["roi", "effect"] | Sequence[int] = "roi",
) -> Path:
    """The standard picture of a result: the image with the RoI, the map, its uncertainty and its profile. A volume is
    shown in three planes.

    Args:
        path: of the PNG file.
        result: what was found.
        image: what was explained, ``(1, C, *spatial)``, ``(C, *spatial)`` or ``(*spatial)``.
        answer: the network's own answer, a mask ``(*spatial)``, for its border.
        reference: the label that the answer was compared with, for its border.
        title, caption: above and beneath; by default the caption says what the colours mean.
        level: of the intervals.
        limit: the end of the colour scale, in the result's unit, where pictures are to be compared.
        channel: which of the image's to draw, where there is a choice.
        through: of a volume, where the planes meet: the RoI, the strongest effect, or a voxel.

    Example:
        >>> import tempfile
        >>> from monai_causal.intervene import DonorPatchFill
        >>> from monai_causal.visualize import PdCR
        >>> network, image = torch.nn.Conv2d(1, 1, 5, padding=2), torch.rand(1, 1, 32, 32)
        >>> pdcr = PdCR(network, DonorPatchFill(torch.rand(9, 1, 8, 8)))
        >>> result = pdcr.explain(image, roi=((8, 16), (8, 16)), label=torch.ones(32, 32))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_explanation(f"{folder}/explanation.png", result, image).name
        'explanation.png'
    """
    lines = [roi_outline(result)]
    for mask, colour, name in (
        (answer, style.ANSWER_COLOUR, "the network's answer"),
        (reference, style.REFERENCE_COLOUR, "the reference"),
    ):
        if mask is not None:
            lines.append(Outline(coverage(plain(mask), result.roi.shape).numpy(), colour, name))
    count = int(result.relevant.sum())
    unsure = int(doubtful(result, level).sum())
    called = f"{count} of {len(result.ate)} regions relevant" + (
        f", {unsure} of them unsure (hatched)" if unsure else ""
    )
    before = f"image; score before {result.baseline:.4g} {result.unit}".rstrip()
    panels = (
        Panel(picture(image, result.roi.shape, channel), before, outlines=lines),
        result_panel(result, image, f"effects: {called}", level=level, limit=limit, channel=channel),
        spread_panel(result, image, "uncertainty of the effects", level=level, channel=channel),
    )
    if result.roi.ndim == 2:
        figure = _flat(panels, result)
    else:
        centre = centre_of(result, through) if isinstance(through, str) else tuple(through)
        figure = _deep(panels, result, centre)
    return style.write(figure, path, caption or LEGEND, title=title, legend=outline_legend(panels))


def save_networks(
    path: str | os.PathLike[str],
    results: Mapping[str, PdCRResult],
    image: Array,
    *,
    columns: int = 4,
    caption: str = "",
    level: float = 0.95,
    channel: int | None = None,
) -> Path:
    """Maps of several networks (or methods, or settings) on one image and RoI, on one colour scale; below each its
    shares as a pie and its strongest effects as bars (Fig. 6).

    Args:
        path: of the PNG file.
        results: by network; of flat images.
        image: what was explained.
        columns: maps in a row.
        caption: beneath; by default it says what the colours mean.
        level: of the intervals that decide what is hatched.
        channel: which of the image's to draw, where there is a choice.
    """
    if any(not torch.equal(result.roi, next(iter(results.values())).roi) for result in results.values()):
        raise ValueError("the results are of different RoIs: their maps answer different questions; use save_grid.")
    made = [result_panel(result, image, name, level=level, channel=channel) for name, result in results.items()]
    panels = [panel for panel in common_scale(made) if panel is not None]
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    side = (style.WIDTH - 1.1) / columns
    height = side * panels[0].image.shape[0] / panels[0].image.shape[1]
    figure = style.new_figure(rows * (height + 0.35 * side + 0.35))
    cells = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[height, 0.32 * side] * rows)
    for number in range(rows * columns):
        above, below = cells[2 * (number // columns) : 2 * (number // columns) + 2, number % columns]
        below.set_axis_off()
        if number >= len(panels):
            above.set_axis_off()
            continue
        panel, found = panels[number], list(results.values())[number].profile()
        draw_panel(above, replace(panel, title=style.wrapped(panel.title, side)))
        draw_pie(below.inset_axes((0.0, 0.0, 0.36, 1.0)), found, legend=False)
        draw_extremes(below.inset_axes((0.4, 0.0, 0.6, 1.0)), found, panel.largest)
    draw_bar(figure, cells.ravel().tolist(), panels[0])
    handles = [*share_legend({share: share for share in SHARES}), *outline_legend(panels)]
    unit = f" ({panels[0].unit})" if panels[0].unit else ""
    strips = f"Pie: shares of regions. Bars: strongest support and suppression{unit}."
    return style.write(figure, path, caption or f"{LEGEND} {strips}", legend=handles)


def _flat(panels: Sequence[Panel], result: PdCRResult) -> Figure:
    rows, columns = result.roi.shape
    height = min(0.39 * rows / columns, 0.6) * style.WIDTH + 0.45
    figure = style.new_figure(height + max(height, 3.1))
    grid = figure.add_gridspec(2, 2, height_ratios=(height, max(height, 3.1)))
    for panel, cell in zip(panels, (grid[0, 0], grid[0, 1], grid[1, 1]), strict=True):
        axes = figure.add_subplot(cell)
        draw_panel(axes, replace(panel, title=style.wrapped(panel.title, 0.45 * style.WIDTH)))
        if panel.heat is not None:
            draw_bar(figure, [axes], panel)
    lower = grid[1, 0].subgridspec(2, 1, height_ratios=(1, 1.7))
    _profile(figure.add_subplot(lower[0]), figure.add_subplot(lower[1]), result)
    return figure


def _deep(panels: Sequence[Panel], result: PdCRResult, centre: Sequence[int]) -> Figure:
    cuts = planes(result.roi.shape, centre, None if result.affine is None else result.affine.numpy())
    height = planes_height(cuts, result.roi.shape)
    figure = style.new_figure(3 * height + 2.9)
    widths = plane_widths(cuts, result.roi.shape)
    grid = figure.add_gridspec(4, 3, width_ratios=widths, height_ratios=(height, height, height, 2.9))
    for row, panel in enumerate(panels):
        draw_planes(figure, [figure.add_subplot(grid[row, column]) for column in range(3)], panel, cuts)
    last = grid[3, :].subgridspec(1, 2, width_ratios=(1, 1.2))
    _profile(figure.add_subplot(last[0]), figure.add_subplot(last[1]), result)
    return figure


def _profile(pie: Axes, bars: Axes, result: PdCRResult) -> None:
    found = result.profile()
    draw_pie(pie, found)
    draw_histogram(bars, found, result.unit)
    bars.set_title(style.wrapped(extremes(found, result.unit), 2.5), fontsize=style.TEXT, color=style.INK)
