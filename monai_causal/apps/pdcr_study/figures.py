# SPDX-License-Identifier: Apache-2.0
"""The figures of a study, from its tables and journal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from monai_causal.apps.pdcr_study.findings import Entry, Findings
from monai_causal.apps.pdcr_study.table import Table
from monai_causal.apps.pdcr_study.tables.attribution import curve_table
from monai_causal.visualize.profile import Profile
from monai_causal.visualize.render import (
    Outline,
    Panel,
    save_convergence,
    save_grid,
    save_profiles,
    style,
)

__all__ = [
    "save_bars",
    "save_component_bars",
    "save_convergence_figure",
    "save_curves",
    "save_examples",
    "save_fill_bars",
    "save_histogram",
    "save_shares",
]

UNIT = "Dice points"


def save_bars(path: Path, table: Table, ylabel: str) -> None:
    """Table 2 as bars: one group per network, one bar per method, with intervals."""
    networks = list(dict.fromkeys(row["network"] for row in table.rows))
    methods = list(dict.fromkeys(row["method"] for row in table.rows))
    figure = style.new_figure(3.2)
    axes = figure.subplots()
    width = 0.8 / len(methods)
    for place, (method, (colour, _)) in enumerate(zip(methods, style.line_styles(), strict=False)):
        rows = [row for row in table.rows if row["method"] == method]
        x = np.arange(len(rows)) + (place - (len(methods) - 1) / 2) * width
        _bars(axes, x, rows, width, colour, method)
    axes.set_xticks(np.arange(len(networks)), [style.wrapped(name, 7.0 / len(networks)) for name in networks])
    _finished(axes, ylabel)
    figure.legend(loc="outside right upper", fontsize=style.SMALL, frameon=False)
    style.write(figure, path, "means over images with intervals")


def save_shares(path: Path, table: Table) -> None:
    """Table 3 as stacked bars, one per map."""
    colours = {"supporting": style.SUPPORT, "suppressing": style.SUPPRESS, "irrelevant": style.NOTHING}
    names = [_map_name(row, table.rows) for row in table.rows]
    figure = style.new_figure(0.8 + 0.3 * len(names))
    axes = figure.subplots()
    heights, reached = np.arange(len(names)), np.zeros(len(names))
    for name, colour in colours.items():
        widths = np.array([row[name] for row in table.rows])
        bars = axes.barh(heights, widths, left=reached, color=colour, edgecolor="white", linewidth=0.5, height=0.75)
        # A number fits from about five per cent on.
        texts = [f"{width:.1f}" if width >= 5 else "" for width in widths]
        dark = name != "irrelevant"
        axes.bar_label(
            bars, texts, label_type="center", fontsize=style.SMALL, color="white" if dark else style.INK
        )  # fmt: skip
        reached = reached + widths
    axes.set_yticks(heights, names)
    axes.set_xlim(0, 100)
    axes.invert_yaxis()
    _finished(axes, "", "share of regions (%)")
    legend = [Patch(facecolor=colour, label=name) for name, colour in colours.items()]
    style.write(figure, path, "averages over images; the RoI's own cells are left out", legend=legend)


def save_curves(path: Path, findings: Findings) -> None:
    """Fig. 5: a panel per method with its curve, the mean over networks and images, its interval and its area; behind
    it the other methods', in grey. In one panel, six overlapping intervals would hide each other."""
    table = curve_table(findings)
    assert table is not None
    curves = {
        method: [row for row in table.rows if row["method"] == method]
        for method in dict.fromkeys(row["method"] for row in table.rows)
    }
    columns = min(3, len(curves))
    lines = -(-len(curves) // columns)
    figure = style.new_figure(2.3 * lines)
    cells = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for place, (axes, (method, rows), (colour, _)) in enumerate(
        zip(cells.flat, curves.items(), style.line_styles(), strict=False)
    ):
        for others in curves.values():
            axes.plot(*_points(others), color="0.8", linewidth=1.0, zorder=0)
        k, means = _points(rows)
        axes.plot(k, means, color=colour, linewidth=2.0)
        if rows[0]["low"] is not None:
            axes.fill_between(
                k, [row["low"] for row in rows], [row["high"] for row in rows], color=colour, alpha=0.2, linewidth=0
            )
        area = np.mean([(before + after) / 2 for before, after in pairwise(means)])
        axes.set_title(f"{method}: area {area:.3g}", fontsize=style.TEXT, color=style.INK)
        below = "regions replaced at once" if place + columns >= len(curves) else ""
        _finished(axes, "" if place % columns else f"effect ({UNIT})", below)
    for axes in list(cells.flat)[len(curves) :]:
        axes.set_axis_off()
    # After the last curve: a limit that is set at one end holds the other where it is, in all panels.
    if findings.config["metrics"]["curve"] != "signed":
        cells[0, 0].set_ylim(bottom=0.0)
    level = 100 * findings.config["statistics"]["level"]
    style.write(figure, path, f"means over networks and images; bands: {level:g} % intervals over images")


def save_histogram(path: Path, findings: Findings) -> None:
    """Fig. 8: one stacked bar per network, over the paper's bins."""
    maps = {
        (network, label): findings.results("method", network, label)
        for network in findings.networks
        for label in findings.pdcr
    }
    several = len(findings.pdcr) > 1
    save_profiles(
        path,
        {
            f"{network}, {label}" if several else network: [_profile(one) for one in entries]
            for (network, label), entries in maps.items()
            if entries
        },
        UNIT,
        "shares of regions by the size of their effect, averaged over maps",
    )


def save_convergence_figure(path: Path, findings: Findings) -> None:
    """Fig. 3: the running mean of the strongest region of the first image, one line per network."""
    label = findings.pdcr[0]
    draws: dict[str, Any] = {}
    tau = None
    for network in findings.networks:
        for entry in findings.results("method", network, label)[:1]:
            if len(entry["result"]["strongest"]["draws"]) > 1:
                draws[network] = entry["result"]["strongest"]["draws"]
                tau = entry["result"]["rule"].get("tau")
    if draws:
        note = f"the strongest region of the map '{label}' of each network on the first RoI; bands: 95 % intervals"
        save_convergence(path, draws, UNIT, tau=tau, caption=note)


def save_fill_bars(path: Path, table: Table) -> None:
    """The fills' measures beside each other."""
    shown = {
        "disruption": "disruption\n(1: image's spread)",
        "plausible": "plausible\n(real: 0.95)",
        "seam": "seam\n(1: as it was)",
        "reliability": "reliability",
        "agreement": "agreement",
    }
    fills = list(dict.fromkeys(row["fill"] for row in table.rows))
    figure = style.new_figure(2.6)
    for axes, (measure, title) in zip(figure.subplots(1, len(shown), sharey=True), shown.items(), strict=True):
        for place, fill in enumerate(fills):
            (row,) = (row for row in table.rows if (row["fill"], row["measure"]) == (fill, measure))
            if row["mean"] is None:
                reason = " nothing drawn" if measure == "reliability" else " nothing to agree"
                axes.text(0, place, reason, va="center", fontsize=7.0, color="0.5")
                continue
            axes.barh(place, row["mean"], color="#0072b2" if place else "0.6", height=0.7)
            if row["low"] is not None:
                axes.plot([row["low"], row["high"]], [place, place], color=style.INK, linewidth=1.2)
        axes.set_yticks(range(len(fills)), fills)
        axes.set_title(title, fontsize=style.SMALL, color=style.INK)
        if measure in ("plausible", "seam"):
            axes.axvline(0.95 if measure == "plausible" else 1.0, color=style.INK, linewidth=0.8, linestyle=":")
        _finished(axes, "")
    figure.axes[0].invert_yaxis()
    style.write(figure, path, "means over images with intervals; grey: patches as they are")


def save_component_bars(path: Path, table: Table) -> None:
    """Effects of blocks, one group of bars per network."""
    maps = list(dict.fromkeys((row["network"], row["method"]) for row in table.rows))
    several = len({method for _, method in maps}) > 1
    longest = max(sum((row["network"], row["method"]) == one for row in table.rows) for one in maps)
    figure = style.new_figure(0.7 + 0.24 * longest)
    for axes, (network, method) in zip(figure.subplots(1, len(maps), sharex=True, squeeze=False)[0], maps, strict=True):
        rows = [row for row in table.rows if (row["network"], row["method"]) == (network, method)]
        for place, row in enumerate(rows):
            axes.barh(place, row["mean"], color=style.SUPPORT if row["mean"] < 0 else style.SUPPRESS, height=0.7)
            if row["low"] is not None:
                axes.plot([row["low"], row["high"]], [place, place], color=style.INK, linewidth=1.2)
        axes.axvline(0, color=style.INK, linewidth=0.8)
        axes.set_yticks(range(len(rows)), [row["component"] for row in rows])
        axes.set_ylim(longest - 0.5, -0.5)
        axes.set_title(f"{network}, {method}" if several else network, fontsize=style.SMALL, color=style.INK)
        _finished(axes, "", f"effect ({UNIT})")
    style.write(figure, path, "red: the block supports the RoI; intervals over images")


def save_examples(path: Path, findings: Findings, maps: Path) -> bool:
    """Figs. 4 and 6: the maps of the first RoI that was kept, networks as rows and methods as columns. Whether there
    are any."""
    kept = [one for one in findings.results("method") if (maps / f"{one['order']:06d}.npz").exists()]
    if not kept:
        return False
    first = kept[0]
    chosen = {
        (one["network"], one["task"]): one
        for one in kept
        if (one["image"], one["roi"]) == (first["image"], first["roi"])
    }
    networks = [name for name in findings.networks if any(name == network for network, _ in chosen)]
    methods = [label for label in findings.methods if any(label == task for _, task in chosen)]
    signed = {one["label"]: one["name"] in ("pdcr", "kernel-shap") for one in findings.config["methods"]}
    rows: list[list[Panel | None]] = []
    for network in networks:
        panels = [_panel(maps, chosen.get((network, method)), signed[method]) for method in methods]
        plain = next(panel for panel in panels if panel is not None)
        rows.append([Panel(plain.image, "", outlines=plain.outlines), *panels])
    save_grid(
        path, rows, networks, ["image", *methods],
        "each map on its own scale; red: supports, blue: suppresses; maps without a sign from dark to bright",
        same_scale="no", columns=3,
    )  # fmt: skip
    return True


def _panel(maps: Path, entry: Entry | None, signed: bool) -> Panel | None:
    if entry is None:
        return None
    with np.load(maps / f"{entry['order']:06d}.npz", allow_pickle=False) as content:
        heat, image, roi, inside = (content[name] for name in ("heat", "image", "roi", "inside"))
    picture = image[0] if len(image) != 3 else np.moveaxis(image, 0, -1).clip(0, 1)
    lines = (
        Outline(roi, style.ROI_COLOUR, "RoI"),
        Outline(inside, style.REFERENCE_COLOUR, "the label"),
    )
    return Panel(picture, "", heat, UNIT if signed else "", lines, signed=signed, bar_label="" if signed else "map")


def _profile(entry: Entry) -> Profile:
    content = dict(entry["result"]["profile"])
    content.pop("shares")
    infinite = float("inf")
    content["edges"] = tuple(
        (-infinite if low is None else low, infinite if high is None else high) for low, high in content["edges"]
    )
    content["histogram"] = tuple(content["histogram"])
    return Profile(**content)


def _points(rows: Sequence[dict[str, Any]]) -> tuple[list[int], list[float]]:
    return [row["regions"] for row in rows], [row["mean"] for row in rows]


def _map_name(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    several = len({one["method"] for one in rows}) > 1
    return f"{row['network']}, {row['method']}" if several else row["network"]


def _bars(axes: Axes, x: Any, rows: Sequence[dict[str, Any]], width: float, colour: str, name: str) -> None:
    means = np.array([row["mean"] for row in rows])
    axes.bar(x, means, width, color=colour, label=name)
    bounded = [(at, row) for at, row in zip(x, rows, strict=True) if row["low"] is not None]
    for at, row in bounded:
        axes.plot([at, at], [row["low"], row["high"]], color=style.INK, linewidth=1.0)


def _finished(axes: Axes, ylabel: str, xlabel: str = "") -> None:
    axes.set_ylabel(ylabel, fontsize=style.TEXT)
    axes.set_xlabel(xlabel, fontsize=style.TEXT)
    axes.tick_params(labelsize=style.SMALL)
    axes.spines[["top", "right"]].set_visible(False)
