# SPDX-License-Identifier: Apache-2.0
"""A DICOMDIR comes from outside: no reference of it leads out of its folder."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from pydicom import config, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset

from monai_causal.dicom.dicomdir import DIRECTORY, read_dicomdir
from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.study_survey import survey
from tests.dicom.encodings import written
from tests.dicom.studies import ROOT, image, lay


def directory(*references: str | list[str] | None, uids: list[str] | None = None, in_use: int = 0xFFFF) -> bytes:
    """A DICOMDIR with an image record for each reference."""
    with config.disable_value_validation():
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = DIRECTORY, f"{ROOT}.99"
        ds.FileSetID = "CANARY"
        ds.DirectoryRecordSequence = []
        for place, reference in enumerate(references):
            record = Dataset()
            record.RecordInUseFlag, record.DirectoryRecordType = in_use, "IMAGE"
            record.PatientName = "CANARY"
            if uids:
                record.ReferencedSOPInstanceUIDInFile = uids[place]
            if reference is not None:
                record.ReferencedFileID = reference
            ds.DirectoryRecordSequence.append(record)
        buffer = io.BytesIO()
        dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def test_its_files_are_read_and_missing_ones_are_told(tmp_path: Path) -> None:
    lay(tmp_path, {"DICOM/PAT1/IM1": image(1), "dicom2/im2": image(2), "unlisted": image(3)})
    listed = directory(["DICOM", "PAT1", "IM1"], ["DICOM2", "IM2"], ["DICOM", "GONE"], None)
    found = survey(lay(tmp_path, {"DICOMDIR": listed}) / "DICOMDIR")
    assert [one.number for one in found.studies[0].instances] == [1, 2]
    assert [(one.item, one.code) for one in found.left_out] == [("file 3", "missing")]


@pytest.mark.parametrize(
    "reference",
    [
        ["..", "secret"],
        ["DICOM", "..", "..", "secret"],
        "/secret",
        ["", "secret"],
        "../secret",
        ["DICOM", "../../secret"],
        ["."],
        ["C:", "secret"],
        "C:secret",
        ["DICOM", "IM1:stream"],
        ["...", "secret"],
        ["out", "secret"],
        ["link"],
        ["DICOM", "deeper", "link"],
        ["circle"],
    ],
)
def test_no_reference_leaves_the_folder(reference: str | list[str], tmp_path: Path) -> None:
    lay(tmp_path, {"secret": image(1)})
    folder = lay(tmp_path / "disc", {"DICOM/deeper/IM1": image(2)})
    (folder / "out").symlink_to(tmp_path)
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "DICOM" / "deeper" / "link").symlink_to(tmp_path / "secret")
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "DICOMDIR").write_bytes(directory(reference, ["DICOM", "deeper", "IM1"]))
    bad, good = read_dicomdir(folder / "DICOMDIR")
    assert (bad.path, bad.problem) == (None, "leaves-folder")
    assert good.path == (folder / "DICOM" / "deeper" / "IM1").resolve()
    found = survey(folder / "DICOMDIR")
    assert [one.code for one in found.left_out] == ["leaves-folder"]
    assert [one.number for study in found.studies for one in study.instances] == [2]


def test_the_absolute_path_of_a_real_file_is_not_followed(tmp_path: Path) -> None:
    secret = lay(tmp_path, {"secret": image(1)}) / "secret"
    path = lay(tmp_path / "disc", {"DICOMDIR": directory(str(secret))}) / "DICOMDIR"
    assert read_dicomdir(path)[0].problem == "leaves-folder"


def test_another_object_than_listed_is_left_out(tmp_path: Path) -> None:
    lay(tmp_path, {"A": image(1), "B": image(2)})
    listed = directory(["A"], ["B"], uids=[image(1).SOPInstanceUID, image(1).SOPInstanceUID])
    found = survey(lay(tmp_path, {"DICOMDIR": listed}) / "DICOMDIR")
    assert [one.number for one in found.studies[0].instances] == [1]
    assert [one.code for one in found.left_out] == ["other-object"]


def test_records_that_are_not_in_use_are_skipped(tmp_path: Path) -> None:
    path = lay(tmp_path, {"A": image(1), "DICOMDIR": directory(["A"], in_use=0)}) / "DICOMDIR"
    assert read_dicomdir(path) == ()


def test_under_another_name_it_is_known_by_what_it_is(tmp_path: Path) -> None:
    path = lay(tmp_path, {"A": image(1), "index.dcm": directory(["A"])}) / "index.dcm"
    assert survey(path).studies[0].instances[0].number == 1
    assert {one.code for one in survey(tmp_path).left_out} == {"directory"}


def test_what_is_no_dicomdir_is_refused(tmp_path: Path) -> None:
    path = lay(tmp_path, {"DICOMDIR": written(image(1))}) / "DICOMDIR"
    with pytest.raises(DicomError, match="it is no DICOMDIR"):
        survey(path)
    lay(tmp_path, {"DICOMDIR": directory(["A"])[:-20]})
    with pytest.raises(DicomError) as caught:
        survey(path)
    assert "CANARY" not in str(caught.value)
