# SPDX-License-Identifier: Apache-2.0
"""A log in which nothing can be changed unnoticed."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from monai_causal.apps.medfocus.workflow.audit import AuditLog, check_audit
from monai_causal.apps.study.lines import read_lines


def log(path: Path, *events: str) -> None:
    audit = AuditLog(path, lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc))
    for event in events:
        audit.note(event, study="s")
    audit.close()


def test_it_grows_and_says_when(tmp_path: Path) -> None:
    log(tmp_path / "a.jsonl", "one", "two")
    log(tmp_path / "a.jsonl", "three")
    lines = read_lines(tmp_path / "a.jsonl")
    assert [line["event"] for line in lines] == ["one", "two", "three"]
    assert {line["at"] for line in lines} == {"2026-01-02T03:04:05+00:00"}
    assert lines[0]["before"] == "0" * 64
    assert len({line["before"] for line in lines} | {check_audit(tmp_path / "a.jsonl")}) == 4


def test_a_torn_line_does_no_harm(tmp_path: Path) -> None:
    log(tmp_path / "a.jsonl", "one")
    with (tmp_path / "a.jsonl").open("ab") as file:
        file.write(b'{"schema": "mon')
    log(tmp_path / "a.jsonl", "two")
    assert [line["event"] for line in read_lines(tmp_path / "a.jsonl")] == ["one", "two"]


@pytest.mark.parametrize(
    ("change", "number"),
    [
        (lambda lines: [lines[0].replace("one", "eno"), *lines[1:]], 2),
        (lambda lines: lines[1:], 1),
        (lambda lines: [lines[0], lines[2]], 2),
        (lambda lines: [lines[0], lines[0], *lines[1:]], 2),
        (lambda lines: [lines[1], lines[0], lines[2]], 1),
    ],
)
def test_every_change_breaks_the_chain(tmp_path: Path, change: object, number: int) -> None:
    log(tmp_path / "a.jsonl", "one", "two", "three")
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    (tmp_path / "a.jsonl").write_text("\n".join(change(lines)) + "\n")  # type: ignore[operator]
    with pytest.raises(ValueError, match=rf"^a.jsonl, line {number}: the chain"):
        AuditLog(tmp_path / "a.jsonl")


def test_no_log_at_all_is_the_beginning_of_one(tmp_path: Path) -> None:
    assert check_audit(tmp_path / "none.jsonl") == "0" * 64
