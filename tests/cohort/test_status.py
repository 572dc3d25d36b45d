# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monai_causal.cli import app
from monai_causal.cohort.journal import Journal
from monai_causal.cohort.messages import Report
from monai_causal.cohort.run import JOURNAL, LOCK, run_cohort
from monai_causal.cohort.status import in_words, status_of
from monai_causal.locks import alone_in
from tests.cohort.cohorts import cohort

CONFIG = {"items": {"kind": "numbers", "count": 6}, "job": {"name": "trivial"}, "run": {"workers": 1}}


def test_what_failed_is_told_by_its_reason(tmp_path: Path) -> None:
    run_cohort(cohort(9, unreadable=[3, 5], wrong=[7]), tmp_path)
    status = status_of(tmp_path)
    assert status.reasons == (
        ("ValueError: the image cannot be read", 2, 3),
        ("ZeroDivisionError: no map without an object", 1, 7),
    )
    said = in_words(status)
    assert "9 items: 6 done, 3 failed." in said
    assert "2 failed (first item 3): ValueError: the image cannot be read" in said
    assert "at work" not in said


def test_the_time_left_follows_the_pace(tmp_path: Path) -> None:
    (tmp_path / "cohort").mkdir()
    with Journal(tmp_path / JOURNAL) as journal:
        journal.begin({"config": {"job": {"name": "explain"}}})
        journal.enlist({} for _ in range(100))
        journal.finish([Report(number, "done") for number in range(11)])
        # One every two seconds.
        journal._base.execute("UPDATE items SET finished = 1000 + 2 * number WHERE number < 11")
    assert status_of(tmp_path).seconds_left is None
    assert "Nobody is at work" in in_words(status_of(tmp_path))
    with alone_in(tmp_path / LOCK):
        status = status_of(tmp_path)
    assert status.pace == pytest.approx(0.5)
    assert status.seconds_left == pytest.approx(178)
    assert "explain: 100 items: 11 done, 89 pending." in in_words(status)
    assert "0.5 items/s, about 3.0 min left" in in_words(status)


def test_the_commands_from_beginning_to_end(tmp_path: Path) -> None:
    runner, out = CliRunner(), str(tmp_path / "out")
    (tmp_path / "cohort.json").write_text(json.dumps(CONFIG))
    run = ["cohort", "run", "--config", str(tmp_path / "cohort.json"), "--out", out]
    done = runner.invoke(app, run)
    assert done.exit_code == 0, done.output
    assert "trivial: 6 items: 6 done." in done.output
    status = runner.invoke(app, ["cohort", "status", out, "--json"])
    assert json.loads(status.output)["counts"] == {"pending": 0, "running": 0, "done": 6, "failed": 0}
    retried = runner.invoke(app, ["cohort", "retry", out, "--item", "4"])
    assert "1 items are pending again" in retried.output
    assert runner.invoke(app, run).exit_code == 0
    gathered = runner.invoke(app, ["cohort", "gather", out])
    assert gathered.exit_code == 0, gathered.output
    assert "Items: 6 done." in gathered.output
    assert (tmp_path / "out" / "tables" / "answers.md").exists()


def test_a_run_in_which_items_failed_says_so_by_its_exit_status(tmp_path: Path) -> None:
    job = {"name": "tests.cohort.faulty:Faulty", "settings": {"unreadable": [1]}}
    (tmp_path / "cohort.json").write_text(json.dumps({**CONFIG, "job": job}))
    run = ["cohort", "run", "--config", str(tmp_path / "cohort.json"), "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(app, run).exit_code == 1
