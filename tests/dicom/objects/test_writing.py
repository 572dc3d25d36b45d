# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import datetime
import hashlib
import logging
import shutil
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")

import pydicom
from pydicom.config import disable_value_validation

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.geometry import Box
from monai_causal.dicom.objects import write_results
from monai_causal.dicom.objects.uids import encoded, seal
from monai_causal.dicom.objects.writing import KINDS, build_objects
from monai_causal.dicom.projection import read_projection
from monai_causal.dicom.verify import in_words, read_allowed, run_dciodvfy, verify
from tests.dicom.encodings import written
from tests.dicom.objects.samples import WORDS, concepts, content, laid, projection, source, upright
from tests.dicom.objects.test_sr import boxes_in
from tests.dicom.studies import CANARY, with_canaries

ALLOWED = Path(__file__).parent.parent / "dciodvfy_allow.txt"
needs_dciodvfy = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy is not installed (Debian: dicom3tools)"
)


class _Later(datetime.datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.datetime(2031, 7, 8, 9, 10, 11, 121314)


def move_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every module of highdicom gets another time, and its UIDs are drawn anew anyhow."""
    for name, module in list(sys.modules.items()):
        if name.startswith("highdicom") and getattr(module, "datetime", None) is datetime:
            fake = type("datetime", (), {**vars(datetime), "datetime": _Later})
            monkeypatch.setattr(module, "datetime", fake)
        elif name.startswith("highdicom") and getattr(module, "datetime", None) is datetime.datetime:
            monkeypatch.setattr(module, "datetime", _Later)


def test_the_same_arguments_give_the_same_bytes_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir(), second.mkdir()
    one = write_results(projection(), content(), first, kinds=KINDS)
    move_the_clock(monkeypatch)
    other = write_results([projection()], content(), second, kinds=tuple(reversed(KINDS)))
    assert [file.name for file in sorted(first.iterdir())] == [file.name for file in sorted(second.iterdir())]
    for written_one, again in zip(one, reversed(other), strict=True):
        assert written_one.path.read_bytes() == again.path.read_bytes()
        assert hashlib.sha256(again.path.read_bytes()).hexdigest() == written_one.sha256 == again.sha256
        assert written_one.size == written_one.path.stat().st_size
        assert written_one.path.name.startswith(f"{written_one.kind}-")
    assert len({one.series_instance_uid for one in one}) == len(KINDS)
    assert {one.study_instance_uid for one in one} == {str(source().StudyInstanceUID)}


@pytest.mark.parametrize(
    ("values", "of_source"),
    [
        ({"configuration": {"tau": 0.8, "masking": "zero"}}, {}),
        ({"answer": "No"}, {}),
        ({"moment": ("20220101", "000000")}, {}),
        ({}, {"PatientName": "Somebody Else"}),
        ({}, {"WindowCenter": 2001}),
    ],
)
def test_whatever_changes_has_other_uids(
    values: dict[str, Any], of_source: dict[str, Any], built: dict[Any, Any]
) -> None:
    other = build_objects(projection(**of_source), content(**values), kinds=("seg", "sr", "gsps"))
    for kind in ("seg", "sr", "gsps"):
        assert other[kind].SOPInstanceUID != built[kind].SOPInstanceUID
        assert other[kind].SeriesInstanceUID != built[kind].SeriesInstanceUID


def test_another_version_has_other_uids(built: dict[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_causal.dicom.objects.uids.__version__", "9.9.9")
    other = build_objects(projection(), content(), kinds=("gsps",))
    assert other["gsps"].SOPInstanceUID != built["gsps"].SOPInstanceUID


def test_a_change_of_one_byte_is_another_uid_even_if_the_seed_is_the_same() -> None:
    def sealed(text: str) -> Any:
        dataset = pydicom.Dataset()
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        dataset.SOPClassUID, dataset.ImageComments = "1.2.840.10008.5.1.4.1.1.7", text
        seal(dataset, "seed", "sc")
        return dataset

    one, other = sealed("a"), sealed("b")
    assert one.SOPInstanceUID == sealed("a").SOPInstanceUID != other.SOPInstanceUID
    assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
    assert one.SOPInstanceUID.is_valid
    assert one.SOPInstanceUID.startswith("2.25.")


@needs_dciodvfy
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"PatientOrientation": None, "BodyPartExamined": None, "ImagerPixelSpacing": None, "Manufacturer": None},
        {"BodyPartExamined": "HAND", "Laterality": "L", "PhotometricInterpretation": "MONOCHROME1"},
        {"WindowCenter": None, "WindowWidth": None, "RescaleSlope": "1.5", "RescaleIntercept": "-3"},
        {"FrameOfReferenceUID": "1.2.3.4", "PixelSpacing": [0, 0], "PatientAge": "62", "LossyImageCompression": "01"},
        {"ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 2, "ShutterRightVerticalEdge": 38}
        | {"ShutterUpperHorizontalEdge": 2, "ShutterLowerHorizontalEdge": 46},
    ],
    ids=["plain", "bare", "paired part", "no window", "frame of reference", "shutter"],
)
def test_dciodvfy_finds_no_error_and_nothing_that_is_not_allowed(values: dict[str, Any], tmp_path: Path) -> None:
    shown = projection(**values)
    for one in write_results(shown, content(), tmp_path, kinds=KINDS):
        errors, warnings = run_dciodvfy(one.path, read_allowed(ALLOWED))
        assert (one.kind, errors) == (one.kind, [])
        unsaid = [text for text in warnings if "Value dubious" not in text]
        assert (one.kind, unsaid) == (one.kind, [])


@needs_dciodvfy
def test_dciodvfy_finds_no_error_where_nothing_was_found_or_named(tmp_path: Path) -> None:
    empty = tuple(one for one in concepts() if one.box is None)
    for place, values in enumerate(
        ({"concepts": empty, "chosen": None, "finding": None, "notes": ()}, {"chosen": "pair"})
    ):
        folder = tmp_path / str(place)
        folder.mkdir()
        for one in write_results(projection(), content(**values), folder):
            assert (one.kind, run_dciodvfy(one.path, read_allowed(ALLOWED))[0]) == (one.kind, [])


@pytest.mark.real
@needs_dciodvfy
@pytest.mark.parametrize("number", range(4))
def test_dciodvfy_finds_no_error_on_real_files(number: int, real_data: Path, tmp_path: Path) -> None:
    path = sorted((real_data / "cxr_dicom").iterdir())[number]
    shown = read_projection(path)
    shape = shown.pixels.shape
    rows, columns = (slice(size // 4, size // 2) for size in shape)
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    heart = replace(concepts()[0], mask=mask, box=((rows.start, rows.stop), (columns.start, columns.stop)))
    said = content(concepts=(heart,), heat=shown.pixels.copy())
    write_results(shown, said, tmp_path, kinds=KINDS)
    report = verify(tmp_path, allow=ALLOWED)
    assert report["ok"], in_words(report)
    assert len(report["files"]) == len(KINDS)


@pytest.mark.parametrize("words", WORDS)
def test_a_mask_lies_where_it_was_found_however_the_source_lies(words: str) -> None:
    """The places are brought back by a slow replica, pixel by pixel; the picture stays upright."""
    shown = projection(words)
    assert np.argmax(shown.pixels) == shown.pixels.size - 1  # upright: the brightest corner is the lower right one
    made = build_objects(shown, content(), kinds=("seg", "sr", "sc", "pm"))
    frames = made["seg"].pixel_array
    for frame, concept in zip(frames, concepts()[:3], strict=True):
        np.testing.assert_array_equal(frame, laid(concept.mask, words))
    heat = content().heat
    assert heat is not None
    np.testing.assert_array_equal(made["pm"].pixel_array, laid(heat, words))
    (left, top), (right, bottom) = boxes_in(made["sr"])["cardiac silhouette"]
    rows, columns = np.nonzero(frames[0])
    assert (left, top, right, bottom) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    np.testing.assert_array_equal(made["sc"].pixel_array, content().picture)
    assert made["sc"].PatientOrientation == ["L", "F"]
    assert made["seg"].PatientOrientation == words.split("\\")
    assert (made["seg"].Rows, made["seg"].Columns) == laid(upright(), words).shape


def test_a_resized_projection_leads_back_to_the_stored_picture() -> None:
    shown = projection("F\\L").resized((96, 96))
    (top, _), (left, right) = shown.placement.padding
    assert (top, left, right) == (0, 8, 8)

    def larger(mask: np.ndarray) -> np.ndarray:
        return np.pad(mask.repeat(2, 0).repeat(2, 1), ((0, 0), (8, 8)))

    def moved(box: Box | None) -> Box | None:
        return None if box is None else ((2 * box[0][0], 2 * box[0][1]), (2 * box[1][0] + 8, 2 * box[1][1] + 8))

    big = tuple(replace(one, mask=larger(one.mask), box=moved(one.box)) for one in concepts())
    in_padding = replace(big[2], box=((0, 5), (0, 8)))
    kinds = ("seg", "sr")
    made = build_objects(shown, content(concepts=(*big[:2], in_padding, big[3]), heat=None), kinds=kinds)
    plain = build_objects(projection("F\\L"), content(), kinds=kinds)
    np.testing.assert_array_equal(made["seg"].pixel_array, plain["seg"].pixel_array)
    assert boxes_in(made["sr"]) == boxes_in(plain["sr"])


def test_patient_data_stand_where_the_standard_demands_them_and_nowhere_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    with disable_value_validation():
        planted = with_canaries(source())
    planted.Modality, planted.BodyPartExamined, planted.PatientSex = "CR", "CHEST", f"{CANARY}SEX"
    caplog.set_level(logging.DEBUG)
    shown = read_projection(written(planted))
    made = write_results(shown, content(), tmp_path, kinds=KINDS)
    assert CANARY not in caplog.text
    assert str(source().SOPInstanceUID) not in caplog.text
    assert not [warning for warning in recwarn if CANARY in str(warning.message)]
    assert CANARY not in "".join(str(path) for path in tmp_path.iterdir())
    assert CANARY not in repr(made)
    demanded = {
        *("PatientName", "PatientID", "PatientSex", "AccessionNumber", "StudyID", "ReferringPhysicianName"),
        *("StudyDescription", "PatientComments", "OtherPatientNames", "Occupation", "AdmittingDiagnosesDescription"),
    }
    equipment = {
        *("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "InstitutionName"),
        "StationName",
    }
    for one in made:
        dataset = pydicom.dcmread(one.path)
        places = {
            (element.keyword, bool(dataset.get(element.tag) is element))
            for element in dataset.iterall()
            if CANARY in str(element.value) and element.VR != "SQ"
        }
        assert {keyword for keyword, _ in places} <= demanded | equipment
        assert {"PatientName", "PatientID"} <= {keyword for keyword, _ in places}
        assert {keyword for keyword, top in places if top} <= demanded
        assert dataset.PatientName == planted.PatientName
        assert dataset.PatientSex == f"{CANARY}SEX"


def test_names_in_other_characters_arrive(tmp_path: Path) -> None:
    planted = source(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jürgen", StudyDescription="Größe")
    made = build_objects(read_projection(written(planted)), content(), kinds=("seg", "sr"))
    for dataset in made.values():
        again = pydicom.dcmread(BytesIO(encoded(dataset)))
        assert (again.PatientName, again.StudyDescription) == ("Müller^Jürgen", "Größe")
        assert "Müller".encode() in encoded(dataset)


@pytest.mark.parametrize(
    ("values", "kinds", "message"),
    [
        ({}, ("seg", "dicom"), "'dicom' is none of seg, sr, sc, gsps, pm"),
        ({}, (), "name each kind once"),
        ({}, ("seg", "seg"), "name each kind once"),
        ({"picture": None}, ("sc",), "'sc' is made of content.picture"),
        ({"heat": None}, ("pm",), "'pm' is made of content.heat"),
        ({"concepts": (), "chosen": None}, ("seg",), "'seg' is made of concepts"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is(
    values: dict[str, Any], kinds: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        write_results(projection(), content(**values), tmp_path, kinds=kinds)
    assert not list(tmp_path.iterdir())


def test_a_result_of_another_picture_or_of_several_is_refused(tmp_path: Path) -> None:
    other = projection().resized((96, 96))
    with pytest.raises(ValueError, match=r"the map is \(48, 40\), the projection \(96, 96\)"):
        write_results(other, content(), tmp_path)
    with pytest.raises(ValueError, match=r"cardiac silhouette: its mask is \(48, 40\)"):
        write_results(other, content(heat=None), tmp_path)
    outside = replace(concepts()[0], box=((40, 50), (0, 4)))
    with pytest.raises(ValueError, match=r"its box .* leaves the projection"):
        write_results(projection(), content(concepts=(outside, *concepts()[1:])), tmp_path)
    with pytest.raises(ValueError, match="2 projections: a result is about one"):
        write_results([projection(), projection()], content(), tmp_path)


def test_a_source_without_a_study_cannot_be_referred_to(tmp_path: Path) -> None:
    with pytest.raises(DicomError, match="it has no StudyInstanceUID: a result could not refer to it"):
        write_results(projection(StudyInstanceUID=None), content(), tmp_path)
