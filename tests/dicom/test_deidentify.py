# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

import pydicom
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from monai_causal.dicom.deidentify import OPTIONS, UNCLEANED, deidentify, in_words
from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.projection import read_projection
from tests.dicom.encodings import radiograph, written
from tests.dicom.studies import CANARY, image, lay, report, with_canaries

KEY = b"a secret of the test"
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def planted(number: int = 1, **values: Any) -> Dataset:
    with disable_value_validation():
        ds = with_canaries(image(number, **values))
    ds.Modality, ds.ImageType, ds.BodyPartExamined = "CR", ["ORIGINAL", "PRIMARY"], "CHEST"
    ds.PatientSex, ds.PatientAge, ds.AcquisitionDateTime = "F", "032Y", "20200101120000.5+0100"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.SourceImageSequence = [reference]
    nested = Dataset()
    nested.PatientName, nested.DeviceSerialNumber, nested.StudyInstanceUID = (
        f"{CANARY}DEEP",
        CANARY,
        ds.StudyInstanceUID,
    )
    nested.add_new(0x00110010, "LO", f"{CANARY}DEEPER")
    ds.ModalityLUTSequence = [nested]
    ds.add_new(0x60003000, "OW", CANARY.encode() + b" ")
    ds.add_new(0x50000005, "US", 1)
    ds.NamesOfIntendedRecipientsOfResults = f"{CANARY}NAME"
    return ds


def done(folder: Path, out: Path, **options: Any) -> list[Dataset]:
    result = deidentify(folder, out, key=KEY, **options)
    assert result["ok"], in_words(result)
    return [pydicom.dcmread(path) for path in sorted(out.rglob("*.dcm"))]


def without_allowed(ds: Dataset) -> Dataset:
    """What may still hold a planted word: text that the table does not list."""
    for item in (ds, *ds.get("AnatomicRegionSequence", [])):
        for keyword in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "CodeMeaning", "CodeValue"):
            if keyword in item:
                delattr(item, keyword)
    for keyword in ("WindowCenterWidthExplanation",):
        if keyword in ds:
            delattr(ds, keyword)
    return ds


def test_nothing_of_the_patient_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    lay(tmp_path / "in", {f"{CANARY}1": planted(), f"{CANARY}2/x": planted(2)})
    out = tmp_path / "out"
    made = done(tmp_path / "in", out)
    assert len(made) == 2
    assert CANARY not in caplog.text
    for path, ds in zip(sorted(out.rglob("*.dcm")), made, strict=True):
        assert CANARY not in str(path.relative_to(out))
        again = without_allowed(ds)
        assert CANARY not in str(again)
        assert CANARY.encode() not in written(again)
        assert not [one for one in again.iterall() if one.tag.is_private]
        assert not [one for one in again if one.tag.group in (0x5000, 0x6000)]
        assert not [one for one in again.iterall() if one.VR in ("DA", "DT") and one.value]
        assert "PatientAge" not in again
        assert not again.PatientSex
        assert again.PatientIdentityRemoved == "YES"
        assert again.LongitudinalTemporalInformationModified == "REMOVED"
        assert [one.CodeValue for one in again.DeidentificationMethodCodeSequence] == ["113100"]


def test_pixels_and_what_shows_them_are_untouched(tmp_path: Path) -> None:
    source = lay(tmp_path / "in", {"1": image(1)})
    (made,) = done(source, tmp_path / "out")
    before, after = read_projection(source / "1"), read_projection(written(made))
    np.testing.assert_array_equal(before.pixels, after.pixels)
    assert (before.view, before.spacing) == (after.view, after.spacing)
    assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID


