# SPDX-License-Identifier: Apache-2.0
"""What lies in a benchmark's folder: the plan, the items of all shards, the times."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from monai_causal.apps.segbench.config import BenchConfig, as_config
from monai_causal.apps.segbench.plan import Block, Run, plan
from monai_causal.apps.study.journal import read_journals

__all__ = ["Results", "Value", "read_results"]

Entry = dict[str, Any]


@dataclass(frozen=True)
class Value:
    """A metric of a method on an image."""

    run: Run
    sample: str
    unit: str
    value: float


@dataclass(frozen=True)
class Results:
    """Everything that tables are made of.

    Attributes:
        study: what was begun.
        entries: items and networks by key.
        timing: times by the items' keys.
    """

    study: Entry
    entries: dict[str, Entry]
    timing: dict[str, Entry]

    @cached_property
    def bench(self) -> BenchConfig:
        return as_config(self.study["config"])

    @cached_property
    def blocks(self) -> list[Block]:
        """All that was planned, in its order."""
        samples = {(run["data"], run["seed"]): run["samples"] for run in self.study["runs"]}
        return plan(self.bench, samples)

    @property
    def methods(self) -> list[str]:
        return [method.label for method in self.bench.methods]

    @property
    def runs(self) -> list[Run]:
        return list(dict.fromkeys(block.run for block in self.blocks))

    def found(self, block: Block) -> dict[str, Entry]:
        """What there is of a block, by method."""
        return {method: self.entries[key] for method, key in block.keys.items() if key in self.entries}

    def state(self, block: Block) -> str:
        """``complete`` if all methods can be compared on it; ``unfinished``, ``failed``, ``no score`` if not."""
        found = self.found(block)
        if len(found) < len(block.methods):
            return "unfinished"
        if any(entry["status"] != "ok" for entry in found.values()):
            return "failed"
        score = found[block.methods[0]]["values"]["score"]
        return "complete" if score > self.bench.metrics.least_score else "no score"

    @cached_property
    def complete(self) -> list[Block]:
        """Blocks that tables are made of: methods are compared on the same images, or not at all."""
        return [block for block in self.blocks if self.state(block) == "complete"]

    def states(self) -> dict[str, int]:
        """How many blocks are in which state."""
        return dict(sorted(Counter(self.state(block) for block in self.blocks).items()))

    def values(self, method: str, metric: str, data: str | None = None, run: Run | None = None) -> list[Value]:
        """A metric's values, where there is one, image by image."""
        values = []
        for block in self.complete:
            if (data is None or block.run.data == data) and (run is None or block.run == run):
                value = self.entries[block.keys[method]]["values"].get(metric)
                if value is not None:
                    unit = self.study["units"][block.run.data][block.sample]
                    values.append(Value(block.run, block.sample, unit, value))
        return values


def read_results(folder: Path) -> Results:
    """Read a benchmark's folder; all its shards together."""
    study = folder / "study.json"
    if not study.is_file():
        raise ValueError("this folder holds no benchmark: run `monai-causal segbench run` with it first.")
    content = json.loads(study.read_text(encoding="utf-8"))
    entries = read_journals(folder.glob("journal*.jsonl"))
    strangers = [key for key, entry in entries.items() if entry["study"] != content["digest"]]
    if strangers:
        raise ValueError(f"{len(strangers)} items belong to another benchmark, the first is {strangers[0]!r}.")
    return Results(content, entries, read_journals(folder.glob("timing*.jsonl")))
