# SPDX-License-Identifier: Apache-2.0
"""The tables: the paper's Table 1, and what it lacks: intervals over images, tests, win counts, worst cases.

All are lists of rows, dictionaries with the same keys. What counts as one in an interval or a test is an image (of
several frames of one patient: the patient), with the mean of its values over the runs.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from monai_causal.apps.segbench.plan import Run
from monai_causal.apps.segbench.results import Results
from monai_causal.metrics.statistics import compare_methods, holm, paired_bootstrap

__all__ = ["METRICS", "TABLES", "Metric", "as_csv", "curve_table", "images_table", "runtime_table"]

Row = dict[str, Any]


class Metric(NamedTuple):
    """A metric as a table shows it."""

    name: str
    heading: str
    higher_is_better: bool
    primary: bool
    """Of the paper's Table 1; these are tested."""


METRICS = (
    Metric("tdd", "TDD ↑", True, True),
    Metric("odd_abs", "OT abs ↓", False, True),
    Metric("insertion_gain", "Ins. ↑", True, True),
    Metric("stability", "Stab. ↑", True, True),
    Metric("leak_abs", "LeakAbs ↓", False, False),
    Metric("deletion_area", "Deletion area ↓", False, False),
    Metric("insertion_area", "Insertion area ↑", True, False),
    Metric("pointing", "Pointing ↑", True, False),
)
PRIMARY = tuple(metric for metric in METRICS if metric.primary)
WORST = 5  # images that a table of worst cases lists per pair


def table_1(results: Results) -> list[Row]:
    """Mean and (sample) standard deviation over the runs' means: each run counts alike, as published."""
    rows = []
    for data in results.bench.data:
        for method in results.methods:
            row: Row = {"data": data.name, "method": method, "runs": 0}
            for metric in METRICS:
                found = [_run_mean(results, run, method, metric) for run in results.runs if run.data == data.name]
                means = [one for one in found if one is not None]
                row["runs"] = max(row["runs"], len(means))
                row[f"{metric.name}_mean"] = statistics.fmean(means) if means else None
                row[f"{metric.name}_sd"] = statistics.stdev(means) if len(means) > 1 else None
            rows.append(row)
    return rows


def run_table(results: Results) -> list[Row]:
    """The means of each run, over its images."""
    return [
        {
            **run.record(),
            "method": method,
            "images": len(results.values(method, "tdd", run=run)),
            **{metric.name: _run_mean(results, run, method, metric) for metric in METRICS},
        }
        for run in results.runs
        for method in results.methods
    ]


def mean_table(results: Results) -> list[Row]:
    """The mean over images with its bootstrap interval."""
    rows = []
    for data in results.bench.data:
        for metric in METRICS:
            units = _by_unit(results, data.name, metric.name)
            for method, values in units.items():
                listed = list(values.values())
                found = _bootstrap(results, listed) if len(listed) > 1 else (None, None)
                rows.append(
                    {
                        "data": data.name, "metric": metric.name, "method": method, "images": len(listed),
                        "mean": statistics.fmean(listed) if listed else None, "low": found[0], "high": found[1],
                    }
                )  # fmt: skip
    return rows


def comparison_table(results: Results) -> list[Row]:
    """All pairs of methods in the paper's four metrics: paired bootstrap, Wilcoxon's test, Holm's correction over all
    pairs and metrics of a data set."""
    rows: list[Row] = []
    settings = results.bench.statistics
    for data in results.bench.data:
        of_data: list[Row] = []
        for metric in PRIMARY:
            units = _by_unit(results, data.name, metric.name)
            names = _common([units[method] for method in results.methods])
            if len(names) < 2 or len(results.methods) < 2:
                continue
            compared = compare_methods(
                {method: [units[method][name] for name in names] for method in results.methods},
                higher_is_better=metric.higher_is_better,
                n=settings.resamples,
                level=settings.level,
            )
            for one in compared:
                of_data.append(
                    {
                        "data": data.name, "metric": metric.name, "first": one.first, "second": one.second,
                        "images": len(names), "difference": one.difference, "low": one.low, "high": one.high,
                        "p": one.p, "p_holm": one.p, "wins": one.wins, "losses": one.losses, "ties": one.ties,
                        "largest_shortfall": one.worst, "there": names[one.worst_image],
                    }
                )  # fmt: skip
        for row, p in zip(of_data, holm([row["p"] for row in of_data]) if of_data else (), strict=True):
            row["p_holm"] = float(p)
        rows += of_data
    return rows


