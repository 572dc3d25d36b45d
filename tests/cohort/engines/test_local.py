# SPDX-License-Identifier: Apache-2.0
"""Faults of workers on this machine: none of them stops the rest, and each is told."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from monai_causal.cohort.run import retry_items, run_cohort
from tests.cohort.cohorts import cohort, failures, outputs, rows_of


def states(out: Path) -> list[str]:
    return [row.state for row in rows_of(out)]


def test_every_item_is_done_once_by_workers_without_deep_learning(tmp_path: Path) -> None:
    log = tmp_path / "log"
    found = run_cohort(cohort(25, log=str(log)), tmp_path / "out")
    assert found == {"pending": 0, "running": 0, "done": 25, "failed": 0}
    assert log.read_text() == "x" * 25
    assert len(outputs(tmp_path / "out")) == 50
    assert [row.attempts for row in rows_of(tmp_path / "out")] == [1] * 25
    # Nothing is left of what workers write before it is published.
    assert list((tmp_path / "out" / "cohort" / "staging").iterdir()) == []


def test_a_crash_that_does_not_repeat_leaves_no_trace_in_the_results(tmp_path: Path) -> None:
    once = tmp_path / "once"
    once.mkdir()
    run_cohort(cohort(12), tmp_path / "whole")
    run_cohort(cohort(12, crash=[3, 8], once=str(once)), tmp_path / "crashed")
    assert {path.name for path in once.iterdir()} == {"crash-3", "crash-8"}
    assert outputs(tmp_path / "crashed") == outputs(tmp_path / "whole")
    assert [row.attempts for row in rows_of(tmp_path / "crashed") if row.number in (3, 8)] == [2, 2]


def test_an_item_that_always_crashes_fails_with_its_reason_and_takes_nobody_along(tmp_path: Path) -> None:
    found = run_cohort(cohort(9, batch=3, crash=[4]), tmp_path)
    assert found["done"] == 8
    assert failures(tmp_path) == {4: "the worker died (SIGSEGV)"}
    # Its neighbours were taken down with it twice, and then ran alone.
    assert {row.number: row.attempts for row in rows_of(tmp_path)} == dict.fromkeys(range(9), 1) | {3: 3, 4: 3, 5: 3}


def test_an_item_that_hangs_fails_with_its_reason(tmp_path: Path) -> None:
    found = run_cohort(cohort(6, hang=[2], run={"timeout": 0.4, "attempts": 2}), tmp_path)
    assert found["done"] == 5
    assert failures(tmp_path) == {2: "it took more than 0.4 s"}


def test_a_worker_without_a_sign_of_life_is_replaced(tmp_path: Path) -> None:
    settings = {"timeout": 600, "silence": 2.5, "attempts": 1}
    found = run_cohort(cohort(4, stop=[1], run=settings), tmp_path)
    assert found["done"] == 3
    assert failures(tmp_path) == {1: "the worker gave no sign of life for 2.5 s"}


def test_memory_that_holds_a_part_of_the_batch_is_used_and_noted(tmp_path: Path) -> None:
    run_cohort(cohort(4, batch=4), tmp_path / "roomy")
    run_cohort(cohort(4, batch=4, most=1), tmp_path / "tight")
    assert outputs(tmp_path / "tight") == outputs(tmp_path / "roomy")
    notes = {row.notes for row in rows_of(tmp_path / "tight")}
    assert notes == {
        '["memory ran out with 4 items at once: run with 2", "memory ran out with 2 items at once: run with 1", '
        '"memory ran out with 2 items at once: run with 1"]'
    }


def test_an_item_too_large_for_a_shared_device_runs_alone_and_then_fails(tmp_path: Path) -> None:
    found = run_cohort(cohort(6, batch=2, large=3), tmp_path)
    assert found["done"] == 5
    reason = "memory ran out with the item alone on the device: MemoryError: this item is too large"
    assert failures(tmp_path) == {3: reason}
    assert [row.attempts for row in rows_of(tmp_path)] == [1, 1, 1, 2, 1, 1]


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.touch()
    config = cohort(30, full=str(full), run={"workers": 1})
    with pytest.raises(OSError, match=r"the disk is full: (\d+) of 30 items are done and kept; make room") as caught:
        run_cohort(config, tmp_path / "out")
    assert "secret" not in str(caught.value)
    kept = outputs(tmp_path / "out")
    assert kept
    assert set(states(tmp_path / "out")) == {"done", "pending"}
    full.unlink()
    assert run_cohort(config, tmp_path / "out")["done"] == 30
    run_cohort(cohort(30, run={"workers": 1}), tmp_path / "whole")
    assert outputs(tmp_path / "out") == outputs(tmp_path / "whole")


def test_what_cannot_be_read_or_explained_fails_with_its_reason(tmp_path: Path) -> None:
    config = cohort(8, batch=4, unreadable=[1], wrong=[6])
    assert run_cohort(config, tmp_path)["done"] == 6
    assert failures(tmp_path) == {
        1: "ValueError: the image cannot be read",
        6: "ZeroDivisionError: no map without an object",
    }
    # Nothing is tried again unless asked for.
    assert run_cohort(config, tmp_path)["failed"] == 2
    assert [row.attempts for row in rows_of(tmp_path)] == [1] * 8
    assert retry_items(tmp_path, failed=True) == 2
    assert states(tmp_path).count("pending") == 2


def test_settings_that_no_worker_can_use_end_the_run_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the job cannot begin: ValueError: the network has no weights"):
        run_cohort(cohort(5, unfit=True), tmp_path)
    assert states(tmp_path) == ["pending"] * 5


def test_no_process_is_left_behind(tmp_path: Path) -> None:
    run_cohort(cohort(3, hang=[0], run={"timeout": 0.3, "attempts": 1}), tmp_path)
    time.sleep(0.1)
    listed = subprocess.run(["ps", "-ww", "-eo", "ppid=,args="], capture_output=True, text=True, check=True).stdout
    mine = [line for line in listed.splitlines() if "engines.child" in line and line.split()[0] == str(os.getpid())]
    assert mine == []
