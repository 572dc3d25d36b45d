# SPDX-License-Identifier: Apache-2.0
"""A benchmark of seconds, and a hand-written one that nobody ran."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from monai_causal.apps.segbench.config import BenchConfig, as_config
from monai_causal.apps.segbench.plan import Run
from monai_causal.apps.study.journal import Journal

STAMP = {"schema": "monai_causal/segbench/1", "study": "", "versions": {"torch": "0"}}


def content(**changes: Any) -> dict[str, Any]:
    """Phantoms of 24x24, one network with random weights."""
    return {
        "data": [{"name": "shapes", "source": "phantom", "count": 3, "size": 24, "classes": 2}],
        "networks": [{"name": "net", "build": "unet", "options": {"widths": [3]}, "untrained": True}],
        "methods": [
            {"name": "gpa"},
            {"name": "ega"},
            {"name": "ria", "options": {"grid": 3}},
            {"name": "dea", "options": {"grid": 3}},
        ],
        "metrics": {"curve_steps": 2, "perturbations": ["noise", "flip"]},
        "statistics": {"resamples": 100},
        "maps": 2,
        **changes,
    }


def bench(**changes: Any) -> BenchConfig:
    return as_config(content(**changes))


def written(folder: Path, table: dict[Run, dict[str, dict[str, dict[str, float | None]]]], **changes: Any) -> Path:
    """A folder as a run leaves it, from ``{run: {sample: {method: {metric: value}}}}``; a method whose values are
    ``None`` has failed, one that is absent was not done yet."""
    first = next(iter(table.values()))
    methods = list(next(iter(first.values())))
    config = bench(
        data=[{"name": name} for name in dict.fromkeys(run.data for run in table)],
        networks=[
            {"name": name, "build": "unet", "untrained": True} for name in dict.fromkeys(r.network for r in table)
        ],
        methods=[{"name": "dea" if name.startswith("dea") else name, "label": name} for name in methods],
        seeds=list(dict.fromkeys(run.seed for run in table)),
        **changes,
    )
    units = {data.name: {} for data in config.data}
    for run, samples in table.items():
        units[run.data] |= {sample: sample.partition("@")[2] or sample for sample in samples}
    study = {
        "schema": "monai_causal/segbench-study/1",
        "digest": config.digest(),
        "config": config.record(),
        "versions": STAMP["versions"],
        "runs": [{**run.record(), "samples": list(samples)} for run, samples in table.items()],
        "units": units,
    }
    (folder / "study.json").write_text(json.dumps(study))
    with Journal(folder / "journal.jsonl", {**STAMP, "study": config.digest()}) as journal:
        for run, samples in table.items():
            for sample, by_method in samples.items():
                for method, values in by_method.items():
                    status = (
                        {"status": "ok", "reason": None} if values else {"status": "failed", "reason": "OSError: no"}
                    )
                    entry = {"kind": "item", **run.record(), "sample": sample, "method": method, **status}
                    if values:
                        entry |= {"target": {"class": 1, "pixels": 9}, "values": {"score": 0.5, "dice": 1.0, **values}}
                    journal.append(f"{run.name}|{sample}|{method}", entry)
    return folder
