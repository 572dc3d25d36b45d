# SPDX-License-Identifier: Apache-2.0
"""Charts of a benchmark's tables, as SVG that Matplotlib writes: nothing in the page has to run to show them.

Two kinds, where a table has what they need: each row's value with its interval, and one measure against another.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from monai_causal.report.tables import Table, quantity
from monai_causal.visualize.render import style

__all__ = ["Chart", "charts_of"]

MOST_ROWS, LEAST_ROWS = 40, 2
_LABEL = 36  # letters of a row's name that stand in a chart
_MOST_LABELS = 14  # points that all carry their names; of more only the outermost do


@dataclass(frozen=True)
class Chart:
    """A picture of a table; ``alt`` says in words what it shows, and the table itself has the numbers."""

    name: str
    alt: str
    picture: str


def charts_of(table: Table) -> list[Chart]:
    """What can be drawn of a table: at most one chart of intervals and one of a trade-off."""
    if table.left_out or not LEAST_ROWS <= len(table.rows) <= MOST_ROWS:
        return []
    names = _names(table)
    measured = [
        at
        for at, column in enumerate(table.columns)
        if column.of and any(not math.isnan(quantity(row[at])[0]) for row in table.rows)
    ]
    charts = []
    if names and measured:
        charts.append(_intervals(table, names, measured[0]))
    if names and len(measured) > 1:
        charts.append(_trade_off(table, names, measured[0], measured[1]))
    return charts


def _names(table: Table) -> list[str]:
    """Of the rows: the columns of text that tell them apart, as few as will do; nothing where none do."""
    texts = [at for at, column in enumerate(table.columns) if not column.numeric or not column.of]
    parts: list[int] = []
    for at in texts:
        kinds = {row[at].text for row in table.rows}
        before = {tuple(row[one].text for one in parts) for row in table.rows}
        after = {tuple(row[one].text for one in [*parts, at]) for row in table.rows}
        if len(kinds) > 1 and len(after) > len(before) and len(before) < len(table.rows):
            parts.append(at)
    found = [", ".join(row[at].text for at in parts) for row in table.rows]
    return [_short(one) for one in found] if parts and len(set(found)) == len(found) else []


def _intervals(table: Table, names: Sequence[str], at: int) -> Chart:
    values, low, high = _limits(table, at)
    column = table.columns[at]
    figure = style.new_figure(0.9 + 0.24 * len(names))
    axes = figure.subplots()
    places = np.arange(len(names))[::-1]
    axes.errorbar(values, places, xerr=[values - low, high - values], fmt="o", color="#0072b2", capsize=3, markersize=4)
    if np.nanmin(low) <= 0 <= np.nanmax(high):
        axes.axvline(0, color="0.6", linewidth=0.8)
    axes.set_yticks(places, names, fontsize=style.SMALL, parse_math=False)
    axes.set_xlabel(f"{column.name} ({column.of})", fontsize=style.TEXT, parse_math=False)
    axes.margins(y=0.6 / len(names))
    alt = f"{column.name} of {len(names)} rows of {table.name}, each with its interval or spread."
    return Chart(f"{table.name}: {column.name}", alt, _svg(figure))


def _trade_off(table: Table, names: Sequence[str], first: int, second: int) -> Chart:
    (x, x_low, x_high), (y, y_low, y_high) = _limits(table, first), _limits(table, second)
    figure = style.new_figure(4.6)
    axes = figure.subplots()
    outermost = {int(pick(values)) for values in (x, y) for pick in (np.nanargmin, np.nanargmax)}
    for place, (name, (colour, _)) in enumerate(zip(names, style.line_styles(), strict=False)):
        axes.errorbar(
            x[place],
            y[place],
            xerr=[[x[place] - x_low[place]], [x_high[place] - x[place]]],
            yerr=[[y[place] - y_low[place]], [y_high[place] - y[place]]],
            fmt="o",
            color=colour,
            elinewidth=0.8,
            alpha=0.85,
        )
        if len(names) <= _MOST_LABELS or place in outermost:
            axes.annotate(
                name, (x[place], y[place]), xytext=(4, 4), textcoords="offset points",
                fontsize=style.SMALL, color=style.INK, parse_math=False,
            )  # fmt: skip
    axes.set_xlabel(table.columns[first].name, fontsize=style.TEXT, parse_math=False)
    axes.set_ylabel(table.columns[second].name, fontsize=style.TEXT, parse_math=False)
    title = f"{table.name}: {table.columns[first].name} against {table.columns[second].name}"
    return Chart(title, f"{title}, a point with its intervals for each of {len(names)} rows.", _svg(figure))


def _limits(table: Table, at: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    found = np.array([quantity(row[at]) for row in table.rows], dtype=np.float64)
    return found[:, 0], found[:, 1], found[:, 2]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LABEL else line[: _LABEL - 1] + "\u2026"


def _svg(figure: Figure) -> str:
    """The same bytes every time; letters stay letters, in a font that is there."""
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "monai_causal", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
