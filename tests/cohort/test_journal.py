# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from monai_causal.cohort.journal import Journal
from monai_causal.cohort.messages import Report


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(tmp_path / "journal.sqlite")
    made.begin({"seed": 0})
    made.enlist({"value": number} for number in range(2500))
    return made


def numbers(groups: object) -> list[list[int]]:
    return [[item.number for item in group] for group in groups]  # type: ignore[attr-defined]


def test_pending_items_come_in_the_groups_of_the_listing_whatever_is_done(journal: Journal) -> None:
    journal.finish([Report(number, "done") for number in (0, 1, 2, 4, 2498)])
    journal.start([6])
    groups = numbers(journal.groups(3))
    assert groups[:3] == [[3, 5], [7, 8], [9, 10, 11]]
    assert groups[-2:] == [[2496, 2497], [2499]]
    assert sum(map(len, groups)) == 2500 - 6
    assert journal.counts() == {"pending": 2494, "running": 1, "done": 5, "failed": 0}


def test_what_a_killed_run_was_at_is_pending_again(journal: Journal, tmp_path: Path) -> None:
    journal.start([3, 4])
    journal.close()
    with Journal(tmp_path / "journal.sqlite") as again:
        assert again.begin({"seed": 0})
        assert again.put_back() == 2
        assert again.counts()["pending"] == 2500


def test_items_that_run_alone_leave_the_groups(journal: Journal) -> None:
    journal.start([0, 1, 2])
    assert journal.hand_back([0, 1], lost=True) == 1
    assert journal.hand_back([0], lost=True, alone=True) == 2
    journal.hand_back([2], waited=True)
    assert [item.number for item in journal.lonely()] == [0]
    assert numbers(journal.groups(3))[0] == [1, 2]
    assert [row.attempts for row in list(journal.rows())[:3]] == [1, 1, 0]


def test_a_transaction_is_whole_or_nothing(journal: Journal) -> None:
    with pytest.raises(ValueError, match="the journal is damaged"):
        journal.finish([Report(0, "done"), Report(1, None)])  # type: ignore[arg-type]
    assert journal.counts()["done"] == 0
    journal.finish([Report(0, "done")])
    assert journal.counts()["done"] == 1


def test_a_full_disk_says_so(journal: Journal) -> None:
    pages = journal._base.execute("PRAGMA page_count").fetchone()[0]
    journal._base.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OSError, match="the disk is full") as caught:
        journal.finish([Report(number, "failed", "x" * 4000) for number in range(500)])
    assert caught.value.errno == errno.ENOSPC
    assert journal.counts()["failed"] == 0


def test_another_head_names_what_differs(journal: Journal) -> None:
    with pytest.raises(ValueError, match=r"begun with another seed: 0 then, 1 now\. Go on with what it was begun"):
        journal.begin({"seed": 1})
    with pytest.raises(ValueError, match="begun with another job: null then"):
        journal.begin({"seed": 0, "job": {"name": "trivial"}})


def test_one_may_look_while_another_writes(journal: Journal, tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite", look=True) as looking:
        journal.finish([Report(0, "failed", "no object"), Report(1, "failed", "no object"), Report(2, "failed", "x")])
        assert looking.counts()["failed"] == 3
        assert looking.reasons() == [("no object", 2, 0), ("x", 1, 2)]
    with pytest.raises(ValueError, match="this folder holds no cohort"):
        Journal(tmp_path / "none.sqlite", look=True)
    (tmp_path / "none.sqlite").write_bytes(b"no database at all, but long enough to look like a file of one" * 20)
    with pytest.raises(ValueError, match="the journal is damaged"):
        Journal(tmp_path / "none.sqlite")


def test_items_of_a_patient_share_a_unit(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.begin({})
        patients = ["a", "b", None, "a", "3", None, 3]
        journal.enlist({"patient": one} if one is not None else {} for one in patients)
        assert [row.unit for row in journal.rows()] == [0, 1, 2, 0, 4, 5, 4]


def test_the_log_is_written_ahead(journal: Journal, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "journal.sqlite") as base:
        assert base.execute("PRAGMA journal_mode").fetchone() == ("wal",)
