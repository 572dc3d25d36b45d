# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")

from pydicom.config import disable_value_validation

from monai_causal.dicom.objects.belonging import device_uid, neutral, origin_of
from monai_causal.dicom.objects.writing import KINDS, build_objects
from tests.dicom.objects.samples import content, projection, source
from tests.dicom.studies import CANARY, with_canaries

ALGORITHM = content().algorithm


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_is_of_the_sources_study_in_a_series_of_its_own(kind: Any, built: dict[Any, Any]) -> None:
    dataset, header = built[kind], source()
    for keyword in ("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "PatientName"):
        assert dataset[keyword].value == header[keyword].value
    assert dataset.SeriesInstanceUID != header.SeriesInstanceUID
    assert dataset.SeriesDescription == "MedFocus: Is there evidence of cardiomegaly in the image?"
    assert "InstanceCreationDate" not in dataset
    dates = {
        (element.keyword, element.value)
        for element in dataset.iterall()
        if element.VR in ("DA", "DT") and not element.keyword.startswith(("Study", "Patient"))
    }
    assert {value for _, value in dates} == {"20200102"}  # the source's content date
    times = {element.value for element in dataset.iterall() if element.VR == "TM" and element.keyword != "StudyTime"}
    assert times <= {"030405", None}


@pytest.mark.parametrize("kind", KINDS)
def test_contributing_equipment_is_what_took_the_picture_and_the_algorithm(kind: Any, built: dict[Any, Any]) -> None:
    camera, algorithm = built[kind].ContributingEquipmentSequence
    assert camera.PurposeOfReferenceCodeSequence[0].CodeValue == "109101"
    assert camera.Manufacturer == "Maker"
    assert algorithm.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert (algorithm.Manufacturer, algorithm.ManufacturerModelName) == ("monai_causal", "MedFocus")
    assert algorithm.DeviceUID == built[kind].DeviceUID == device_uid(ALGORITHM)
    assert "ContributionDateTime" not in algorithm


@pytest.mark.parametrize("key", ["name", "version", "model", "model_digest"])
def test_another_algorithm_or_model_is_another_device(key: str) -> None:
    assert device_uid(replace(ALGORITHM, **{key: "other"})) != device_uid(ALGORITHM)


@pytest.mark.parametrize("kind", KINDS)
def test_references_to_the_source_are_complete(kind: Any, built: dict[Any, Any]) -> None:
    dataset, header = built[kind], source()
    used = {element.value for element in dataset.iterall() if element.keyword == "ReferencedSOPInstanceUID"}
    assert header.SOPInstanceUID in used
    if kind == "sr":
        (study,) = dataset.CurrentRequestedProcedureEvidenceSequence
        assert study.StudyInstanceUID == header.StudyInstanceUID
        listed = {
            one.SeriesInstanceUID: {ref.ReferencedSOPInstanceUID for ref in one.ReferencedSOPSequence}
            for one in study.ReferencedSeriesSequence
        }
        referred = [header, *(built[other] for other in ("seg", "sc", "gsps"))]
        assert listed == {one.SeriesInstanceUID: {one.SOPInstanceUID} for one in referred}
        assert used == {one.SOPInstanceUID for one in referred}
    else:
        (series,) = dataset.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == header.SeriesInstanceUID
        assert used == {header.SOPInstanceUID}


def test_highdicom_is_shown_nothing_of_the_patient() -> None:
    shown = neutral(with_canaries(source(FrameOfReferenceUID="1.2.3.4")))
    assert CANARY not in str(shown).replace(f"{CANARY}MOD", "")
    assert "FrameOfReferenceUID" not in shown
    assert "FrameOfReferenceUID" in neutral(source(FrameOfReferenceUID="1.2.3.4"), positioned=True)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ("20200102", "030405")),
        (
            {"ContentDate": None, "ContentTime": None, "AcquisitionDate": "20190203", "AcquisitionTime": "1"},
            ("20190203", "000000"),
        ),
        ({"ContentDate": "yesterday"}, ("20200101", "120000")),
        ({"ContentDate": "20201301", "StudyDate": None}, ("19000101", "000000")),
    ],
)
def test_the_moment_is_the_sources(values: dict[str, Any], expected: tuple[str, str]) -> None:
    with disable_value_validation():
        header = source(**values)
    assert origin_of([header], ALGORITHM, "").moment == expected
    assert origin_of([header], ALGORITHM, "", ("20300101", "010203")).moment == ("20300101", "010203")


def test_a_value_that_does_not_fit_is_carried_only_where_it_is_demanded() -> None:
    with disable_value_validation():
        made = build_objects(projection(PatientAge="62", PatientSex="unknown"), content(), kinds=("gsps",))["gsps"]
    assert "PatientAge" not in made
    assert made.PatientSex == "unknown"
    assert build_objects(projection(PatientAge="062Y"), content(), kinds=("gsps",))["gsps"].PatientAge == "062Y"


@pytest.mark.parametrize(
    ("part", "side", "expected"),
    [("CHEST", "L", None), ("HAND", "L", "L"), ("HAND", None, ""), (None, None, ""), ("Thorax", "U", "")],
)
def test_a_series_has_a_side_only_where_its_part_may_have_one(
    part: str | None, side: str | None, expected: str | None
) -> None:
    values = {"BodyPartExamined": part} | ({"ImageLaterality": side} if side else {})
    made = build_objects(projection(**values), content(), kinds=("gsps", "seg"))
    assert ("Laterality" in made["gsps"]) == (expected is not None)
    if expected is not None:
        assert (made["gsps"].Laterality or "") == expected
    assert "Laterality" not in made["seg"]  # its segments say it
