# SPDX-License-Identifier: Apache-2.0
"""From folder to folder: every instance has an outcome, one bad study stops no other, nothing is done twice."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

import pydicom

from monai_causal.apps.medfocus.workflow import Workflow
from monai_causal.apps.medfocus.workflow.outcome import Report
from monai_causal.apps.medfocus.workflow.problems import WorkflowError
from monai_causal.apps.medfocus.workflow.push import FolderTarget
from monai_causal.apps.medfocus.workflow.sources import FolderSource
from monai_causal.apps.medfocus.workflow.space import open_space
from monai_causal.dicom.safety import OpenedFile
from tests.apps.medfocus.workflow.stand_in import Made, StandIn, results_in
from tests.dicom.studies import CANARY, ROOT, image, lay, report, with_canaries


@contextmanager
def workflow(source: Path, out: Path, answer: StandIn, problems: Sequence[str] = (), **more: Any) -> Iterator[Workflow]:
    with open_space(out) as space:
        yield Workflow(space, FolderSource(source), FolderTarget(), answer, lambda folder: problems, **more)


def run(source: Path, out: Path, answer: StandIn | None = None, **more: Any) -> Report:
    with workflow(source, out, answer or StandIn(), **more) as flow:
        return flow.run()


def codes(found: Report) -> list[tuple[str, str]]:
    return sorted((row.status, row.code) for study in found.studies for row in study.rows)


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    return lay(tmp_path / "studies", {f"{number}.dcm": image(1, study=number) for number in (1, 2, 3)})


def test_each_study_gets_its_objects(studies: Path, tmp_path: Path) -> None:
    found = run(studies, tmp_path / "out")
    assert (found.exit_code, codes(found)) == (0, [("ok", "done")] * 3)
    for study in found.studies:
        assert study.result is not None
        folder = tmp_path / "out" / "results" / study.result
        manifest = json.loads((folder / "manifest.json").read_text())
        assert [one["kind"] for one in manifest["objects"]] == ["sr", "sc"]
        for one in manifest["objects"]:
            assert pydicom.dcmread(folder / one["file"]).StudyInstanceUID in {
                f"{ROOT}.{number}" for number in (1, 2, 3)
            }
    kept = json.loads((tmp_path / "out" / "workflow" / "report.json").read_text())
    assert kept == json.loads(json.dumps(found.as_dict()))


def test_every_instance_has_its_outcome(tmp_path: Path) -> None:
    studies = lay(
        tmp_path / "studies",
        {
            "1/pa.dcm": image(1),
            "1/lateral.dcm": image(2, ViewPosition="LL"),
            "1/report.dcm": report(3),
            "2/one.dcm": image(1, study=2),
            "2/other.dcm": image(2, study=2),
            "3/lateral.dcm": image(1, study=3, ViewPosition="LL"),
            "notes.txt": b"no DICOM",
            "broken.dcm": b"\0" * 128 + b"DICM",
        },
    )
    found = run(studies, tmp_path / "out")
    assert found.exit_code == 1
    assert codes(found) == [
        ("failed", "refused"),
        ("failed", "tie"),
        ("failed", "tie"),
        ("ok", "done"),
        ("skipped", "no-rule"),
        ("skipped", "no-rule"),
        ("skipped", "not-dicom"),
        ("skipped", "not-image"),
    ]


def test_nothing_to_do_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    assert run(tmp_path / "studies", tmp_path / "out").exit_code == 0


def bad(kind: str) -> StandIn:
    """Fails in its way at the second study of three, and at no other."""
    count = iter(range(3))

    def before(source: OpenedFile) -> None:
        second = next(count) == 1
        if second and kind == "bug":
            raise KeyError(f"{CANARY}^JANE")
        if second and kind == "told":
            raise WorkflowError("unfit", "the image is blank")
        if second and kind == "memory":
            raise MemoryError

    def after(made: list[Made]) -> None:
        if next(count, 9) == 1:
            if kind == "spoilt":
                made[0].path.write_bytes(made[1].path.read_bytes())
            if kind == "gone":
                made[0].path.unlink()
            if kind == "none":
                made.clear()

    return StandIn(before=before) if kind in ("bug", "told", "memory") else StandIn(after=after)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("bug", "attribute"),
        ("memory", "attribute"),
        ("told", "unfit"),
        ("spoilt", "verify"),
        ("gone", "verify"),
        ("none", "verify"),
    ],
)
def test_one_bad_study_stops_no_other(
    kind: str, code: str, studies: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = run(studies, tmp_path / "out", bad(kind))
    assert codes(found) == [("failed", code), ("ok", "done"), ("ok", "done")]
    assert found.exit_code == 1
    assert len(list((tmp_path / "out" / "results").iterdir())) == 2
    assert CANARY not in caplog.text + (tmp_path / "out" / "workflow" / "report.json").read_text()
    again = run(studies, tmp_path / "out")
    assert again.exit_code == 0
    assert len(list((tmp_path / "out" / "results").iterdir())) == 3


def test_an_object_of_another_study_is_not_committed(studies: Path, tmp_path: Path) -> None:
    def after(made: list[Made]) -> None:
        ds = pydicom.dcmread(made[0].path)
        ds.StudyInstanceUID = f"{ROOT}.77"
        ds.save_as(made[0].path)

    assert codes(run(studies, tmp_path / "out", StandIn(after=after))) == [("failed", "verify")] * 3


def test_what_the_checks_complain_of_is_not_committed(studies: Path, tmp_path: Path) -> None:
    found = run(studies, tmp_path / "out", problems=[f"its name is {CANARY}"])
    assert codes(found) == [("failed", "verify")] * 3
    assert CANARY not in str(found)
    assert results_in(tmp_path / "out") == {}


def test_what_is_committed_is_not_computed_again(studies: Path, tmp_path: Path) -> None:
    run(studies, tmp_path / "out")
    before, answer = results_in(tmp_path / "out"), StandIn()
    assert run(studies, tmp_path / "out", answer).exit_code == 0
    assert (answer.asked, results_in(tmp_path / "out")) == ([], before)


def test_another_configuration_gives_other_objects_beside_the_first(studies: Path, tmp_path: Path) -> None:
    uids = []
    for tau in (0.75, 0.8):
        run(studies, tmp_path / "out", StandIn({"tau": tau}))
        files = (tmp_path / "out" / "results").glob("*/*.dcm")
        uids.append({str(pydicom.dcmread(path).SOPInstanceUID) for path in files})
    assert (len(uids[0]), len(uids[1])) == (6, 12)
    assert uids[0] < uids[1]


def test_the_same_run_gives_the_same_bytes(studies: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(studies, tmp_path / name)
    assert results_in(tmp_path / "one") == results_in(tmp_path / "two")


def test_a_damaged_result_is_set_aside_and_made_again(studies: Path, tmp_path: Path) -> None:
    run(studies, tmp_path / "out")
    before = results_in(tmp_path / "out")
    victim = tmp_path / "out" / "results" / next(name for name in before if name.endswith(".dcm"))
    victim.write_bytes(victim.read_bytes()[:-1])
    answer = StandIn()
    assert run(studies, tmp_path / "out", answer).exit_code == 0
    assert (len(answer.asked), results_in(tmp_path / "out")) == (1, before)
    assert len(list((tmp_path / "out" / "workflow" / "staging").glob("damaged-*"))) == 1


def test_a_damaged_journal_stops_its_study_only(studies: Path, tmp_path: Path) -> None:
    run(studies, tmp_path / "out")
    journal = next((tmp_path / "out" / "workflow" / "journals").iterdir())
    journal.write_text("{}\n" + journal.read_text())
    assert codes(run(studies, tmp_path / "out")) == [("failed", "journal"), ("ok", "done"), ("ok", "done")]


def test_it_stops_between_studies_when_told(studies: Path, tmp_path: Path) -> None:
    answer = StandIn()
    with workflow(studies, tmp_path / "out", answer) as flow:
        found = flow.run(stop=lambda: len(answer.asked) == 1)
    assert (codes(found), found.stopped, found.exit_code) == ([("ok", "done")], True, 1)


def test_patient_data_stay_in_the_objects(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    name = f"{CANARY}^JANE"
    planted = with_canaries(image(1))
    planted.Modality, planted.ImageType = "CR", ["ORIGINAL", "PRIMARY"]
    broken = image(2, study=2, PatientName=name, ReferringPhysicianName=name)
    broken.Rows = 999
    studies = lay(tmp_path / f"{CANARY}-in", {f"{CANARY}/{CANARY}.dcm": planted, f"{CANARY}.dcm": broken})
    found = run(studies, tmp_path / "out")
    assert codes(found) == [("failed", "refused"), ("ok", "done")]
    held = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {CANARY.encode() in path.read_bytes() for path in held if path.suffix == ".dcm"} == {True}
    uids = [str(ds[key].value).encode() for ds in (planted, broken) for key in ("StudyInstanceUID", "SOPInstanceUID")]
    for path in held:
        assert CANARY not in path.relative_to(tmp_path / "out").as_posix()
        if path.suffix != ".dcm":
            content = path.read_bytes()
            assert not any(word in content for word in (CANARY.encode(), b"19870613", *uids)), path.name
    assert CANARY not in caplog.text + repr(found)
    assert not any(uid.decode() in caplog.text + repr(found) for uid in uids)
