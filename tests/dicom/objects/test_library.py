# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")

import highdicom as hd

from monai_causal.dicom.objects.uids import encoded
from monai_causal.dicom.objects.writing import build_objects
from monai_causal.dicom.verify import run_dciodvfy, verify
from tests.dicom.objects.samples import COLUMNS, ROWS, content, projection
from tests.dicom.objects.test_sr import meaning, value


def library(dataset: Any) -> list[Any]:
    """Its images; each stands in a group of its own."""
    (container,) = [item for item in dataset.ContentSequence if meaning(item) == "Image Library"]
    groups = list(container.ContentSequence)
    assert {meaning(group) for group in groups} == {"Image Library Group"}
    assert {len(group.ContentSequence) for group in groups} == {1}
    return [group.ContentSequence[0] for group in groups]


def described(item: Any) -> tuple[str, float, float]:
    modality, rows, columns = item.ContentSequence
    return (
        value(modality.ConceptCodeSequence[0]),
        float(rows.MeasuredValueSequence[0].NumericValue),
        float(columns.MeasuredValueSequence[0].NumericValue),
    )


def evidence(dataset: Any) -> set[str]:
    (study,) = dataset.CurrentRequestedProcedureEvidenceSequence
    return {
        str(one.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }


def test_the_report_leads_to_source_presentation_and_picture(built: dict[Any, Any]) -> None:
    report = built["sr"]
    source, picture = library(report)
    (shown,) = source.ReferencedSOPSequence
    (state,) = shown.ReferencedSOPSequence
    assert shown.ReferencedSOPInstanceUID == projection().header.SOPInstanceUID
    assert (state.ReferencedSOPClassUID, state.ReferencedSOPInstanceUID) == (
        built["gsps"].SOPClassUID,
        built["gsps"].SOPInstanceUID,
    )
    (drawn,) = picture.ReferencedSOPSequence
    assert (drawn.ReferencedSOPClassUID, drawn.ReferencedSOPInstanceUID) == (
        built["sc"].SOPClassUID,
        built["sc"].SOPInstanceUID,
    )
    assert (meaning(source), meaning(picture)) == ("Source", "Picture of the result")
    assert described(source) == ("CR", ROWS, COLUMNS)
    assert described(picture) == ("OT", *content().picture.shape[:2])  # type: ignore[union-attr]
    others = {str(built[kind].SOPInstanceUID) for kind in ("seg", "sc", "gsps")}
    assert evidence(report) == {str(projection().header.SOPInstanceUID), *others}
    names = [meaning(item) for item in report.ContentSequence if item.ValueType == "CONTAINER"]
    assert names == ["Image Library", "Imaging Measurements", "Qualitative Evaluations"]


@pytest.mark.parametrize("kinds", [("sr",), ("sc", "sr"), ("gsps", "sr")])
def test_what_was_not_written_is_not_referred_to(kinds: Any, built: dict[Any, Any], tmp_path: Path) -> None:
    made = build_objects(projection(), content(), kinds=kinds)
    source, *pictures = library(made["sr"])
    assert len(pictures) == ("sc" in kinds)
    assert ("ReferencedSOPSequence" in source.ReferencedSOPSequence[0]) == ("gsps" in kinds)
    assert len(evidence(made["sr"])) == len(kinds)
    assert made["sr"].SOPInstanceUID != built["sr"].SOPInstanceUID
    for kind in kinds:
        (tmp_path / f"{kind}.dcm").write_bytes(encoded(made[kind]))
    assert not [one for one in verify(tmp_path)["files"] if one["problems"]]
    if shutil.which("dciodvfy"):
        assert run_dciodvfy(tmp_path / "sr.dcm")[0] == []
    assert hd.sr.srread(tmp_path / "sr.dcm") == made["sr"]


def test_a_source_of_a_modality_that_no_chest_film_has_is_another() -> None:
    from monai_causal.dicom.objects.library import image_library

    header = projection().header
    header.Modality = "PX"
    (group,) = image_library(header).ContentSequence
    assert described(group.ContentSequence[0])[0] == "OT"