def win_table(results: Results) -> list[Row]:
    """In how many runs one method's mean is better than another's: the paper's "in every completed run"."""
    rows = []
    for data in results.bench.data:
        runs = [run for run in results.runs if run.data == data.name]
        for metric in PRIMARY:
            for first, second in combinations(results.methods, 2):
                pairs = [
                    (a, b)
                    for run in runs
                    if (a := _run_mean(results, run, first, metric)) is not None
                    and (b := _run_mean(results, run, second, metric)) is not None
                ]
                gains = [a - b if metric.higher_is_better else b - a for a, b in pairs]
                rows.append(
                    {
                        "data": data.name, "metric": metric.name, "first": first, "second": second,
                        "runs": len(gains), "wins": sum(gain > 0 for gain in gains),
                        "losses": sum(gain < 0 for gain in gains), "ties": sum(gain == 0 for gain in gains),
                    }
                )  # fmt: skip
    return rows


def run_difference_table(results: Results) -> list[Row]:
    """TDD of every pair within each run, image by image, with its bootstrap interval."""
    rows = []
    for run in results.runs:
        by_method = {method: _by_name(results, run, method) for method in results.methods}
        for first, second in combinations(results.methods, 2):
            names = _common([by_method[first], by_method[second]])
            gains = [by_method[first][name] - by_method[second][name] for name in names]
            low, high = _bootstrap(results, gains) if len(gains) > 1 else (None, None)
            rows.append(
                {
                    **run.record(), "first": first, "second": second, "images": len(gains),
                    "difference": statistics.fmean(gains) if gains else None, "low": low, "high": high,
                    "wins": sum(gain > 0 for gain in gains), "losses": sum(gain < 0 for gain in gains),
                }
            )  # fmt: skip
    return rows


def worst_table(results: Results) -> list[Row]:
    """Where DEA (every method of that name) falls furthest behind another method's TDD."""
    fused = [method.label for method in results.bench.methods if method.name == "dea"]
    rows = []
    for data in results.bench.data:
        for first in fused:
            for second in (label for label in results.methods if label != first):
                found = []
                for block in results.complete:
                    if block.run.data == data.name:
                        mine, others = (results.entries[block.keys[label]] for label in (first, second))
                        found.append((mine["values"]["tdd"] - others["values"]["tdd"], block, mine))
                found.sort(key=lambda one: one[0])
                rows += [
                    {
                        **block.run.record(), "sample": block.sample, "first": first, "second": second,
                        "difference": gain, "tdd": mine["values"]["tdd"], "score": mine["values"]["score"],
                        "dice": mine["values"]["dice"], "target_pixels": mine["target"]["pixels"],
                    }
                    for gain, block, mine in found[:WORST]
                    if gain < 0
                ]  # fmt: skip
    return rows


def network_table(results: Results) -> list[Row]:
    """What each run's network is, and how well it segments what is explained."""
    rows = []
    for run in results.runs:
        entry = results.entries.get(f"network|{run.name}", {})
        row = {**run.record(), **{key: entry.get(key) for key in ("class", "parameters", "layer", "weights")}}
        for metric in ("dice", "score"):
            values = [one.value for one in results.values(results.methods[0], metric, run=run)]
            row[metric] = statistics.fmean(values) if values else None
        rows.append(row)
    return rows


def failure_table(results: Results) -> list[Row]:
    """Items without a result, and why."""
    return [
        {**block.run.record(), "sample": block.sample, "method": method, "reason": entry["reason"]}
        for block in results.blocks
        for method, entry in results.found(block).items()
        if entry["status"] != "ok"
    ]


