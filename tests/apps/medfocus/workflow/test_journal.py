# SPDX-License-Identifier: Apache-2.0
"""A study's journal remembers how far it got."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_causal.apps.medfocus.workflow.journal import StudyJournal, journals


def test_it_is_read_again_as_it_was_written(tmp_path: Path) -> None:
    with StudyJournal(tmp_path, "s") as journal:
        assert (journal.result, journal.sent("here", "d1"), journal.delivered("here", "r1")) == (None, "", False)
        journal.note("committed", result="r0", objects=[])
        journal.note("committed", result="r1", objects=[])
        journal.note("pushing", to="here", sha256="d1")
        journal.note("pushed", to="here", sha256="d1", how="file")
        journal.note("pushing", to="here", sha256="d2")
        journal.note("delivered", to="there", result="r1")
    for _ in range(2):
        with StudyJournal(tmp_path, "s") as journal:
            assert journal.result == "r1"
            assert [journal.sent("here", one) for one in ("d1", "d2", "d3")] == ["pushed", "pushing", ""]
            assert journal.sent("there", "d1") == ""
            assert [journal.delivered(to, "r1") for to in ("there", "here")] == [True, False]
    assert list(journals(tmp_path)) == ["s"]


def test_a_torn_line_is_dropped(tmp_path: Path) -> None:
    with StudyJournal(tmp_path, "s") as journal:
        journal.note("committed", result="r1", objects=[])
    with (tmp_path / "s.jsonl").open("ab") as file:
        file.write(b'{"schema": "monai_causal/medfocus-journal/1", "stu')
    with StudyJournal(tmp_path, "s") as journal:
        journal.note("committed", result="r2", objects=[])
    with StudyJournal(tmp_path, "s") as journal:
        assert journal.result == "r2"


def test_a_journal_of_another_study_is_refused(tmp_path: Path) -> None:
    with StudyJournal(tmp_path, "s") as journal:
        journal.note("ended")
    (tmp_path / "s.jsonl").rename(tmp_path / "t.jsonl")
    with pytest.raises(ValueError, match=r"^journal t: "):
        StudyJournal(tmp_path, "t")
