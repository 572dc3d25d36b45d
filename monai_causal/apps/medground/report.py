# SPDX-License-Identifier: Apache-2.0
"""Evaluated benchmarks into a report: tables as CSV and Markdown, Table 1 and Fig. 3 also as PNG.

Wall-clock times stand in a folder of their own, ``timing``: all else is the same to the byte, however often the runs
were interrupted and however they were sharded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from monai_causal.apps.medground.fates import funnel
from monai_causal.apps.medground.figures import HEADINGS, save_bars, save_funnel, save_table
from monai_causal.apps.medground.filtering import FATES
from monai_causal.apps.medground.results import Results, chance_rows, finding_rows, read_results, timing_rows
from monai_causal.apps.medground.scoring import METRICS
from monai_causal.apps.medground.tables import as_csv, as_markdown, concept_rows, mean_rows, percent, stacked
from monai_causal.apps.medground.verdict import verdict
from monai_causal.files import draft_of

__all__ = ["write_report"]

Row = dict[str, Any]
Columns = dict[str, "str | Callable[[Row], str]"]


def write_report(folders: Sequence[Path], out: Path | None = None) -> Path:
    """Write a report; returns ``report.md``.

    Args:
        folders: of benchmarks with their evaluations: of one model, or of several, over which Table 1 then averages.
        out: folder to write to; by default ``report`` in the first of the folders.
    """
    if not folders:
        raise ValueError("there is nothing to report: name at least one folder of a benchmark.")
    benchmarks = [read_results(folder) for folder in folders]
    empty = [folder.name for folder, one in zip(folders, benchmarks, strict=True) if not one.entries]
    if empty:
        raise ValueError(f"{empty[0]} was not evaluated yet: run 'monai-causal medground evaluate' on it.")
    out = out or folders[0] / "report"
    (out / "timing").mkdir(parents=True, exist_ok=True)
    rows = stacked(benchmarks)
    funnels = [_named(one, row) for one in benchmarks for row in funnel(one.fates)]
    tables = {
        "rows": rows,
        "table1": mean_rows(rows, "direct"),
        "fig3": mean_rows(rows, "reasoning"),
        "by_finding": [_named(one, row) for one in benchmarks for row in finding_rows(one)],
        "concepts": [_named(one, row) for one in benchmarks for row in concept_rows(one)],
        "funnel": funnels,
        "chance": [_named(one, row) for one in benchmarks for row in chance_rows(one)],
        "samples": [_named(one, row) for one in benchmarks for row in _sample_rows(one)],
        "failures": [_named(one, row) for one in benchmarks for row in _failure_rows(one)],
    }
    for name, table in tables.items():
        if table:
            _write(out / f"{name}.csv", as_csv(table))
    pictures = {}
    if tables["table1"]:
        _write(out / "table1.md", _table(tables["table1"]))
        save_table(tables["table1"], out / "table1.png", "Direct answers (Table 1)")
        pictures["table1.png"] = "Table 1"
    if tables["fig3"]:
        _write(out / "fig3.md", _table(tables["fig3"]))
        save_bars(tables["fig3"], out / "fig3.png", "Answers after reasoning (Fig. 3)")
        pictures["fig3.png"] = "Fig. 3"
    save_funnel([row for row in funnels if row["finding"] != "all"], out / "funnel.png", "What the filter kept")
    pictures["funnel.png"] = "The filter, finding by finding"
    times = [_named(one, row) for one in benchmarks for row in timing_rows(one)]
    _write(out / "timing" / "timing.csv", as_csv(times))
    _write(out / "timing" / "timing.md", _times(times))
    _write(out / "report.md", _page(benchmarks, tables, pictures))
    return out / "report.md"


def _page(benchmarks: Sequence[Results], tables: dict[str, list[Row]], pictures: dict[str, str]) -> str:
    sections = {
        "Does it agree with what was published?": "\n".join(f"- {line}" for line in verdict(tables["rows"])) + "\n",
        "Table 1: direct answers": _table(tables["table1"]),
        "Fig. 3: answers after reasoning": _table(tables["fig3"]),
        "Each method against MedFocus": _differences(tables["rows"]),
        "What saying nothing would score": _chance(tables["chance"]),
        "The filter": _funnel(tables["funnel"]),
        "IoU by finding": _by_finding(tables["by_finding"]),
        "What MedFocus named": _concepts(tables["concepts"]),
        "Failures": _failures(tables["failures"]),
        **{heading: f"![{heading}]({name})\n" for name, heading in pictures.items()},
        "Runtime": "Wall-clock times: [timing/timing.md](timing/timing.md).\n",
    }
    said = "\n".join(f"- {_introduced(one)}" for one in benchmarks)
    return (
        f"# MedGround: {', '.join(dict.fromkeys(one.dataset for one in benchmarks))}\n\n{said}\n\n"
        "Means over samples, x 100, in native pixels; intervals are 95 %, of a bootstrap over images. The concept hit "
        "of MedFocus says whether it names an anatomy that truly shows the finding (half for one that contains it), of "
        "all other methods whether their hottest point lies on the finding. Every digit stands in the CSV files.\n\n"
        + "\n".join(f"## {heading}\n\n{text}" for heading, text in sections.items() if text.strip())
    )


def _introduced(results: Results) -> str:
    model, source = results.build["model"], results.build["source"]
    weights = f", weights {model['weights']}" if "weights" in model else ""
    settings = ", ".join(f"{key} {value}" for key, value in source.items() if key != "source")
    versions = ", ".join(f"{name} {version}" for name, version in results.build["versions"].items())
    return f"{results.model}{weights} on {results.dataset} ({settings}); build {results.build['digest']}; {versions}."


def _named(results: Results, row: Row) -> Row:
    return {"model": results.model, "dataset": results.dataset, **row}


def _table(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    columns: Columns = {"data set": "dataset", "method": "method", "models": "models", "samples": "n"}
    for metric, heading in HEADINGS.items():
        columns[heading] = _with_interval(metric)
    return as_markdown(rows, columns)


def _with_interval(metric: str) -> Callable[[Row], str]:
    def shown(row: Row) -> str:
        if row.get(f"{metric}_low") is None:
            return percent(row[metric])
        return f"{percent(row[metric])} [{100 * row[f'{metric}_low']:.1f}, {100 * row[f'{metric}_high']:.1f}]"

    return shown


def _differences(rows: Sequence[Row]) -> str:
    compared = [row for row in rows if row.get("iou_difference") is not None]
    columns: Columns = {"model": "model", "data set": "dataset", "mode": "mode", "method": "method"}
    for metric in ("iou", "f1", "concept_hit"):
        columns[f"{HEADINGS[metric]} difference"] = _difference(metric)
    if not compared:
        return ""
    return (
        "Method minus MedFocus on the samples that both have; p corrected by Holm over the methods.\n\n"
        + as_markdown(compared, columns)
    )


def _difference(metric: str) -> Callable[[Row], str]:
    def shown(row: Row) -> str:
        low, high = row[f"{metric}_difference_low"], row[f"{metric}_difference_high"]
        interval = "" if low is None else f" [{100 * low:.1f}, {100 * high:.1f}], p {row[f'{metric}_p_holm']:.2g}"
        return percent(row[f"{metric}_difference"]) + interval

    return shown


def _chance(rows: Sequence[Row]) -> str:
    columns: Columns = {"model": "model", "data set": "dataset", "mode": "mode", "answer": "answer", "samples": "n"}
    for metric in METRICS[:-1]:
        columns[HEADINGS[metric]] = partial(_percent_of, metric)
    return as_markdown(rows, columns)


def _percent_of(metric: str, row: Row) -> str:
    return percent(row.get(metric))


def _funnel(rows: Sequence[Row]) -> str:
    used = [fate for fate in FATES if any(row[fate] for row in rows)]
    columns: Columns = {
        "model": "model", "data set": "dataset", "mode": "mode", "true answer": "answer", "finding": "finding",
        "candidates": "candidates", **{fate.replace("_", " "): fate for fate in used},
    }  # fmt: skip
    return (
        "What each step dropped, and what was kept; nothing vanishes. A sample is counted at the first step that drops "
        "it.\n\n" + as_markdown(rows, columns)
    )


def _by_finding(rows: Sequence[Row]) -> str:
    findings = list(dict.fromkeys(row["finding"] for row in rows))
    keys = list(dict.fromkeys((row["model"], row["dataset"], row["mode"], row["method"]) for row in rows))
    values = {
        (row["model"], row["dataset"], row["mode"], row["method"], row["finding"]): (row["iou"], row["n"])
        for row in rows
    }
    table = []
    for key in keys:
        line: Row = dict(zip(("model", "data set", "mode", "method"), key, strict=True))
        for finding in findings:
            iou, count = values.get((*key, finding), (None, 0))
            line[finding] = f"{percent(iou)} ({count})" if count else ""
        table.append(line)
    return as_markdown(table, {name: name for name in table[0]}) if table else ""


def _concepts(rows: Sequence[Row]) -> str:
    columns: Columns = {
        "model": "model", "mode": "mode", "finding": "finding", "true": "true", "named": "named",
        "times": lambda row: f"{row['count']} of {row['of']}", "hit": lambda row: f"{row['concept_hit']:.1f}",
    }  # fmt: skip
    return as_markdown(rows, columns) if rows else ""


def _failures(rows: Sequence[Row]) -> str:
    if not rows:
        return "None.\n"
    return as_markdown(rows, {name: name for name in ("model", "mode", "case", "finding", "method", "reason")})


def _times(rows: Sequence[Row]) -> str:
    def seconds(key: str) -> Callable[[Row], str]:
        return lambda row: "" if row[key] is None else f"{row[key]:.3f}"

    return as_markdown(
        rows,
        {
            "model": "model", "data set": "dataset", "mode": "mode", "method": "method", "explanations": "timed",
            "seconds (median)": seconds("seconds_median"), "seconds (mean)": seconds("seconds_mean"),
            "forwards (mean)": lambda row: f"{row['forwards_mean']:.1f}",
        },
    )  # fmt: skip


def _sample_rows(results: Results) -> list[Row]:
    return [
        {
            **{key: one[key] for key in ("mode", "case", "index", "finding", "method")},
            **one["values"],
            "concept": one["concept"],
            "whole_image": one["whole_image"],
            "boxes": " ".join(",".join(map(str, box)) for box in one["boxes"]),
        }
        for one in results.entries
        if one["status"] == "ok"
    ]


def _failure_rows(results: Results) -> list[Row]:
    keys = ("mode", "case", "finding", "method", "reason")
    return [{key: one[key] for key in keys} for one in results.entries if one["status"] != "ok"]


def _write(path: Path, text: str) -> None:
    with draft_of(path) as draft:
        draft.write_text(text, encoding="utf-8")
