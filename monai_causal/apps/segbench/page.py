# SPDX-License-Identifier: Apache-2.0
"""The tables as a page of Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monai_causal.apps.segbench.results import Results
from monai_causal.apps.segbench.tables import METRICS

__all__ = ["counted", "page", "runtime_page", "table_1_page", "verdict"]

Row = dict[str, Any]
Columns = Mapping[str, str | Callable[[Row], str]]
"""By heading: the key of what is shown, or a function of the row."""

PRIMARY = tuple(metric for metric in METRICS if metric.primary)
RUN: Columns = {"data": "data", "network": "network", "seed": "seed"}
SCORE: Columns = {"better / worse / same": lambda row: f"{row['wins']} / {row['losses']} / {row['ties']}"}


def page(results: Results, rows: Mapping[str, list[Row]], pictures: Mapping[str, str]) -> str:
    """The report.

    Args:
        results: of the benchmark.
        rows: its tables by name.
        pictures: headings by file.
    """
    bench = results.bench
    versions = ", ".join(f"{name} {version}" for name, version in results.study["versions"].items())
    counts = {"data set": len(bench.data), "network": len(bench.networks), "seed": len(bench.seeds)}
    size = " x ".join(f"{count} {what}{'s' if count > 1 else ''}" for what, count in counts.items())
    sections = {
        "Is deletion faithfulness lifted in every run?": "\n".join(
            f"- {sentence}" for sentence in verdict(rows["wins"], results)
        )
        + "\n",
        "Table 1": table_1_page(rows["table1"]),
        "Networks": _networks(rows["networks"]),
        "Runs": _runs(rows["runs"]),
        "TDD within each run": _run_differences(rows["run_differences"], results),
        "Means over images": _means(rows["means"], results),
        "Between methods": _comparisons(rows["comparisons"], results),
        "Runs won": _wins(rows["wins"]),
        "Where DEA does worst": _worst(rows["worst"]),
        "Failures": _failures(rows["failures"]),
        **{heading: f"![{heading}]({name})\n" for name, heading in pictures.items()},
        "Runtime": "Wall-clock times against quality: [timing/runtime.md](timing/runtime.md).\n",
    }
    return (
        f"# {bench.title}\n\n{len(results.runs)} runs: {size} ({', '.join(map(str, bench.seeds))}). Images under a "
        f"network: {counted(results.states())}. Tables are made of the complete ones: all "
        "methods on the same images.\n\n"
        f"Study {results.study['digest']}; {versions}. Every digit stands in the CSV files.\n\n"
        + "\n".join(f"## {heading}\n\n{text}" for heading, text in sections.items())
    )


def verdict(wins: Sequence[Row], results: Results) -> list[str]:
    """For every DEA, in how many runs it deletes better than each other method: the paper's claim."""
    fused = [method.label for method in results.bench.methods if method.name == "dea"]
    sentences = []
    for row in wins:
        if row["metric"] == "tdd" and {row["first"], row["second"]} & set(fused):
            turned = row["first"] not in fused
            first, second = (row["second"], row["first"]) if turned else (row["first"], row["second"])
            count = row["losses"] if turned else row["wins"]
            sentences.append(f"{row['data']}: TDD of {first} above {second} in {count} of {row['runs']} runs.")
    return sentences


def table_1_page(rows: Sequence[Row]) -> str:
    """As published: mean and standard deviation over the runs."""
    columns: dict[str, str | Callable[[Row], str]] = {"data": "data", "method": "method", "runs": "runs"}
    for metric in METRICS:
        if any(row[f"{metric.name}_mean"] is not None for row in rows):
            columns[metric.heading] = _spread(metric.name)
    return (
        f"{_table(rows, columns)}\nMean ± standard deviation over the runs' means (n - 1). OT abs is |ODD|; LeakAbs "
        "its ratio to |TDD|, image by image; the areas are mean scores along the curves.\n"
    )


def runtime_page(rows: Sequence[Row]) -> str:
    """Wall-clock times beside what they buy."""
    reference = {row["data"]: row["median_seconds"] for row in rows if row["method"] == "ega"}

    def times(row: Row) -> str:
        known, own = reference.get(row["data"]), row["median_seconds"]
        return f"{own / known:.3g}" if own and known else "-"

    columns: Columns = {
        "data": "data",
        "method": "method",
        "explanations": "explanations",
        "seconds, median": lambda row: _text(row["median_seconds"]),
        "times EGA's": times,
        **{metric.heading: _of(metric.name) for metric in PRIMARY},
    }
    return (
        f"# Runtime against quality\n\n{_table(rows, columns)}\nWall-clock, one explanation at a time.\n\n"
        "![Runtime](runtime.png)\n"
    )


