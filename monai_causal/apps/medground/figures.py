# SPDX-License-Identifier: Apache-2.0
"""Table 1 and Fig. 3 as pictures, and the funnel of the filter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.patches import Patch
from matplotlib.transforms import Bbox

from monai_causal.apps.medground.filtering import FATES
from monai_causal.apps.medground.tables import percent
from monai_causal.visualize.render import style

__all__ = ["save_bars", "save_funnel", "save_table"]

Row = dict[str, Any]
HEADINGS = {"iou": "IoU", "f1": "F1", "precision": "Prec", "recall": "Recall", "concept_hit": "Concept"}
SHADES = ("#009e73", "#d55e00", "#cc79a7", "#0072b2", "#e69f00", "#56b4e9", "#b2182b", "0.35")
"""Of the fates, the first of what was kept."""


def save_table(rows: Sequence[Row], path: Path, title: str) -> Path:
    """Rows of :func:`~monai_causal.apps.medground.tables.mean_rows`, x 100, the best of each column in bold."""
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    found = {(row["dataset"], row["method"]): row for row in rows}
    columns = [(dataset, metric) for dataset in datasets for metric in HEADINGS]
    cells = [
        [percent(found[dataset, method][metric]) if (dataset, method) in found else "" for dataset, metric in columns]
        for method in methods
    ]
    headings = [f"{dataset}\n{HEADINGS[metric]}" for dataset, metric in columns]
    width = max(style.WIDTH, 1.9 + 0.8 * len(columns))
    figure = style.new_figure(0.55 + 0.27 * len(methods), width)
    axes = figure.subplots()
    axes.set_axis_off()
    table = axes.table(cellText=cells, rowLabels=methods, colLabels=headings, cellLoc="center", bbox=Bbox.unit())
    table.auto_set_font_size(False)
    table.set_fontsize(style.TEXT)
    best = {
        place: max(found[dataset, method][metric] for method in methods if (dataset, method) in found)
        for place, (dataset, metric) in enumerate(columns)
    }
    for (line, place), cell in table.get_celld().items():
        cell.set_edgecolor("0.85")
        cell.set_linewidth(0.5)
        cell.set_height(2.0 / (len(methods) + 2) if line == 0 else 1.0 / (len(methods) + 2))
        if line > 0 and place >= 0:
            dataset, metric = columns[place]
            row = found.get((dataset, methods[line - 1]))
            if row is not None and row[metric] == best[place]:
                cell.set_text_props(fontweight="bold")
                cell.set_facecolor("0.93")
    return style.write(figure, path, "x 100; the best of each column is bold.", title=title)


def save_bars(rows: Sequence[Row], path: Path, title: str, metrics: Sequence[str] = ("iou", "f1")) -> Path:
    """Bars per method with their 95 % intervals, a panel per data set and metric."""
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    figure = style.new_figure((0.7 + 0.24 * len(methods)) * len(datasets))
    panels = figure.subplots(len(datasets), len(metrics), squeeze=False, sharey=True)
    for line, dataset in zip(panels, datasets, strict=True):
        some = [row for row in rows if row["dataset"] == dataset]
        for axes, metric in zip(line, metrics, strict=True):
            values = [100 * row[metric] for row in some]
            places = [methods.index(row["method"]) for row in some]
            colours = [style.SUPPORT if row["method"] == "medfocus" else "0.6" for row in some]
            axes.barh(places, values, color=colours, height=0.7)
            for place, row in zip(places, some, strict=True):
                if row.get(f"{metric}_low") is not None:
                    axes.plot(
                        [100 * row[f"{metric}_low"], 100 * row[f"{metric}_high"]], [place, place], color=style.INK,
                        linewidth=1.2,
                    )  # fmt: skip
            axes.set_xlabel(f"{HEADINGS[metric]} x 100", fontsize=style.TEXT, color=style.INK)
            axes.set_title(dataset, fontsize=style.TEXT, color=style.INK)
            axes.set_yticks(range(len(methods)), methods, fontsize=style.SMALL)
            axes.tick_params(labelsize=style.SMALL)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_xlim(left=0)
        line[0].invert_yaxis()
    return style.write(
        figure, path, "Lines are 95 % intervals over images, where one model makes the mean.", title=title
    )


def save_funnel(rows: Sequence[Row], path: Path, title: str) -> Path:
    """What became of the candidates: a bar per mode, true answer and finding."""
    several = len({row["model"] for row in rows}) > 1
    names = [
        f"{row['finding']}, {row['answer']} ({row['model'] + ', ' if several else ''}{row['mode']})" for row in rows
    ]
    figure = style.new_figure(0.8 + 0.22 * len(rows))
    axes = figure.subplots()
    used = [fate for fate in FATES if any(row[fate] for row in rows)]
    for place, row in enumerate(rows):
        start = 0.0
        for fate in used:
            share = 100 * row[fate] / row["candidates"]
            axes.barh(place, share, left=start, color=SHADES[FATES.index(fate)], height=0.75)
            start += share
        axes.text(101, place, str(row["candidates"]), va="center", fontsize=style.SMALL, color=style.INK)
    axes.set_yticks(range(len(rows)), names, fontsize=style.SMALL)
    axes.invert_yaxis()
    axes.set_xlim(0, 108)
    axes.set_xlabel("% of the candidates, whose number is on the right", fontsize=style.TEXT, color=style.INK)
    axes.tick_params(labelsize=style.SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    called = {"kept": "kept", "background_normal": "dropped: background, no abnormality"}
    legend = [
        Patch(color=SHADES[FATES.index(fate)], label=called.get(fate, f"dropped: {fate.replace('_', ' ')}"))
        for fate in used
    ]
    return style.write(figure, path, title=title, legend=legend)
