# SPDX-License-Identifier: Apache-2.0
"""What lies in a study's folder: the plan, the runs of all shards, their images, the times."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from monai_causal.apps.mcdrl.config import LosoConfig, as_config
from monai_causal.apps.mcdrl.plan import Run, plan
from monai_causal.apps.mcdrl.rows import read_csv
from monai_causal.apps.study.journal import read_journals

__all__ = ["RUN_SCHEMA", "STUDY_SCHEMA", "TIMING_SCHEMA", "Results", "do_file", "read_results", "rows_file"]

RUN_SCHEMA = "monai_causal/mcdrl-run/1"
STUDY_SCHEMA = "monai_causal/mcdrl-study/1"
TIMING_SCHEMA = "monai_causal/mcdrl-timing/1"
TEXTS = ("task", "method", "set", "kind", "site", "sample", "group", "condition", "scene", "confounder")
WHOLE = ("seed",)

Entry = dict[str, Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """Everything that tables are made of.

    Attributes:
        folder: of the study.
        study: what was begun.
        entries: finished runs by key.
        timing: times by the runs' keys.
        rows: by run, its images' rows.
        do_rows: by run, those of scenes under each confounder.
    """

    folder: Path
    study: Entry
    entries: dict[str, Entry]
    timing: dict[str, Entry]
    rows: dict[Run, list[Row]]
    do_rows: dict[Run, list[Row]]

    @cached_property
    def config(self) -> LosoConfig:
        return as_config(self.study["config"])

    @cached_property
    def runs(self) -> list[Run]:
        """All that was planned, in its order."""
        return plan(self.config, self.tasks)

    @property
    def tasks(self) -> list[str]:
        return [task["task"] for task in self.study["tasks"]]

    def sets(self, kind: str) -> list[tuple[str, str]]:
        """(task, test set) of a kind."""
        return [
            (task["task"], test["set"])
            for task in self.study["tasks"]
            for test in task["tests"]
            if test["kind"] == kind
        ]

    @property
    def methods(self) -> list[str]:
        return [method.label for method in self.config.methods]

    @property
    def missing(self) -> list[Run]:
        """What was planned and is not finished."""
        return [run for run in self.runs if run.key not in self.entries]

    def seeds(self, *methods: str) -> list[int]:
        """The seeds under which these methods are finished in all tasks."""
        return [
            seed
            for seed in self.config.seeds
            if all(Run(task, method, seed).key in self.entries for task in self.tasks for method in methods)
        ]


def rows_file(out: Path, run: Run, number: int) -> Path:
    """Where a run's images are, one row each."""
    return out / "runs" / f"{run.file(number)}.csv"


def do_file(out: Path, run: Run, number: int) -> Path:
    """Where a run's scenes under each confounder are."""
    return out / "runs" / f"{run.file(number)}-do.csv"


def read_results(folder: Path) -> Results:
    """Read a study's folder; all its shards together."""
    path = folder / "study.json"
    if not path.is_file():
        raise ValueError("this folder holds no study: run `monai-causal mcdrl loso` with it first.")
    study = json.loads(path.read_text(encoding="utf-8"))
    entries = read_journals(folder.glob("journal*.jsonl"))
    strangers = [key for key, entry in entries.items() if entry["study"] != study["digest"]]
    if strangers:
        raise ValueError(f"{len(strangers)} runs belong to another study, the first is {strangers[0]!r}.")
    results = Results(folder, study, entries, read_journals(folder.glob("timing*.jsonl")), {}, {})
    for number, run in enumerate(results.runs):
        if run.key in entries:
            results.rows[run] = _rows(rows_file(folder, run, number), entries[run.key]["rows"], TEXTS)
            if entries[run.key]["do_rows"] is not None:
                results.do_rows[run] = _rows(do_file(folder, run, number), entries[run.key]["do_rows"], TEXTS)
    return results


def _rows(path: Path, digest: str, texts: Sequence[str]) -> list[Row]:
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest()[:16] != digest:
        raise ValueError(f"runs/{path.name} is not what the journal says was written: it was changed or lost.")
    rows = read_csv(path, texts)
    return [{**row, **{name: int(row[name]) for name in WHOLE}} for row in rows]
