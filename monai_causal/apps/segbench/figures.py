# SPDX-License-Identifier: Apache-2.0
"""The figures: trade-offs, deletion and insertion curves, runtime against quality."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from monai_causal.apps.segbench.results import Results
from monai_causal.apps.segbench.tables import curve_table, run_table, runtime_table, table_1
from monai_causal.visualize.render import style

__all__ = ["save_curves", "save_runtime", "save_tradeoff"]

Row = dict[str, Any]
MARKERS = "osD^vP*X"
TRADEOFFS = (("stability", "stability (mean correlation)"), ("odd_abs", "off-target drop |ODD|"))


def save_tradeoff(results: Results, path: Path) -> Path | None:
    """TDD against stability and against |ODD|: a small mark per run, a large one with standard deviations per method.
    Nothing is drawn where there is nothing yet."""
    runs, means = run_table(results), table_1(results)
    names = [data.name for data in results.bench.data]
    shown = [pair for pair in TRADEOFFS if any(row[pair[0]] is not None for row in runs)]
    if not shown:
        return None
    figure = style.new_figure(3.4 * len(names), style.WIDTH)
    cells = figure.subplots(len(names), len(shown), squeeze=False)
    colours = _colours(results.methods)
    markers = {network.name: MARKERS[place % len(MARKERS)] for place, network in enumerate(results.bench.networks)}
    for line, name in zip(cells, names, strict=True):
        for axes, (across, label) in zip(line, shown, strict=True):
            for row in runs:
                if row["data"] == name and row[across] is not None and row["tdd"] is not None:
                    marker, colour = markers[row["network"]], colours[row["method"]]
                    axes.plot(row[across], row["tdd"], marker, color=colour, alpha=0.55, markersize=5, mew=0)
            for row in means:
                if row["data"] == name and row[f"{across}_mean"] is not None:
                    axes.errorbar(
                        row[f"{across}_mean"], row["tdd_mean"], xerr=row[f"{across}_sd"], yerr=row["tdd_sd"],
                        color=colours[row["method"]], marker="_", markersize=14, markeredgewidth=3, capsize=3,
                        elinewidth=1.2,
                    )  # fmt: skip
            _label(axes, label, "TDD", name if len(names) > 1 else "")
    legend = [Line2D([], [], color=colours[method], linewidth=3, label=method) for method in results.methods]
    legend += [
        Line2D([], [], color=style.INK, marker=marker, linestyle="", markersize=5, label=network)
        for network, marker in markers.items()
    ]
    directions = "Up is better; left: right is better; right: left is better." if len(shown) == 2 else "Up is better."
    caption = f"A small mark is a run, a cross the mean over runs with standard deviations. {directions}"
    return style.write(figure, path, caption, legend=legend)


def save_curves(results: Results, path: Path) -> Path | None:
    """Mean deletion and insertion curves, in shares of the intact image's score."""
    rows = curve_table(results)
    names = [data.name for data in results.bench.data if any(row["data"] == data.name for row in rows)]
    if not rows:
        return None
    figure = style.new_figure(3.2 * len(names), style.WIDTH)
    cells = figure.subplots(len(names), 2, squeeze=False)
    looks: dict[str, tuple[str, Any]] = dict(zip(results.methods, style.line_styles(), strict=False))
    for line, name in zip(cells, names, strict=True):
        for axes, kind in zip(line, ("deletion", "insertion"), strict=True):
            for method, (colour, dashes) in looks.items():
                points = [row for row in rows if (row["data"], row["method"], row["curve"]) == (name, method, kind)]
                axes.plot(*_columns(points, "fraction", "score"), color=colour, linestyle=dashes, linewidth=1.8)
            good = "low is good" if kind == "deletion" else "high is good"
            axes.axhline(1.0, color="0.7", linewidth=0.8, zorder=0)
            what = "deleted" if kind == "deletion" else "inserted"
            _label(axes, f"share of pixels {what}", "score / score of the image", f"{kind}: {good}")
    legend = [
        Line2D([], [], color=colour, linestyle=dashes, linewidth=1.8, label=method)
        for method, (colour, dashes) in looks.items()
    ]
    caption = (
        f"Mean over {rows[0]['images']} images under a network; pixels of the whole image in the order of the map."
    )
    return style.write(figure, path, caption, legend=legend)


def save_runtime(results: Results, path: Path) -> Path | None:
    """Seconds per explanation against TDD."""
    rows = [row for row in runtime_table(results) if row["median_seconds"] and row["tdd"] is not None]
    if not rows:
        return None
    names = list(dict.fromkeys(row["data"] for row in rows))
    figure = style.new_figure(3.4, 0.65 * style.WIDTH)
    axes = figure.subplots()
    colours = _colours(results.methods)
    for place, row in enumerate(rows):
        marker = MARKERS[names.index(row["data"]) % len(MARKERS)]
        axes.plot(row["median_seconds"], row["tdd"], marker, color=colours[row["method"]], markersize=8)
        beside = (6, -11 if place % 2 else 4)  # two of like worth must not have their names on each other
        axes.annotate(
            row["method"], (row["median_seconds"], row["tdd"]), xytext=beside, textcoords="offset points",
            fontsize=style.SMALL, color=style.INK,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.margins(x=0.2, y=0.15)
    _label(axes, "seconds per explanation (median, logarithmic)", "TDD", "")
    legend = [
        Line2D([], [], color=style.INK, marker=MARKERS[place % len(MARKERS)], linestyle="", label=name)
        for place, name in enumerate(names)
    ]
    return style.write(figure, path, "", legend=legend if len(names) > 1 else ())


def _colours(methods: Sequence[str]) -> dict[str, str]:
    return {method: colour for method, (colour, _) in zip(methods, style.line_styles(), strict=False)}


def _columns(rows: Sequence[Row], *names: str) -> list[list[float]]:
    return [[row[name] for row in rows] for name in names]


def _label(axes: Axes, across: str, up: str, title: str) -> None:
    axes.set_xlabel(across, fontsize=style.TEXT, color=style.INK)
    axes.set_ylabel(up, fontsize=style.TEXT, color=style.INK)
    axes.set_title(title, fontsize=style.TEXT, color=style.INK)
    axes.tick_params(labelsize=style.SMALL)
    axes.spines[["top", "right"]].set_visible(False)
