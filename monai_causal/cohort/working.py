# SPDX-License-Identifier: Apache-2.0
"""The worker's side, the same for every engine: one job, loaded once, and tasks one after the other."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import sys
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_causal.apps.study.lines import reason_of
from monai_causal.cohort.fetching import fetched
from monai_causal.cohort.inputs import Input, input_of
from monai_causal.cohort.items import Item, named
from monai_causal.cohort.jobs import load_job
from monai_causal.cohort.jobs.base import Record
from monai_causal.cohort.memory import in_halves, ran_out_of_memory
from monai_causal.cohort.messages import Order, Report, Task
from monai_causal.cohort.outputs import write_record
from monai_causal.cohort.schema import MEASURES, REGIONS, checked_row

__all__ = ["Worker", "prepare"]

_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(eq=False)
class _Read:
    """An item that was read."""

    item: Item
    folder: Path
    input: Input
    sample: Any
    seconds: float


class Worker:
    """Does tasks.

    Args:
        order: which job, and where its outputs go.

    Raises:
        Exception: whatever the job says that it lacks.
    """

    def __init__(self, order: Order) -> None:
        self.staging = Path(order.staging)
        self.scratch = self.staging / f"scratch-{secrets.token_hex(4)}"
        self.scratch.mkdir()
        self.job = load_job(order.job)(order.settings)

    def __call__(self, task: Task) -> tuple[Report, ...]:
        """What came of each item; nothing is raised for the sake of an item."""
        reports: dict[int, Report] = {}
        groups: dict[Hashable, list[_Read]] = {}
        for item in task.items:
            started = time.perf_counter()
            try:
                read = self._read(item, self._folder(task, item.number), started)
                shared = self.job.together(read.sample)
                groups.setdefault(("alone", item.number) if shared is None else ("together", shared), []).append(read)
            except Exception as error:
                reports[item.number] = _failed(item, error, time.perf_counter() - started)
        for group in groups.values():
            reports |= self._run(group)
        _empty(self.scratch)
        for number, report in reports.items():
            if report.status != "done":
                shutil.rmtree(self._folder(task, number), ignore_errors=True)
        return tuple(reports[item.number] for item in task.items)

    def _folder(self, task: Task, number: int) -> Path:
        return self.staging / f"{task.number:08d}-{named(number)}"

    def _read(self, item: Item, folder: Path, started: float) -> _Read:
        folder.mkdir()
        here = fetched(item, self.scratch)
        found = input_of(here)
        return _Read(item, folder, found, self.job.read(here, self.scratch), time.perf_counter() - started)

    def _run(self, group: Sequence[_Read]) -> dict[int, Report]:
        started = time.perf_counter()
        retreats: list[str] = []

        def run(part: Sequence[_Read]) -> Sequence[Record]:
            for one in part:  # a retreat begins with an empty folder
                _empty(one.folder)
            records = self.job.run([one.sample for one in part], [one.folder for one in part])
            if len(records) != len(part):
                raise RuntimeError(f"the job gave {len(records)} records for {len(part)} items")
            return records

        made = in_halves(run, group, retreats.append)
        share = (time.perf_counter() - started) / len(group)
        return {
            one.item.number: _report(one, record, retreats, one.seconds + share)
            for one, record in zip(group, made, strict=True)
        }


def prepare(order: Order) -> None:
    """Set up a process that is a worker's own, before a :class:`Worker` is made in it."""
    # Libraries look at these when they are imported, and none of them is yet.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(order.threads)
    os.environ["TQDM_DISABLE"] = "1"
    os.environ.setdefault("MPLBACKEND", "Agg")
    sys.path.extend(folder for folder in order.search if folder not in sys.path)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(order.threads)


def _report(read: _Read, made: Record | Exception, retreats: Sequence[str], seconds: float) -> Report:
    if isinstance(made, Exception):
        return _failed(read.item, made, seconds, read.input)
    number, notes = read.item.number, (*retreats, *made.notes)
    try:
        content = {
            "item": number,
            "facts": dict(made.facts),
            "measures": [checked_row(MEASURES, {"item": number, **row}) for row in made.measures],
            "regions": [checked_row(REGIONS, {"item": number, **row}) for row in made.regions],
        }
        digest, size = write_record(read.folder, content)
    except Exception as error:
        return _failed(read.item, error, seconds, read.input)
    return Report(
        read.item.number,
        "done",
        staged=str(read.folder),
        input=read.input.digest,
        mark=read.input.mark,
        output=digest,
        size=size,
        seconds=seconds,
        notes=notes,
    )


def _failed(item: Item, error: Exception, seconds: float, found: Input | None = None) -> Report:
    status: Any = "failed"
    if ran_out_of_memory(error):
        status = "memory"
    elif _is_full(error):
        status = "full"
    given = Input("", "") if found is None else found
    return Report(
        item.number, status, reason_of(error), input=given.digest, mark=given.mark, seconds=seconds
    )  # fmt: skip


def _is_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def _empty(folder: Path) -> None:
    """Remove what is in a folder; it stays itself, since some file systems are slow to remove one."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
