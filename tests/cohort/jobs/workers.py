# SPDX-License-Identifier: Apache-2.0
"""A worker in this process, and what came of its items."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_causal.cohort.items import Item
from monai_causal.cohort.messages import Order, Report, Task
from monai_causal.cohort.outputs import RECORD
from monai_causal.cohort.working import Worker


def made(
    folder: Path, job: str, settings: Mapping[str, Any], contents: Sequence[Mapping[str, Any]]
) -> tuple[tuple[Report, ...], list[dict[str, Any]]]:
    """Reports of all items as one task, and the records of those that are done."""
    folder.mkdir(parents=True, exist_ok=True)
    worker = Worker(Order(job, settings, str(folder)))
    reports = worker(Task(1, tuple(Item(number, content) for number, content in enumerate(contents))))
    records = [json.loads((Path(one.staged) / RECORD).read_text()) for one in reports if one.status == "done"]
    return reports, records


def done(
    folder: Path, job: str, settings: Mapping[str, Any], contents: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Records of items that must all be done."""
    reports, records = made(folder, job, settings, contents)
    assert [one.reason for one in reports] == [""] * len(contents)
    return records


def measure(record: Mapping[str, Any], name: str, **of: str) -> Any:
    """The one measure of this name."""
    (found,) = [
        row for row in record["measures"] if row["name"] == name and all(row[key] == value for key, value in of.items())
    ]
    return found.get("value", found.get("text"))