def test_uids_are_others_but_belong_together_as_before(tmp_path: Path) -> None:
    first, second = planted(1), planted(2)
    second.SourceImageSequence[0].ReferencedSOPInstanceUID = first.SOPInstanceUID
    made = done(lay(tmp_path / "in", {"1": first, "2": second}), tmp_path / "out")
    new = {ds.InstanceNumber: ds for ds in made}
    for keyword in UIDS:
        assert new[1][keyword].value != first[keyword].value
        assert new[1][keyword].value.is_valid
    assert new[1].StudyInstanceUID == new[2].StudyInstanceUID == new[1].ModalityLUTSequence[0].StudyInstanceUID
    assert new[2].SourceImageSequence[0].ReferencedSOPInstanceUID == new[1].SOPInstanceUID != new[2].SOPInstanceUID
    assert new[2].SourceImageSequence[0].ReferencedSOPClassUID == first.SOPClassUID
    assert new[1].PatientID == new[2].PatientID != first.PatientID
    again = done(tmp_path / "in", tmp_path / "again")
    assert {ds.SOPInstanceUID for ds in again} == {ds.SOPInstanceUID for ds in made}
    other = deidentify(tmp_path / "in", tmp_path / "other")
    assert other["ok"]
    drawn = {pydicom.dcmread(path).SOPInstanceUID for path in (tmp_path / "other").rglob("*.dcm")}
    assert not drawn & {ds.SOPInstanceUID for ds in made}


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_retains_what_it_names_and_nothing_else(option: str, tmp_path: Path) -> None:
    source = planted()
    source.AcquisitionDate = "20200301"
    folder = lay(tmp_path / "in", {"1": source})
    (plain,) = done(folder, tmp_path / "plain")
    (made,) = done(folder, tmp_path / "out", options=(option,))
    kept = {
        "retain-uids": UIDS,
        "retain-full-dates": ("StudyDate", "AcquisitionDate", "AcquisitionDateTime"),
        "retain-patient-characteristics": ("PatientSex", "PatientAge"),
        "retain-device-identity": ("StationName", "DeviceSerialNumber"),
        "retain-institution-identity": ("InstitutionName",),
    }
    for name, keywords in kept.items():
        for keyword in keywords:
            assert (keyword in made and made[keyword].value == source[keyword].value) == (name == option)
    if option == "retain-modified-dates":
        moved = [made[keyword].value[:8] for keyword in ("StudyDate", "AcquisitionDate", "AcquisitionDateTime")]
        days = [np.datetime64(f"{text[:4]}-{text[4:6]}-{text[6:]}") for text in moved]
        assert days[1] - days[0] == np.timedelta64(60, "D")  # January and February of a leap year
        assert days[0] == days[2] < np.datetime64("2020-01-01")
        assert made.AcquisitionDateTime[8:] == "120000.5+0100"
        assert made.StudyTime == source.StudyTime
    else:
        assert (made.StudyTime == source.StudyTime) == (option == "retain-full-dates")
        assert (made.get("AcquisitionDate") == source.AcquisitionDate) == (option == "retain-full-dates")
    assert not made.PatientBirthDate
    value, meaning = OPTIONS[option]
    assert [one.CodeValue for one in made.DeidentificationMethodCodeSequence] == ["113100", value]
    assert made.DeidentificationMethodCodeSequence[1].CodeMeaning == meaning
    assert plain.PatientID == made.PatientID


def block(ds: Dataset, group: int, creator: str, **values: tuple[str, Any]) -> None:
    """A private block: by the last two digits of its elements their representations and values."""
    held = ds.private_block(group, creator, create=True)
    for number, (vr, value) in values.items():
        held.add_new(int(number[1:], 16), vr, value)


def characterized(group: int, creator: str, status: str, elements: list[int] | None = None) -> Dataset:
    item = Dataset()
    item.PrivateGroupReference, item.PrivateCreatorReference = group, creator
    item.BlockIdentifyingInformationStatus = status
    if elements is not None:
        item.NonidentifyingPrivateElements = elements
    return item


