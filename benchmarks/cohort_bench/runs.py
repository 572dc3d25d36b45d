# SPDX-License-Identifier: Apache-2.0
"""Runs of cohorts as a user starts them, and what is to be seen of them from outside."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_causal.cohort.gather import gather
from monai_causal.cohort.run import JOURNAL

__all__ = ["TABLES", "Setting", "finish", "pace", "peak", "ray_processes", "start", "tables", "workers_of", "write"]

TABLES = ("items", "regions", "measures")
"""Those that no clock is in."""


@dataclass(frozen=True)
class Setting:
    """Where a benchmark works.

    Args:
        work: a folder for runs; emptied before each.
        quick: small numbers, to see whether it works.
        seed: of what is random.
    """

    work: Path
    quick: bool
    seed: int

    def empty(self, name: str) -> Path:
        """A folder of this name that is not there."""
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        self.work.mkdir(parents=True, exist_ok=True)
        return folder


def write(setting: Setting, name: str, content: dict[str, Any]) -> Path:
    """A configuration in a file."""
    path = setting.work / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def start(config: Path, out: Path, engine: str = "local", workers: int | None = None) -> subprocess.Popen[bytes]:
    """``monai-causal cohort run`` in a process of its own."""
    command = [sys.executable, "-m", "monai_causal", "cohort", "run", "--config", str(config), "--out", str(out)]
    command += ["--engine", engine, *([] if workers is None else ["--workers", str(workers)])]
    with (out.parent / f"{out.name}.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def finish(process: subprocess.Popen[bytes]) -> float:
    """Wait for a run, and return the peak of its driver's memory in MiB."""
    highest = 0.0
    while process.poll() is None:
        highest = max(highest, peak(process.pid))
        time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"the run ended with status {process.returncode}; its log lies beside its folder")
    return highest


def peak(pid: int) -> float:
    """Peak resident memory of a process so far, in MiB; 0 when it has gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def processes() -> list[tuple[int, int, str]]:
    """Number, parent and command of every process."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = (line.split(maxsplit=2) for line in listed.splitlines())
    return [(int(row[0]), int(row[1]), row[2] if len(row) > 2 else "") for row in rows]


def workers_of(driver: int) -> list[int]:
    """The workers of a local run."""
    return [pid for pid, parent, command in processes() if parent == driver and "engines.child" in command]


def ray_processes() -> set[int]:
    """Everything of Ray's on this machine."""
    names = ("raylet", "gcs_server", "ray::", "/ray/")
    return {pid for pid, _, command in processes() if any(name in command for name in names) and pid != os.getpid()}


def tables(out: Path) -> dict[str, bytes]:
    """The gathered tables of a cohort."""
    gather(out)
    return {name: (out / "tables" / f"{name}.parquet").read_bytes() for name in TABLES}


def pace(out: Path) -> float:
    """Items per second between the first that was done and the last: without the start."""
    with sqlite3.connect(out / JOURNAL) as base:
        rows = base.execute("SELECT count(*), min(finished), max(finished) FROM items WHERE state = 'done'").fetchone()
        (first,) = base.execute(
            "SELECT count(*) FROM items WHERE finished = (SELECT min(finished) FROM items)"
        ).fetchone()
    count, begun, ended = rows
    return (count - first) / (ended - begun) if ended > begun else float("nan")
