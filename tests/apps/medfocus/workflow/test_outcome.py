# SPDX-License-Identifier: Apache-2.0
"""Counting outcomes, and the exit status that comes of them."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from monai_causal.apps.medfocus.workflow.outcome import InstanceOutcome, Report, StudyOutcome, in_words, summed_up
from monai_causal.apps.medfocus.workflow.problems import WorkflowError
from monai_causal.dicom.study import left_out

OK = InstanceOutcome("file 1", "ok", "done", "there")
SKIPPED = InstanceOutcome("file 2", "skipped", "not-image", "no image")
FAILED = InstanceOutcome("file 3", "failed", "refused", "no rows")


@pytest.mark.parametrize(
    ("rows", "stopped", "code"),
    [((), False, 0), ((OK, SKIPPED), False, 0), ((OK, FAILED), False, 1), ((FAILED,), False, 1), ((OK,), True, 1)],
)
def test_the_exit_status(rows: tuple[InstanceOutcome, ...], stopped: bool, code: int) -> None:
    assert Report((StudyOutcome("s", rows),), stopped).exit_code == code


def test_a_study_that_failed_as_a_whole_counts() -> None:
    study = StudyOutcome("s", (SKIPPED,)).failed(WorkflowError("list-timeout", "no answer", transient=True))
    assert (study.again, [row.code for row in study.rows]) == (True, ["not-image", "list-timeout"])
    assert Report((study,)).counts == {"ok": 0, "skipped": 1, "failed": 1}
    of_an_image = StudyOutcome("s").failed(WorkflowError("read", "no rows"), "file 7")
    assert (of_an_image.problem, of_an_image.instances[0].item, of_an_image.again) == (None, "file 7", False)


@pytest.mark.parametrize(
    ("code", "status"), [("refused", "failed"), ("missing", "failed"), ("not-dicom", "skipped"), ("older", "skipped")]
)
def test_what_was_left_out_is_somebodys_choice_or_not(code: str, status: str) -> None:
    assert InstanceOutcome.of_left_out(left_out("file 1", code, reason="x")).status == status


def test_the_last_outcome_of_a_study_counts() -> None:
    files = StudyOutcome("", (FAILED,))
    found = summed_up([StudyOutcome("a", (FAILED,)), files, StudyOutcome("b", (OK,)), files, StudyOutcome("a", (OK,))])
    assert [(one.study, one.rows[0].status) for one in found.studies] == [
        *(("", "failed"), ("", "failed")),
        *(("b", "ok"), ("a", "ok")),
    ]


def test_words_name_what_failed() -> None:
    many = StudyOutcome("0123456789abcdef", (OK, SKIPPED, *[FAILED] * 22))
    lines = in_words(Report((many,), stopped=True)).splitlines()
    assert lines[0] == "1 ok, 1 skipped, 22 failed"
    assert lines[1] == "failed: study 0123456789ab, file 3: refused: no rows"
    assert lines[-2:] == ["and 2 more failed", "stopped before the end; the same command goes on"]
    assert json.loads(json.dumps(Report((many,)).as_dict()))["studies"][0]["rows"][0] == vars(OK)
