# SPDX-License-Identifier: Apache-2.0
"""What an evaluation found so far, as rows: means with intervals, and each method against MedFocus."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_causal.apps.medfocus.baselines.registry import METHODS
from monai_causal.apps.medground.bootstrap import clustered_bootstrap
from monai_causal.apps.medground.evaluating import FOLDER
from monai_causal.apps.medground.fates import kept_by_mode, read_build, read_fates
from monai_causal.apps.medground.records import MODES
from monai_causal.apps.medground.scoring import METRICS
from monai_causal.apps.study.journal import read_journals
from monai_causal.apps.study.lines import Entry
from monai_causal.files import write_json
from monai_causal.metrics import box_overlap, holm

__all__ = ["RESULTS_SCHEMA", "TIMING_SCHEMA", "Results", "read_results", "results_rows", "write_results"]

RESULTS_SCHEMA = "monai_causal/medground-results/1"
TIMING_SCHEMA = "monai_causal/medground-timing-results/1"
AGAINST = "medfocus"

Row = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """One benchmark, evaluated.

    Args:
        build: what was built.
        fates: of every candidate.
        entries: a line per mode, sample and method, in that order.
        seconds: by the key of a line.
    """

    build: dict[str, Any]
    fates: list[Entry]
    entries: list[Entry]
    seconds: dict[str, float]

    @property
    def model(self) -> str:
        return str(self.build["model"]["name"])

    @property
    def dataset(self) -> str:
        return str(self.build["source"]["source"])

    @property
    def modes(self) -> list[str]:
        """That have a line."""
        there = {entry["mode"] for entry in self.entries}
        return [mode for mode in MODES if mode in there]

    @property
    def methods(self) -> list[str]:
        """That have a line, in the registry's order."""
        there = {entry["method"] for entry in self.entries}
        return [name for name in METHODS if name in there]

    def of(self, mode: str, method: str, finding: str | None = None) -> list[Entry]:
        """The lines of a mode and a method, those of one finding if it is named."""
        return [
            entry
            for entry in self.entries
            if entry["mode"] == mode and entry["method"] == method and finding in (None, entry["finding"])
        ]

    def truths(self, mode: str) -> list[Entry]:
        """The fates of the samples that were kept in a mode and have boxes."""
        return [one for one in kept_by_mode(self.fates)[mode] if one["positive"] and one["boxes"]]


def read_results(folder: Path) -> Results:
    """Read a benchmark with all shards of its evaluation."""
    found = read_journals((folder / FOLDER).glob("journal*.jsonl"))
    items = [entry for entry in found.values() if entry["kind"] == "item"]
    modes, methods = list(MODES), list(METHODS)
    items.sort(key=lambda one: (modes.index(one["mode"]), one["index"], methods.index(one["method"])))
    timing = read_journals((folder / FOLDER).glob("timing*.jsonl"))
    seconds = {key: one["explanation_seconds"] for key, one in timing.items() if one["explanation_seconds"] is not None}
    return Results(read_build(folder), read_fates(folder), items, seconds)


def write_results(folder: Path) -> dict[str, Any]:
    """Write ``results.json``, and ``timing.json`` with what depends on the machine; returns the former."""
    results = read_results(folder)
    rows = results_rows(results)
    content = {
        "schema": RESULTS_SCHEMA,
        "model": results.model,
        "dataset": results.dataset,
        "build": results.build["digest"],
        "versions": results.build["versions"],
        "rows": rows,
        "by_finding": finding_rows(results),
        "chance": chance_rows(results),
    }
    write_json(folder / "results.json", content)
    write_json(folder / "timing.json", {"schema": TIMING_SCHEMA, "rows": timing_rows(results)})
    return content


def results_rows(results: Results) -> list[Row]:
    """A row per mode and method: means over samples, their 95 % intervals over images, and the difference to MedFocus
    on the samples that both have, with p-values corrected by Holm over the methods of a mode and metric."""
    rows = []
    for mode in results.modes:
        of_mode = [_row(results, mode, method) for method in results.methods]
        of_mode = [row for row in of_mode if row["n"] or row["failed"]]
        for metric in METRICS:
            tested = [row for row in of_mode if row.get(f"{metric}_p") is not None]
            for row, p in zip(tested, holm([row[f"{metric}_p"] for row in tested]) if tested else (), strict=True):
                row[f"{metric}_p_holm"] = float(p)
        rows += of_mode
    return rows


