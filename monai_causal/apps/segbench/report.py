# SPDX-License-Identifier: Apache-2.0
"""A benchmark's folder into a report: tables as CSV and Markdown, figures as PNG.

Wall-clock times stand in a folder of their own, ``timing``: all else is the same to the byte, however often the run was
interrupted and however it was sharded.
"""

from __future__ import annotations

from pathlib import Path

from monai_causal.apps.segbench.figures import save_curves, save_runtime, save_tradeoff
from monai_causal.apps.segbench.galleries import kept_cases, save_gallery, save_mechanism
from monai_causal.apps.segbench.page import counted, page, runtime_page, table_1_page, verdict
from monai_causal.apps.segbench.results import Results, read_results
from monai_causal.apps.segbench.tables import TABLES, as_csv, runtime_table
from monai_causal.files import draft_of, write_json

__all__ = ["in_words", "write_report"]


def write_report(folder: Path) -> Path:
    """Read all shards of a benchmark and write ``report/`` beside them; returns ``report/report.md``."""
    results = read_results(folder)
    if not results.complete:
        raise ValueError(
            f"nothing to report yet: of {len(results.blocks)} images and networks not one is complete "
            f"({counted(results.states())})."
        )
    out = folder / "report"
    (out / "timing").mkdir(parents=True, exist_ok=True)
    rows = {name: table(results) for name, table in TABLES.items()}
    for name, table in rows.items():
        _write(out / f"{name}.csv", as_csv(table))
    write_json(out / "runs.json", {"schema": "monai_causal/segbench-report/1", "rows": rows["runs"]})
    pictures = _pictures(results, folder, out)
    _write(out / "table1.md", table_1_page(rows["table1"]))
    _write(out / "report.md", page(results, rows, pictures))
    times = runtime_table(results)
    _write(out / "timing" / "runtime.csv", as_csv(times))
    _write(out / "timing" / "runtime.md", runtime_page(times))
    save_runtime(results, out / "timing" / "runtime.png")
    return out / "report.md"


def in_words(folder: Path) -> str:
    """What a report says first, for the terminal."""
    results = read_results(folder)
    return "\n".join([counted(results.states()), *verdict(TABLES["wins"](results), results)])


def _pictures(results: Results, folder: Path, out: Path) -> dict[str, str]:
    """What was drawn, by the name of its file, with a heading."""
    drawn: dict[str, str] = {}
    if save_tradeoff(results, out / "tradeoff.png"):
        drawn["tradeoff.png"] = "Trade-off"
    if save_curves(results, out / "curves.png"):
        drawn["curves.png"] = "Deletion and insertion curves"
    first = {method.name: method.label for method in reversed(results.bench.methods)}
    if {"dea", "ega"} <= first.keys():
        cases = kept_cases(results, folder, first["dea"], first["ega"])
        above = [case for case in cases if case.gain > 0]
        below = [case for case in reversed(cases) if case.gain < 0]
        for name, some, better in (("success", above, "better"), ("failure", below, "worse")):
            if some:
                which = f"those on which DEA deletes {better} than EGA by most (two per network)"
                caption = f"Of the images whose maps were kept, {which}."
                save_gallery(results, folder, some, out / f"{name}.png", caption)
                drawn[f"{name}.png"] = f"Where DEA does {better} than EGA"
        if above and "ria" in first:
            save_mechanism(folder, above[0], first["ega"], first["ria"], first["dea"], out / "mechanism.png")
            drawn["mechanism.png"] = "How DEA is made"
    return drawn


def _write(path: Path, text: str) -> None:
    with draft_of(path) as draft:
        draft.write_text(text, encoding="utf-8")
