# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.study import Instance
from monai_causal.dicom.study_survey import survey
from monai_causal.dicom.tags import class_name
from tests.dicom.studies import ROOT, image, lay, report


def only(path: Path) -> Instance:
    (study,) = survey(path).studies
    (instance,) = study.instances
    return instance


def test_a_study_is_grouped_and_numbered_in_the_order_found(tmp_path: Path) -> None:
    files = {"a": image(1, series=2), "b": image(1, study=2), "c": image(2, series=1), "d": image(2, series=2)}
    found = survey(lay(tmp_path, files))
    first, second = found.studies
    assert (first.uid, second.uid) == (f"{ROOT}.1", f"{ROOT}.2")
    assert [[one.index for one in series.instances] for series in first.series] == [[1, 4], [3]]
    assert [one.index for one in first.instances] == [1, 3, 4]
    assert first.digest != second.digest
    assert found.files == 4


def test_a_study_without_uids_is_one_all_the_same(tmp_path: Path) -> None:
    ds = image(1)
    ds.StudyInstanceUID = ds.SeriesInstanceUID = ""
    (study,) = survey(lay(tmp_path, {"a": ds})).studies
    assert (study.digest, study.series[0].digest) == ("without UID", "without UID")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ("PA", False)),
        ({"ViewPosition": None, "SeriesDescription": "Thorax p.a."}, ("PA", True)),
        ({"ViewPosition": None, "SeriesDescription": "CHEST_AP_portable"}, ("AP", True)),
        ({"ViewPosition": None, "SeriesDescription": "chest frontal (PA)"}, ("PA", True)),
        ({"ViewPosition": None, "SeriesDescription": "chest frontal"}, ("FRONTAL", True)),
        ({"ViewPosition": None, "SeriesDescription": "W chest lat."}, ("LAT", True)),
        ({"ViewPosition": None, "SeriesDescription": "chest PA and lat"}, (None, False)),
        ({"ViewPosition": None, "SeriesDescription": "Papa's map"}, (None, False)),
        ({"ViewPosition": None, "ProtocolName": "Thorax AP"}, ("AP", True)),
        ({"ViewPosition": "LL", "SeriesDescription": "PA"}, ("LL", False)),
        ({"ViewPosition": None}, (None, False)),
    ],
)
def test_the_view_is_told_by_codes_before_descriptions(
    values: dict[str, str | None], expected: tuple[str | None, bool], tmp_path: Path
) -> None:
    assert only(lay(tmp_path, {"a": image(1, **values)})).view == expected


def test_a_file_that_changed_after_the_survey_is_refused(tmp_path: Path) -> None:
    instance = only(lay(tmp_path, {"a": image(1)}))
    assert instance.open().digest == instance.digest
    lay(tmp_path, {"a": image(1, WindowWidth=7)})
    with pytest.raises(DicomError, match=rf"^file 1 \({instance.digest[:12]}\): it is another file"):
        instance.open()


def test_only_what_is_needed_of_a_header_is_kept_and_none_of_it_shown(tmp_path: Path) -> None:
    path = lay(tmp_path, {"a": image(1, PatientID="CANARY", SeriesDescription="CANARY")})
    instance = only(path)
    assert "PatientID" not in instance.header
    assert "CANARY" not in repr(survey(path)) + repr(instance)
    (kept,) = survey(path, keywords=["PatientID"]).studies[0].instances
    assert kept.header.PatientID == "CANARY"


def test_an_object_without_pixels_is_known_as_such(tmp_path: Path) -> None:
    instance = only(lay(tmp_path, {"a": report(1)}))
    assert (instance.has_pixels, class_name(instance.sop_class)) == (False, "Comprehensive SR Storage")