def with_private(ds: Dataset) -> Dataset:
    block(ds, 0x0019, "GEMS_ACQU_01", x23=("DS", "27.5"), x25=("LO", CANARY))
    block(ds, 0x0019, "SIEMENS MR HEADER", x0C=("IS", "1000"), x99=("PN", CANARY))
    block(ds, 0x7053, "Philips PET Private Group", x00=("DS", "0.5"))
    block(ds, 0x0903, "GEIIS PACS", x10=("US", 1))
    block(ds, 0x0031, "whole", x01=("DS", "3"), x02=("PN", CANARY), x03=("UI", "1.2.3.4"), x04=("DA", "20200101"))
    block(ds, 0x0033, "some", x07=("CS", "A"), x08=("LO", CANARY))
    block(ds, 0x0035, "silent", x01=("LO", CANARY))
    deeper = Dataset()
    deeper.PatientName = CANARY
    block(deeper, 0x0043, "GEMS_PARM_01", x27=("SH", "1.375:1"), x28=("LO", CANARY))
    ds.private_block(0x0031, "whole").add_new(0x05, "SQ", [deeper])
    ds.PrivateDataElementCharacteristicsSequence = [
        characterized(0x0031, "whole", "SAFE"),
        characterized(0x0033, "some", "MIXED", [0x07]),
        characterized(0x0903, "GEIIS PACS", "UNSAFE"),
        characterized(0x0037, CANARY, "SAFE"),
    ]
    return ds


def test_safe_private_attributes_are_kept_with_their_creators_and_no_others(tmp_path: Path) -> None:
    folder = lay(tmp_path / "in", {"1": with_private(image(1))})
    (plain,) = done(folder, tmp_path / "plain")
    assert not [one for one in plain.iterall() if one.tag.is_private]
    assert "PrivateDataElementCharacteristicsSequence" not in plain
    (made,) = done(folder, tmp_path / "out", options=("retain-safe-private",))
    assert CANARY.encode() not in written(made)
    kept = {(one.tag.group, one.tag.element): one.value for one in made if one.tag.is_private}
    (inner,) = kept.pop((0x0031, 0x1005))
    uid = kept.pop((0x0031, 0x1003))
    assert kept == {
        (0x0019, 0x0010): "GEMS_ACQU_01",
        (0x0019, 0x1023): "27.5",
        (0x0019, 0x0011): "SIEMENS MR HEADER",
        (0x0019, 0x110C): 1000,
        (0x0031, 0x0010): "whole",
        (0x0031, 0x1001): "3",
        (0x0033, 0x0010): "some",
        (0x0033, 0x1007): "A",
        (0x7053, 0x0010): "Philips PET Private Group",
        (0x7053, 0x1000): "0.5",
    }
    assert uid.startswith("2.25.")  # another one, as of every UID
    assert {(one.tag.group, one.tag.element): one.value for one in inner if one.tag.is_private} == {
        (0x0043, 0x0010): "GEMS_PARM_01",
        (0x0043, 0x1027): "1.375:1",
    }
    assert not inner.PatientName
    said = made.PrivateDataElementCharacteristicsSequence
    assert [one.PrivateCreatorReference for one in said] == ["whole", "some"]
    more = ("retain-safe-private", "retain-modified-dates", "retain-uids")
    (dated,) = done(folder, tmp_path / "dated", options=more)
    assert dated[0x0031, 0x1003].value == "1.2.3.4"
    assert dated[0x0031, 0x1004].value[:4] < "2020"
    (whole,) = done(folder, tmp_path / "whole", options=("retain-safe-private", "retain-full-dates"))
    assert whole[0x0031, 0x1004].value == "20200101"


def test_what_is_said_twice_of_a_block_has_to_be_safe_twice() -> None:
    from monai_causal.dicom.safe_private import declared_blocks

    ds = Dataset()
    ds.PrivateDataElementCharacteristicsSequence = [
        characterized(0x0031, "a", "SAFE"),
        characterized(0x0031, "a", "MIXED", [0x01, 0x02]),
        characterized(0x0033, "b", "SAFE"),
        characterized(0x0033, "b", "UNSAFE"),
        characterized(0x0035, "c", "PERHAPS"),
        characterized(0x0035, "", "SAFE"),
    ]
    assert declared_blocks(ds) == {(0x0031, "a"): {1, 2}, (0x0033, "b"): frozenset()}


