# SPDX-License-Identifier: Apache-2.0
"""Table 1 and Fig. 3 of one or several benchmarks, as rows and as text."""

from __future__ import annotations

import csv
import io
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from monai_causal.apps.medfocus.baselines.registry import METHODS
from monai_causal.apps.medground.results import Results, results_rows
from monai_causal.apps.medground.scoring import METRICS

__all__ = ["as_csv", "as_markdown", "concept_rows", "mean_rows", "percent", "stacked"]

Row = dict[str, Any]


def stacked(benchmarks: Sequence[Results]) -> list[Row]:
    """The rows of all benchmarks, each with its model and data set."""
    return [{"model": one.model, "dataset": one.dataset, **row} for one in benchmarks for row in results_rows(one)]


def mean_rows(rows: Sequence[Row], mode: str) -> list[Row]:
    """A row per data set and method: means over models of the models' means, as published in Table 1."""
    means = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        for method in METHODS:
            some = [
                row
                for row in rows
                if (row["dataset"], row["method"], row["mode"]) == (dataset, method, mode) and row["n"]
            ]
            if some:
                means.append(
                    {
                        "dataset": dataset,
                        "method": method,
                        "models": len(some),
                        "n": sum(row["n"] for row in some),
                        **{metric: statistics.fmean(row[metric] for row in some) for metric in METRICS},
                        **_bounds(some),
                    }
                )
    return means


def concept_rows(results: Results) -> list[Row]:
    """Which anatomy MedFocus named, per finding: how often, and whether it is a true one."""
    rows = []
    truth = {(one["mode"], one["index"]): one["concepts"] for mode in results.modes for one in results.truths(mode)}
    for mode in results.modes:
        done = [one for one in results.of(mode, "medfocus") if one["status"] == "ok"]
        for finding in dict.fromkeys(one["finding"] for one in done):
            some = [one for one in done if one["finding"] == finding]
            named = Counter(one["concept"] or "the whole image" for one in some)
            for concept, count in named.most_common():
                hits = [
                    one["values"]["concept_hit"] for one in some if (one["concept"] or "the whole image") == concept
                ]
                true = {name for one in some for name in truth.get((mode, one["index"]), ())}
                rows.append(
                    {
                        "mode": mode,
                        "finding": finding,
                        "true": " or ".join(sorted(true)),
                        "named": concept,
                        "count": count,
                        "of": len(some),
                        "concept_hit": statistics.fmean(hits),
                    }
                )
    return rows


def as_csv(rows: Sequence[Row]) -> str:
    """Rows with every digit; empty where there is no value.

    Example:
        >>> as_csv([{"a": 0.1, "b": None}, {"a": 2, "c": "x"}])
        'a,b,c\\n0.1,,\\n2,,x\\n'
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        cells = [row.get(name) for name in columns]
        writer.writerow(["" if cell is None else repr(cell) if isinstance(cell, float) else cell for cell in cells])
    return text.getvalue()


def as_markdown(rows: Iterable[Row], columns: Mapping[str, str | Callable[[Row], str]]) -> str:
    """A table.

    Args:
        rows: what is shown.
        columns: by heading, the key of what is shown or a function of the row.

    Example:
        >>> print(as_markdown([{"a": 1}], {"A": "a", "twice": lambda row: str(2 * row["a"])}))
        | A | twice |
        | --- | --- |
        | 1 | 2 |
        <BLANKLINE>
    """
    lines = [list(columns), ["---"] * len(columns)]
    for row in rows:
        cells = [row.get(key) if isinstance(key, str) else key(row) for key in columns.values()]
        lines.append(["" if cell is None else str(cell) for cell in cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def percent(value: float | None) -> str:
    """As the paper prints it.

    Example:
        >>> percent(0.5295)
        '52.95'
    """
    return "" if value is None else f"{100 * value:.2f}"


def _bounds(rows: Sequence[Row]) -> Row:
    """Intervals where one model makes the mean; over several models there is none to be had from their images."""
    if len(rows) > 1:
        return {}
    return {f"{metric}_{end}": rows[0][f"{metric}_{end}"] for metric in METRICS for end in ("low", "high")}