def images_table(results: Results) -> list[Row]:
    """Every finished item."""
    names = ["score", "dice", "odd", "leak_signed", *(metric.name for metric in METRICS)]
    return [
        {
            **block.run.record(), "sample": block.sample, "unit": results.study["units"][block.run.data][block.sample],
            "method": method, "status": entry["status"], **{name: entry.get("values", {}).get(name) for name in names},
        }
        for block in results.blocks
        for method, entry in results.found(block).items()
    ]  # fmt: skip


def curve_table(results: Results) -> list[Row]:
    """The mean deletion and insertion curve of each method, in shares of the intact image's score."""
    rows: list[Row] = []
    for data in results.bench.data:
        for method in results.methods:
            for kind in ("deletion", "insertion"):
                curves = []
                for block in results.complete:
                    entry = results.entries[block.keys[method]]
                    if block.run.data == data.name and kind in entry:
                        whole = entry[kind][0 if kind == "deletion" else -1]
                        curves.append([score / whole for score in entry[kind]])
                if curves:
                    means = np.mean(curves, axis=0)
                    rows += [
                        {
                            "data": data.name, "method": method, "curve": kind, "fraction": step / (len(means) - 1),
                            "score": float(value), "images": len(curves),
                        }
                        for step, value in enumerate(means)
                    ]  # fmt: skip
    return rows


def runtime_table(results: Results) -> list[Row]:
    """Wall-clock seconds per explanation, beside what they buy."""
    rows = []
    for data in results.bench.data:
        for method in results.methods:
            seconds = [
                results.timing[key]["explanation_seconds"]
                for block in results.complete
                if block.run.data == data.name and (key := block.keys[method]) in results.timing
            ]
            seconds = [one for one in seconds if one is not None]
            rows.append(
                {
                    "data": data.name, "method": method, "explanations": len(seconds),
                    "median_seconds": statistics.median(seconds) if seconds else None,
                    "mean_seconds": statistics.fmean(seconds) if seconds else None,
                    **{
                        metric.name: _mean([one.value for one in results.values(method, metric.name, data=data.name)])
                        for metric in PRIMARY
                    },
                }
            )  # fmt: skip
    return rows


TABLES: dict[str, Callable[[Results], list[Row]]] = {
    "table1": table_1,
    "runs": run_table,
    "means": mean_table,
    "comparisons": comparison_table,
    "wins": win_table,
    "run_differences": run_difference_table,
    "worst": worst_table,
    "networks": network_table,
    "failures": failure_table,
    "images": images_table,
    "curves": curve_table,
}
"""All but the times, by the name of their file."""


def as_csv(rows: Sequence[Row]) -> str:
    """Rows with every digit; empty where there is no value.

    Example:
        >>> as_csv([{"a": 0.1, "b": None}])
        'a,b\\n0.1,\\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if rows:
        writer.writerow(rows[0])
    for row in rows:
        writer.writerow(
            ["" if cell is None else repr(cell) if isinstance(cell, float) else cell for cell in row.values()]
        )
    return text.getvalue()


def _run_mean(results: Results, run: Run, method: str, metric: Metric) -> float | None:
    return _mean([one.value for one in results.values(method, metric.name, run=run)])


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _by_unit(results: Results, data: str, metric: str) -> dict[str, dict[str, float]]:
    """By method, the mean over the runs by what counts as one."""
    found: dict[str, dict[str, float]] = {}
    for method in results.methods:
        gathered: dict[str, list[float]] = {}
        for one in results.values(method, metric, data=data):
            gathered.setdefault(one.unit, []).append(one.value)
        found[method] = {unit: statistics.fmean(values) for unit, values in sorted(gathered.items())}
    return found


def _by_name(results: Results, run: Run, method: str) -> dict[str, float]:
    return {one.sample: one.value for one in results.values(method, "tdd", run=run)}


def _common(tables: Sequence[dict[str, float]]) -> list[str]:
    return [name for name in tables[0] if all(name in table for table in tables)]


def _bootstrap(results: Results, values: Sequence[float]) -> tuple[float, float]:
    settings = results.bench.statistics
    found = paired_bootstrap(values, n=settings.resamples, level=settings.level)
    return found.low, found.high
