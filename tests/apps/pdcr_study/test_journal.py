# SPDX-License-Identifier: Apache-2.0
"""A journal loses nothing that was whole, and nothing torn gets in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from monai_causal.apps.pdcr_study.journal import SCHEMA, Journal, read_journal
from tests.guards.checkout import ROOT

HEAD = {"config": {"seed": 1}, "items": 5}


def fill(path: Path, keys: range) -> None:
    with Journal(path, HEAD) as journal:
        for key in keys:
            journal.append(str(key), {"value": key / 3, "text": "é|\n"})


def test_what_was_written_is_read(tmp_path: Path) -> None:
    fill(tmp_path / "a.jsonl", range(3))
    head, entries = read_journal(tmp_path / "a.jsonl")
    assert head == {"schema": SCHEMA, **HEAD}
    assert list(entries) == ["0", "1", "2"]
    assert entries["1"] == {"key": "1", "value": 1 / 3, "text": "é|\n"}


def test_a_kill_at_any_byte_is_mended(tmp_path: Path) -> None:
    fill(tmp_path / "whole.jsonl", range(4))
    whole = (tmp_path / "whole.jsonl").read_bytes()
    torn = tmp_path / "torn.jsonl"
    for length in range(len(whole) + 1):
        torn.write_bytes(whole[:length])
        with Journal(torn, HEAD) as journal:
            known = len(journal.entries)
            assert known == max(0, whole[:length].count(b"\n") - 1)
            for key in range(known, 4):
                journal.append(str(key), {"value": key / 3, "text": "é|\n"})
        assert torn.read_bytes() == whole


def test_another_study_is_not_continued(tmp_path: Path) -> None:
    fill(tmp_path / "a.jsonl", range(2))
    before = (tmp_path / "a.jsonl").read_bytes()
    with pytest.raises(ValueError, match=r'begun with another config: \{"seed": 1\} then, \{"seed": 2\} now'):
        Journal(tmp_path / "a.jsonl", {**HEAD, "config": {"seed": 2}})
    assert (tmp_path / "a.jsonl").read_bytes() == before


def test_an_item_is_written_once(tmp_path: Path) -> None:
    fill(tmp_path / "a.jsonl", range(2))
    with Journal(tmp_path / "a.jsonl", HEAD) as journal, pytest.raises(ValueError, match="holds '1' already"):
        journal.append("1", {})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", "line 3: no item of a study"),
        ('{"value": 1}', "line 3: no item of a study"),
        ('{"key": "0"}', "line 3: '0' stands there twice"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    fill(tmp_path / "a.jsonl", range(1))
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=message):
        read_journal(tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match=message):
        Journal(tmp_path / "a.jsonl", HEAD)


def test_another_schema_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"schema": "other/1"}) + "\n")
    with pytest.raises(ValueError, match="has schema 'other/1'"):
        read_journal(tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match=r"b\.jsonl holds nothing"):
        read_journal(tmp_path / "b.jsonl")


WORKER = """
import sys, time
from pathlib import Path
from monai_causal.apps.pdcr_study.journal import Journal
assert not {"torch", "monai", "numpy"} & set(sys.modules)
with Journal(Path(sys.argv[1]), {"items": 200}) as journal:
    for key in range(200):
        if str(key) not in journal.entries:
            journal.append(str(key), {"value": key / 7, "padding": "x" * 2000})
            time.sleep(0.002)
"""


@pytest.mark.slow
def test_a_killed_worker_is_continued_to_the_same_bytes(tmp_path: Path) -> None:
    def start(name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path / name)], cwd=ROOT)

    assert start("whole.jsonl").wait() == 0
    path, kills, size = tmp_path / "killed.jsonl", 0, 0
    for _ in range(200):
        worker = start("killed.jsonl")
        while worker.poll() is None and (not path.exists() or path.stat().st_size < size + 30_000):
            time.sleep(0.001)
        if worker.poll() is None:
            os.kill(worker.pid, signal.SIGKILL)
        if worker.wait() == 0:
            break
        kills, size = kills + 1, path.stat().st_size
    assert kills >= 3
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