def finding_rows(results: Results) -> list[Row]:
    """Means per finding."""
    rows = []
    for mode in results.modes:
        for finding in dict.fromkeys(one["finding"] for one in results.truths(mode)):
            for method in results.methods:
                done = [one for one in results.of(mode, method, finding) if one["status"] == "ok"]
                if done:
                    rows.append(
                        {"finding": finding, "method": method, "mode": mode, "n": len(done), **_means(done)},
                    )
    return rows


def chance_rows(results: Results) -> list[Row]:
    """What it would score to report the whole image, and a box of the true size in the image's middle."""
    rows = []
    for mode in results.modes:
        truths = results.truths(mode)
        for name in ("whole image", "middle"):
            scores = []
            for one in truths:
                height, width = one["size"]
                x0, y0, x1, y1 = one["boxes"][0]
                left, top = (width - (x1 - x0)) / 2, (height - (y1 - y0)) / 2
                middle = (left, top, left + x1 - x0, top + y1 - y0)
                box = (0, 0, width, height) if name == "whole image" else middle
                scores.append(box_overlap([box], one["boxes"]))
            means = {metric: statistics.fmean(one[metric] for one in scores) for metric in scores[0]} if scores else {}
            rows.append({"answer": name, "mode": mode, "n": len(truths), **means})
    return rows


def timing_rows(results: Results) -> list[Row]:
    """Seconds and forwards per explanation, the answer itself not counted."""
    rows = []
    for mode in results.modes:
        for method in results.methods:
            done = [one for one in results.of(mode, method) if one["status"] == "ok"]
            seconds = [results.seconds[one["key"]] for one in done if one["key"] in results.seconds]
            if done:
                rows.append(
                    {
                        "method": method,
                        "mode": mode,
                        "n": len(done),
                        "timed": len(seconds),
                        "seconds_mean": statistics.fmean(seconds) if seconds else None,
                        "seconds_median": statistics.median(seconds) if seconds else None,
                        "forwards_mean": statistics.fmean(one["forwards"] for one in done),
                    }
                )
    return rows


def _row(results: Results, mode: str, method: str) -> Row:
    lines = results.of(mode, method)
    done = [one for one in lines if one["status"] == "ok"]
    row: Row = {
        "method": method,
        "mode": mode,
        "n": len(done),
        "failed": len(lines) - len(done),
        "images": len({one["case"] for one in done}),
        **(_means(done) if done else dict.fromkeys(METRICS)),
    }
    if not done:
        return row
    images = [one["case"] for one in done]
    for metric in METRICS:
        found = clustered_bootstrap([one["values"][metric] for one in done], images)
        row[f"{metric}_low"], row[f"{metric}_high"] = found.low, found.high
    if method != AGAINST:
        _compare(row, done, [one for one in results.of(mode, AGAINST) if one["status"] == "ok"])
    return row


def _compare(row: Row, ours: Sequence[Entry], theirs: Sequence[Entry]) -> None:
    """Add the differences to MedFocus, minus: MedFocus is better."""
    other = {one["index"]: one for one in theirs}
    shared = [one for one in ours if one["index"] in other]
    if not shared:
        return
    for metric in METRICS:
        gains = [one["values"][metric] - other[one["index"]]["values"][metric] for one in shared]
        found = clustered_bootstrap(gains, [one["case"] for one in shared])
        row[f"{metric}_difference"] = found.mean
        row[f"{metric}_difference_low"], row[f"{metric}_difference_high"] = found.low, found.high
        row[f"{metric}_p"] = found.p


def _means(done: Iterable[Entry]) -> dict[str, float]:
    done = list(done)
    return {metric: statistics.fmean(one["values"][metric] for one in done) for metric in METRICS}
