# SPDX-License-Identifier: Apache-2.0
"""The journal: one study only, every item once, and shards are one."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_causal.apps.study.journal import Journal, carry_out, read_journals

STAMP = {"schema": "example/1", "study": "a", "versions": {"torch": "1"}}


def test_a_journal_of_another_study_is_not_continued(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl", STAMP) as journal:
        journal.append("one", {})
    with pytest.raises(ValueError, match=r'another versions: {"torch": "1"} there, {"torch": "2"} now'):
        Journal(tmp_path / "journal.jsonl", {**STAMP, "versions": {"torch": "2"}})


def test_an_item_is_written_once(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl", STAMP) as journal:
        journal.append("one", {})
        with pytest.raises(ValueError, match="holds 'one' already"):
            journal.append("one", {})
    assert list(read_journals([tmp_path / "journal.jsonl"])) == ["one"]


def test_only_what_is_left_is_done_and_times_lie_apart(tmp_path: Path) -> None:
    asked = []

    def work(key: str) -> dict[str, object]:
        asked.append(key)
        return {"value": key * 2, "seconds": 0.25}

    for keys in (["a"], ["a", "b", "c"]):
        with Journal(tmp_path / "journal.jsonl", STAMP) as journal, Journal(tmp_path / "timing.jsonl", {}) as timing:
            carry_out(keys, work, journal, timing)
    assert asked == ["a", "b", "c"]
    assert [entry["value"] for entry in journal.entries.values()] == ["aa", "bb", "cc"]
    assert "seconds" not in (tmp_path / "journal.jsonl").read_text()
    assert [entry["explanation_seconds"] for entry in timing.entries.values()] == [0.25] * 3


def test_shards_are_merged_and_must_agree(tmp_path: Path) -> None:
    for name, keys in (("1", "ab"), ("2", "bc")):
        with Journal(tmp_path / f"journal-{name}.jsonl", STAMP) as journal:
            for key in keys:
                journal.append(key, {"value": key})
    assert list(read_journals(tmp_path.glob("*.jsonl"))) == ["a", "b", "c"]
    with Journal(tmp_path / "journal-3.jsonl", STAMP) as journal:
        journal.append("c", {"value": "other"})
    with pytest.raises(ValueError, match="'c' stands in another journal too, with another result"):
        read_journals(tmp_path.glob("*.jsonl"))
