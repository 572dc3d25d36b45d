# SPDX-License-Identifier: Apache-2.0
"""Table 2 and Fig. 5: methods beside each other, on the images for which all of them have a map."""

from __future__ import annotations

from typing import Any

import numpy as np

from monai_causal.apps.pdcr_study.findings import Findings, Reader, per_unit, read
from monai_causal.apps.pdcr_study.table import Table, interval, number
from monai_causal.apps.pdcr_study.tables.estimates import bootstrap, level, summary
from monai_causal.metrics.statistics import compare_methods

__all__ = [
    "ALL",
    "attribution_table",
    "comparison_table",
    "curve_table",
    "paired_values",
]

ALL = "all networks"
"""The row of means over networks."""


def attribution_table(findings: Findings, measure: str = "attribution") -> Table | None:
    """Table 2: the averaged attribution on the top regions; or, by another name, the area under the curve of Fig. 5."""
    metrics = findings.config["metrics"]
    values = paired_values(findings, measure)
    if metrics is None or not values:
        return None
    rows: list[dict[str, Any]] = []
    lines = []
    for network, methods in values.items():
        cells: list[dict[str, Any]] = []
        for method, units in methods.items():
            row: dict[str, Any] = {
                "network": network,
                "method": method,
                "images": len(units),
                **summary(findings, units),
            }
            rows.append(row)
            cells.append(row)
        best = max(row["mean"] for row in cells)
        shown = [f"**{interval(row)}**" if row["mean"] == best else interval(row) for row in cells]
        lines.append([network, str(cells[0]["images"]), *shown])
    if measure == "attribution":
        title = f"Table 2: averaged attribution on the top {metrics['top']} regions"
        what = (
            f"Rule '{metrics['attribution']}', in Dice points, over {metrics['draws']} draws that no method has seen."
        )
    else:
        title = "Fig. 5: area under the attribution curve"
        what = (
            f"Rule '{metrics['curve']}', the mean height in Dice points over the first {metrics['top']} regions, over "
            f"{metrics['draws']} draws that no method has seen."
        )
    note = f"{what} Mean over images with a {level(findings)} bootstrap interval; the largest of a row is bold."
    if left_out := [name for name in findings.networks if name not in values]:
        note += f" Left out, for no image has a value of every method: {', '.join(left_out)}."
    return Table(measure, title, note, rows, ["network", "n", *next(iter(values.values()))], lines)


def comparison_table(findings: Findings, measure: str = "attribution") -> Table | None:
    """All pairs of methods on the same images: Wilcoxon's test with Holm's correction within each network."""
    rows: list[dict[str, Any]] = []
    for network, methods in paired_values(findings, measure).items():
        if len(methods) < 2 or len(next(iter(methods.values()))) < 2:
            continue
        for pair in compare_methods(methods, **bootstrap(findings)):
            rows.append(
                {
                    "network": network, "first": pair.first, "second": pair.second,
                    "images": len(methods[pair.first]), "difference": pair.difference, "low": pair.low,
                    "high": pair.high, "p": pair.p, "p_holm": pair.p_holm, "wins": pair.wins,
                    "losses": pair.losses, "ties": pair.ties,
                }
            )  # fmt: skip
    if not rows:
        return None
    what = "Table 2" if measure == "attribution" else "the area of Fig. 5"
    return Table(
        f"{measure}_tests",
        f"Paired tests of {what}",
        f"first - second, in Dice points, with a {level(findings)} bootstrap interval over images; p of Wilcoxon's "
        "signed ranks (ties after Pratt), Holm-corrected for the pairs of one network; images that the first wins, "
        "loses, ties.",
        rows,
        ["network", "first", "second", "n", "difference", "p", "p (Holm)", "won / lost / tied"],
        [
            [
                one["network"], one["first"], one["second"], str(one["images"]), interval(one, "difference"),
                number(one["p"], 2), number(one["p_holm"], 2), f"{one['wins']} / {one['losses']} / {one['ties']}",
            ]
            for one in rows
        ],
    )  # fmt: skip


def curve_table(findings: Findings) -> Table | None:
    """Fig. 5: the attribution after the first k regions, by method, over all networks."""
    metrics = findings.config["metrics"]
    if metrics is None:
        return None
    rows: list[dict[str, Any]] = []
    for k in range(metrics["top"] + 1):
        values = paired_values(findings, read("curve", k))
        for method, units in values.get(ALL, next(iter(values.values()), {})).items():
            rows.append({"method": method, "regions": k, "images": len(units), **summary(findings, units)})
    if not rows:
        return None
    methods = list(dict.fromkeys(row["method"] for row in rows))
    return Table(
        "curves",
        "Fig. 5: attribution under progressive perturbation",
        f"Dice points after the k most important regions of each map, rule '{metrics['curve']}', mean over networks "
        f"and images with a {level(findings)} bootstrap interval over images.",
        rows,
        ["k", *methods],
        [
            [str(k), *(interval(one) for one in rows if one["regions"] == k)]
            for k in range(metrics["top"] + 1)
        ],
    )  # fmt: skip


def paired_values(findings: Findings, measure: str | Reader) -> dict[str, dict[str, list[float]]]:
    """By network and method one value per unit, of the units that all methods have; and, where there are several
    networks, their mean over networks. Nothing where only PdCR gave maps: there is nobody to compare with."""
    labels = findings.methods
    if set(labels) == set(findings.pdcr):
        return {}
    reader = read(measure) if isinstance(measure, str) else measure
    found: dict[str, dict[str, dict[int, float]]] = {
        network: {label: per_unit(findings.results("method", network, label), reader) for label in labels}
        for network in findings.networks
    }
    kept = {network: _complete(methods) for network, methods in found.items()}
    values = {
        network: {label: [units[unit] for unit in kept[network]] for label, units in methods.items()}
        for network, methods in found.items()
        if kept[network]
    }
    everywhere = sorted(set.intersection(*(set(units) for units in kept.values()))) if kept else []
    if len(found) > 1 and everywhere:
        values[ALL] = {
            label: [float(np.mean([found[network][label][unit] for network in found])) for unit in everywhere]
            for label in labels
        }
    return values


def _complete(methods: dict[str, dict[int, float]]) -> list[int]:
    """The units for which all methods have a value."""
    return sorted(set.intersection(*(set(units) for units in methods.values())))