def counted(states: Mapping[str, int]) -> str:
    """How many images under a network are in which state.

    Example:
        >>> counted({"complete": 3, "failed": 1})
        '3 of 4 complete, 1 failed'
    """
    others = "".join(f", {count} {state}" for state, count in states.items() if state != "complete")
    return f"{states.get('complete', 0)} of {sum(states.values())} complete{others}"


def _networks(rows: Sequence[Row]) -> str:
    columns = {**RUN, "class": "class", "parameters": "parameters", "gradients at": "layer"}
    columns |= {"Dice": _of("dice"), "score": _of("score")}
    note = "Dice of the network's own answer with the target, and Eq. 1 on the intact image: means over the images."
    return f"{_table(rows, columns)}\n{note}\n"


def _runs(rows: Sequence[Row]) -> str:
    columns = {**RUN, "method": "method", "images": "images", **{one.heading: _of(one.name) for one in PRIMARY}}
    return _table(rows, columns)


def _run_differences(rows: Sequence[Row], results: Results) -> str:
    """Those that DEA takes part in; all pairs are in the CSV."""
    fused = {method.label for method in results.bench.methods if method.name == "dea"}
    shown = [row for row in rows if fused & {row["first"], row["second"]} and row["low"] is not None]
    columns = {**RUN, "methods": _pair, "images": "images", f"difference, {_level(results)}": _difference}
    columns["images better / worse"] = lambda row: f"{row['wins']} / {row['losses']}"
    return _table(shown, columns)


def _means(rows: Sequence[Row], results: Results) -> str:
    grouped: dict[tuple[str, str], Row] = {}
    for row in rows:
        group = grouped.setdefault((row["data"], row["method"]), {"data": row["data"], "method": row["method"]})
        group[row["metric"]] = _interval(row)
    columns: Columns = {"data": "data", "method": "method", **{metric.heading: metric.name for metric in PRIMARY}}
    return f"{_table(list(grouped.values()), columns)}\nWith {_level(results)} bootstrap intervals. {_UNITS}\n"


def _comparisons(rows: Sequence[Row], results: Results) -> str:
    columns: Columns = {
        "data": "data",
        "metric": "metric",
        "methods": _pair,
        "images": "images",
        f"difference, {_level(results)}": _difference,
        "p (Holm)": lambda row: _p(row["p_holm"]),
        **SCORE,
    }
    return (
        f"{_table(rows, columns)}\nPaired bootstrap (BCa, {results.bench.statistics.resamples:,} resamples) and "
        f"Wilcoxon's signed ranks, corrected after Holm over all rows of a data set. {_UNITS}\n"
    )


def _wins(rows: Sequence[Row]) -> str:
    return _table(rows, {"data": "data", "metric": "metric", "methods": _over, "runs": "runs", **SCORE})


def _worst(rows: Sequence[Row]) -> str:
    columns: Columns = {
        **RUN,
        "image": "sample",
        "methods": _pair,
        "TDD difference": lambda row: f"{row['difference']:+.3f}",
        "Dice": _of("dice"),
        "score": _of("score"),
        "target, pixels": "target_pixels",
    }
    return _table(rows, columns) if rows else "Nowhere behind.\n"


def _failures(rows: Sequence[Row]) -> str:
    return _table(rows, {**RUN, "image": "sample", "method": "method", "reason": "reason"}) if rows else "None.\n"


_UNITS = "Units are images (patients where frames share one), each with the mean of its values over the runs."


def _table(rows: Sequence[Row], columns: Columns) -> str:
    lines = [list(columns), ["---"] * len(columns)]
    for row in rows:
        cells = [show(row) if callable(show) else row[show] for show in columns.values()]
        lines.append(["-" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _of(key: str) -> Callable[[Row], str]:
    return lambda row: _text(row[key])


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _spread(name: str) -> Callable[[Row], str]:
    def show(row: Row) -> str:
        mean, sd = row[f"{name}_mean"], row[f"{name}_sd"]
        if mean is None:
            return "-"
        return f"{mean:.3f}" if sd is None else f"{mean:.3f} ± {sd:.3f}"

    return show


def _interval(row: Row) -> str:
    if row["mean"] is None or row["low"] is None:
        return _text(row["mean"])
    return f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _difference(row: Row) -> str:
    return f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"


def _pair(row: Row) -> str:
    return f"{row['first']} - {row['second']}"


def _over(row: Row) -> str:
    return f"{row['first']} over {row['second']}"


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-4 else "< 0.0001"


def _level(results: Results) -> str:
    return f"{100 * results.bench.statistics.level:g} %"
