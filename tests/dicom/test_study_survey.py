# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from monai_causal.dicom import study_survey
from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.study import Survey
from monai_causal.dicom.study_survey import survey
from tests.dicom.encodings import written
from tests.dicom.studies import image, lay


def codes(found: Survey) -> dict[str, str]:
    return {one.place: one.code for one in found.left_out}


def test_a_folder_is_read_with_all_below_it_and_the_rest_is_left_out_with_reasons(tmp_path: Path) -> None:
    whole = written(image(1))
    found = survey(
        lay(
            tmp_path,
            {
                "deep/er/1": image(2),
                "a": whole,
                "cut": whole[:-9],
                "notes.txt": b"not DICOM",
                "empty": b"",
                "bare": written(image(4), preamble=False),
            },
        )
    )
    (study,) = found.studies
    assert [one.place for one in study.instances] == ["a", str(Path("deep/er/1"))]
    assert codes(found) == {"cut": "refused", "notes.txt": "not-dicom", "empty": "not-dicom", "bare": "not-dicom"}
    (cut,) = [one for one in found.left_out if one.code == "refused"]
    assert "pixel data" in cut.reason
    # Its index and its digest name it; its path may tell of the patient.
    assert cut.item == f"file 3 ({hashlib.sha256(whole[:-9]).hexdigest()[:12]})"
    assert found.files == 6


def test_a_bare_file_is_read_where_it_is_allowed(tmp_path: Path) -> None:
    path = lay(tmp_path, {"bare": written(image(4), preamble=False)})
    assert len(survey(path, Limits(without_preamble=True)).studies) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert codes(survey(tmp_path)) == {"pipe": "not-regular"}


def test_links_are_followed_within_the_folder_only(tmp_path: Path) -> None:
    outside = lay(tmp_path / "outside", {"secret": image(1)})
    folder = lay(tmp_path / "folder", {"inner/own": image(2)})
    (folder / "out").symlink_to(outside / "secret")
    (folder / "alike").symlink_to(folder / "inner" / "own")
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "more").symlink_to(outside)
    found = survey(folder)
    (study,) = found.studies
    assert [one.place for one in study.instances] == ["alike", str(Path("inner/own"))]
    assert codes(found) == {"out": "leaves-folder", "circle": "leaves-folder"}


def test_files_contents_and_data_sets_may_be_given(tmp_path: Path) -> None:
    path = lay(tmp_path, {"a": image(1)}) / "a"
    found = survey([path, written(image(2)), image(3)])
    assert [one.number for one in found.studies[0].instances] == [1, 2, 3]
    assert survey(written(image(2))).files == survey(path).files == 1


def test_nothing_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("pixels were asked for")

    monkeypatch.setattr("monai_causal.dicom.decoding._native", refuse)
    monkeypatch.setattr("monai_causal.dicom.decoding._decoded", refuse)
    assert len(survey(lay(tmp_path, {"a": image(1)})).studies) == 1


def test_what_is_no_dicom_is_not_read_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(study_survey, "open_dicom", lambda source, limits: asked.append(source))
    survey(lay(tmp_path, {"film.mp4": bytes(4096)}))
    assert asked == []


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_survey, "MOST_FILES", 2)
    with pytest.raises(DicomError, match="more than 2 files"):
        survey(lay(tmp_path, {"a": b"", "b": b"", "c": b""}))


def test_a_source_that_is_not_there_is_an_error_without_its_name(tmp_path: Path) -> None:
    with pytest.raises(DicomError, match=r"^the file or folder cannot be read: ENOENT$"):
        survey(tmp_path / "CANARY")
