# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")

import pydicom

from monai_causal.dicom import verify as module
from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.objects.uids import encoded
from monai_causal.dicom.objects.writing import KINDS, build_objects, written
from monai_causal.dicom.verify import in_words, read_allowed, run_dciodvfy, verify
from tests.dicom.objects.samples import content, projection, source
from tests.dicom.studies import CANARY, lay

ALLOWED = Path(__file__).parent / "dciodvfy_allow.txt"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for kind, dataset in build_objects(projection(PatientName=CANARY), content(), kinds=KINDS).items():
        written(kind, dataset, folder)
    return folder


@pytest.fixture
def copied(results: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(results, tmp_path / "results"))


@pytest.fixture
def without_dciodvfy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda name: None)


def changed(folder: Path, kind: str, change: Callable[[Any], object]) -> None:
    (path,) = folder.glob(f"{kind}-*.dcm")
    dataset = pydicom.dcmread(path)
    change(dataset)
    pydicom.dcmwrite(path, dataset)


def problems(report: dict[str, Any]) -> dict[str, list[str]]:
    return {one["kind"]: one["problems"] for one in report["files"] if one["problems"]}


def test_what_was_written_is_well(results: Path) -> None:
    report = verify(results, allow=ALLOWED)
    assert report["ok"], in_words(report)
    assert sorted(one["kind"] for one in report["files"]) == sorted(KINDS)
    assert report["studies"] == 1
    assert report["skipped"] == []
    assert json.loads(json.dumps(report)) == report
    assert in_words(report).splitlines()[0].startswith("5 objects of 1 studies checked (read back")
    assert verify(next(results.glob("sr-*")), allow=ALLOWED)["ok"]


def _segment(dataset: Any) -> None:
    dataset.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 9


def _mute(dataset: Any) -> None:
    (container,) = [
        item
        for item in dataset.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning.startswith("Qualitative")
    ]
    for item in container.ContentSequence:
        if item.ConceptNameCodeSequence[0].CodeValue == "121106":
            item.TextValue = ""


def _points(dataset: Any) -> None:
    dataset.GraphicAnnotationSequence[0].GraphicObjectSequence[0].NumberOfGraphicPoints = 4


def _unlisted(dataset: Any) -> None:
    dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID = "1.2.3"


@pytest.mark.parametrize(
    ("kind", "change", "problem"),
    [
        ("seg", _segment, "a frame belongs to no segment"),
        ("sr", _mute, "it does not say what it is and is not"),
        ("sc", lambda ds: setattr(ds, "Rows", 50), "its picture is not what its header says"),
        ("gsps", _points, "a line has other points than it says"),
        ("pm", lambda ds: setattr(ds, "FloatPixelData", b"\xff" * len(ds.FloatPixelData)), "not finite"),
        ("sc", _unlisted, "1 of the instances that it refers to are not in its list of references"),
        ("gsps", lambda ds: delattr(ds, "ReferencedSeriesSequence"), "it refers to no source image"),
        ("sc", lambda ds: setattr(ds, "SeriesInstanceUID", "1.02.3"), "its SeriesInstanceUID is no UID"),
        ("sc", lambda ds: setattr(ds.file_meta, "MediaStorageSOPInstanceUID", "1.2"), "names another instance"),
        (
            "pm",
            lambda ds: delattr(ds.ContributingEquipmentSequence[1], "DeviceUID"),
            "does not identify the algorithm",
        ),
    ],
)
@pytest.mark.usefixtures("without_dciodvfy")
def test_what_is_wrong_is_said(kind: str, change: Callable[[Any], object], problem: str, copied: Path) -> None:
    changed(copied, kind, change)
    report = verify(copied)
    assert not report["ok"]
    found = problems(report)
    assert list(found) == [kind]
    assert any(problem in text for text in found[kind]), found
    assert CANARY not in json.dumps(report)
    assert problem.split(" ")[-1] in in_words(report)