def test_what_cannot_be_cleaned_is_refused_and_the_others_are_taken(tmp_path: Path) -> None:
    document = report(3)
    document.ContentSequence = [Dataset()]
    files = {
        "1": image(1),
        "2": image(2, BurnedInAnnotation="YES"),
        "3": document,
        "4": image(4, BurnedInAnnotation=None),
        "5": b"no DICOM at all",
        "6": image(6, EncapsulatedDocument=b"%PDF"),
    }
    result = deidentify(lay(tmp_path / "in", files), tmp_path / "out", key=KEY)
    rows = result["files"]
    assert [row["status"] for row in rows] == ["ok", "refused", "refused", "ok", "refused", "refused"]
    assert "text is burned into the picture, which is not cleaned" in rows[1]["reason"]
    assert rows[2]["reason"] == "it is a report: its text is not cleaned here"
    assert rows[3]["remarks"] == ["its header does not say whether text is burned into the picture; look at it"]
    assert rows[5]["reason"] == "it is an encapsulated document: it is not cleaned here"
    assert not result["ok"]
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 2
    said = in_words(result)
    assert said.startswith("2 of 6 files de-identified by the Basic Profile of PS3.15\n")
    assert f"Beware: {UNCLEANED}" in said
    assert json.loads(json.dumps(result)) == result
    taken = deidentify(tmp_path / "in" / "2", tmp_path / "taken", burned_in=True)
    assert taken["ok"]
    assert taken["files"][0]["remarks"] == ["text is burned into the picture and stays"]


def test_a_wrong_option_or_place_is_refused(tmp_path: Path) -> None:
    lay(tmp_path, {"1": image(1)})
    with pytest.raises(ValueError, match="option 'retain-everything': give one of retain-uids"):
        deidentify(tmp_path, tmp_path / "out", options=("retain-everything",))
    with pytest.raises(ValueError, match="in full or modified, not both"):
        deidentify(tmp_path, tmp_path / "out", options=("retain-full-dates", "retain-modified-dates"))
    with pytest.raises(DicomError, match="lies in the source"):
        deidentify(tmp_path, tmp_path / "out")
    with pytest.raises(DicomError, match="is not there"):
        deidentify(tmp_path / CANARY, tmp_path / "out")


@pytest.mark.parametrize(
    ("tag", "action"),
    # some of Table E.1-1, as the standard prints it
    [
        ("00080050", "Z"),
        ("00100010", "Z"),
        ("00100020", "Z/D"),
        ("00100030", "Z"),
        ("00101010", "X"),
        ("00081030", "X"),
        ("0008103E", "X"),
        ("00080080", "X/Z/D"),
        ("00181000", "X/Z/D"),
        ("00080018", "U"),
        ("0020000D", "U"),
        ("00081140", "X/Z/U*"),
        ("00080022", "X/Z"),
        ("00080023", "Z/D"),
        ("0040A730", "D"),
        ("00700001", "D"),
        ("00204000", "X"),
        ("00181030", "X/D"),
    ],
)
def test_the_profile_holds_the_standards_actions(tag: str, action: str) -> None:
    from monai_causal.dicom.deidentify import _actions

    assert _actions()[int(tag, 16)] == action


def test_a_compressed_file_keeps_its_stream(tmp_path: Path) -> None:
    from pydicom.uid import JPEGLSLossless

    ds = radiograph()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    ds.compress(JPEGLSLossless, generate_instance_uid=False)
    (tmp_path / "in").mkdir()
    pydicom.dcmwrite(tmp_path / "in" / "1", ds, enforce_file_format=True)
    (made,) = done(tmp_path / "in", tmp_path / "out")
    assert made.file_meta.TransferSyntaxUID == JPEGLSLossless
    assert made.PixelData == ds.PixelData