@pytest.mark.usefixtures("without_dciodvfy")
def test_other_content_under_the_same_uid_is_a_problem(copied: Path) -> None:
    (path,) = copied.glob("gsps-*")
    dataset = pydicom.dcmread(path)
    dataset.ContentLabel = "OTHER"
    pydicom.dcmwrite(copied / "other.dcm", dataset)
    (found,) = problems(verify(copied)).values()
    assert found[0].startswith("it has the UID of file 1 (")
    (copied / "other.dcm").write_bytes(path.read_bytes())  # the same object twice is none
    assert verify(copied)["ok"]


@pytest.mark.usefixtures("without_dciodvfy")
def test_a_cut_file_is_a_problem_and_other_files_are_not_looked_at(copied: Path) -> None:
    (path,) = copied.glob("seg-*")
    path.write_bytes(path.read_bytes()[:-400])
    lay(copied, {f"{CANARY}.dcm": source()})
    (copied / f"{CANARY}.json").write_text("{}")
    report = verify(copied)
    (bad,) = [one for one in report["files"] if one["problems"]]
    assert bad["problems"][0].startswith("reading it back failed")
    reasons = {one["reason"] for one in report["skipped"]}
    assert reasons == {
        "it is no DICOM file",
        "it was not written by monai_causal: Computed Radiography Image Storage",
    }
    assert CANARY not in json.dumps(report)
    assert "dciodvfy is not installed (dicom3tools)" in in_words(report)


@pytest.mark.usefixtures("without_dciodvfy")
def test_nothing_of_ours_is_not_well(tmp_path: Path) -> None:
    lay(tmp_path, {"1": source()})
    report = verify(tmp_path)
    assert not report["ok"]
    assert in_words(report).endswith("nothing here was written by monai_causal")
    with pytest.raises(DicomError, match="the file or folder is not there"):
        verify(tmp_path / CANARY)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed (Debian: dicom3tools)")
def test_dciodvfy_speaks_without_the_files_values(copied: Path) -> None:
    def spoil(dataset: Any) -> None:
        dataset.PatientOrientation, dataset.Laterality = None, f"{CANARY}L"
        dataset.PatientAge = f"{CANARY} <62>"
        dataset.ContentLabel = f"{CANARY} too long for a code string"

    with pydicom.config.disable_value_validation():
        changed(copied, "gsps", spoil)
    report = verify(copied, allow=ALLOWED)
    (found,) = problems(report).values()
    assert any("ContentLabel(0070,0080)" in text for text in found)
    # The patient's age is the source's: a result is not to blame for it.
    assert not any("PatientAge" in text for text in found)
    (warned,) = [one["warnings"] for one in report["files"] if one["problems"]]
    assert any("PatientAge(0010,1010)" in text for text in warned)
    assert CANARY not in json.dumps(report)
    (path,) = copied.glob("gsps-*")
    errors, warnings = run_dciodvfy(path)
    assert len(run_dciodvfy(path, ("Laterality",))[0]) < len(errors)
    assert any("DeviceUID" in text for text in warnings)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("#!/bin/sh\nkill -ABRT $$\n", ["dciodvfy was ended by signal 6"]),
        ("#!/bin/sh\nexec sleep 60\n", ["dciodvfy did not end within 1 seconds"]),
    ],
)
def test_a_crash_or_a_hang_of_dciodvfy_is_a_problem(
    script: str, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program"
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setattr(module, "_SECONDS", 1)
    assert run_dciodvfy(program, (), str(program)) == (said, [])


def test_an_allowed_text_has_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "allow.txt"
    path.write_text("Some text   # because\n\n# a remark\nOther # why\n")
    assert read_allowed(path) == ("Some text", "Other")
    path.write_text("Some text # because\nOther\n")
    with pytest.raises(DicomError, match="line 2 of the list of allowed texts gives no reason"):
        read_allowed(path)
    with pytest.raises(DicomError, match="cannot be read"):
        read_allowed(tmp_path / CANARY)
    assert len(read_allowed(ALLOWED)) > 3


def test_an_object_of_ours_holds_its_uids_under_the_roots_of_uuids(results: Path) -> None:
    for path in results.iterdir():
        dataset = pydicom.dcmread(path)
        assert dataset.SOPInstanceUID.startswith("2.25.")
        assert encoded(dataset) == path.read_bytes()
