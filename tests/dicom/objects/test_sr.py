# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")

import highdicom as hd

from monai_causal.dicom.objects import CAVEAT
from monai_causal.dicom.objects.uids import encoded
from monai_causal.dicom.objects.writing import build_objects
from tests.dicom.objects.samples import HEART, LUNG, content, projection


def meaning(item: Any) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def value(code: Any) -> str:
    return str(code.get("CodeValue") or code.LongCodeValue)


def groups(dataset: Any) -> list[dict[str, Any]]:
    """Measurement groups in plain words: content items by the meaning of their names."""
    (container,) = [item for item in dataset.ContentSequence if meaning(item) == "Imaging Measurements"]
    found = []
    for group in container.ContentSequence:
        said: dict[str, Any] = {}
        for item in group.ContentSequence:
            if item.ValueType == "NUM":
                measured = item.MeasuredValueSequence[0]
                said_of: Any = (float(measured.NumericValue), value(measured.MeasurementUnitsCodeSequence[0]))
            elif item.ValueType == "CODE":
                said_of = value(item.ConceptCodeSequence[0])
                if "ContentSequence" in item:
                    said_of = (said_of, value(item.ContentSequence[0].ConceptCodeSequence[0]))
            elif item.ValueType == "TEXT":
                said_of = item.TextValue
            elif item.ValueType == "UIDREF":
                said_of = item.UID
            else:
                said_of = item
            said.setdefault(meaning(item), []).append(said_of)
        found.append(said)
    return found


def boxes_in(dataset: Any) -> dict[str, Any]:
    """Upper left and lower right corner (column, row) of the box of each concept that has one."""
    boxes = {}
    for group in groups(dataset):
        for region in group.get("Image Region", []):
            points = np.array(region.GraphicData).reshape(-1, 2)
            assert region.GraphicType == "POLYLINE"
            assert points[0].tolist() == points[-1].tolist()
            boxes[group["Tracking Identifier"][0]] = (tuple(points.min(0)), tuple(points.max(0)))
    return boxes


def test_each_concept_has_its_effect_rank_box_and_place(built: dict[Any, Any]) -> None:
    said = groups(built["sr"])
    names = [group["Tracking Identifier"][0] for group in said]
    assert names == [*["cardiac silhouette"] * 2, *["right lung"] * 2, "left costophrenic angle", "pair"]
    heart, heart_outline, lung, lung_outline, angle, pair = said
    effect = "Drop of the answer's log-probability when this is replaced"
    rank = "Rank of the effect, 1 is the largest"
    effects = [[(1.25, "{nat}")], None, [(-0.5, "{nat}")], None, None, [(1.0, "{nat}")]]
    assert [group.get(effect) for group in said] == effects
    assert [group.get(rank) for group in said] == [[(1.0, "1")], None, [(3.0, "1")], None, None, [(2.0, "1")]]
    assert [group.get("The answer rests on this") for group in said] == [["373066001"], *[None] * 5]
    assert heart["Finding Site"] == ["80891009"]
    assert lung["Finding Site"] == lung_outline["Finding Site"] == [("39607008", "24028007")]
    assert angle["Finding Site"] == [("costophrenic-angle", "7771000"), ("3120008", "7771000")]
    assert pair["Finding Site"] == ["80891009", ("39607008", "24028007")]
    assert angle["Outline"] == ["no-outline"]
    assert "Image Region" not in angle
    corners = {
        name: ((box[1][0], box[0][0]), (box[1][1], box[0][1]))
        for name, box in (("cardiac silhouette", HEART), ("right lung", LUNG), ("pair", ((4, 40), (2, 30))))
    }
    assert boxes_in(built["sr"]) == corners
    assert heart_outline["Confidence of the outline"] == [(0.9, "1")]
    assert heart["Tracking Unique Identifier"] == heart_outline["Tracking Unique Identifier"]
    assert heart["Tracking Unique Identifier"][0] == built["seg"].SegmentSequence[0].TrackingUID


def test_segments_are_referred_to_by_frame_alone_and_the_source_by_none(built: dict[Any, Any]) -> None:
    """What highdicom writes is wrong: frame and segment exclude each other, a source of one frame has no frame 2."""
    for place, group in ((1, groups(built["sr"])[1]), (2, groups(built["sr"])[3])):
        (segment,) = group["Referenced Segmentation Frame"]
        reference = segment.ReferencedSOPSequence[0]
        assert reference.ReferencedSOPInstanceUID == built["seg"].SOPInstanceUID
        assert reference.ReferencedFrameNumber == place
        assert "ReferencedSegmentNumber" not in reference
        frame = built["seg"].PerFrameFunctionalGroupsSequence[place - 1]
        assert frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == place
        (image,) = group["Source Image for Segmentation"]
        assert "ReferencedFrameNumber" not in image.ReferencedSOPSequence[0]


def evaluations(dataset: Any) -> list[tuple[str, Any]]:
    (container,) = [item for item in dataset.ContentSequence if meaning(item) == "Qualitative Evaluations"]
    return [
        (meaning(item), item.TextValue if item.ValueType == "TEXT" else value(item.ConceptCodeSequence[0]))
        for item in container.ContentSequence
    ]


def test_question_answer_and_finding_with_the_warning_first(built: dict[Any, Any]) -> None:
    said = evaluations(built["sr"])
    assert said[:-1] == [
        ("Comment", CAVEAT),
        ("Question put to the model", "Is there evidence of cardiomegaly in the image?"),
        ("Answer of the model", "Ja, größer \u2013 yes"),
        ("What the answer says", "373066001"),
        ("Finding that was asked about", "287272002"),
        ("Concept that the answer rests on", "cardiac silhouette"),
        ("Comment", "one concept was not found"),
    ]
    assert said[-1][0] == "Configuration of the run"
    assert json.loads(said[-1][1]) == {"tau": 0.75, "masking": "zero"}
    assert "no diagnosis" in CAVEAT
    # A finding that was asked about is nowhere written as a finding.
    names = {value(item.ConceptNameCodeSequence[0]) for item in built["sr"].ContentSequence}
    assert "121071" not in names


@pytest.mark.parametrize(("reading", "code"), [("no", "373067005"), ("unclear", "unclear")])
def test_other_answers_and_no_concept(reading: str, code: str) -> None:
    made = build_objects(projection(), content(reading=reading, chosen=None, finding=None, notes=()), kinds=("sr",))[
        "sr"
    ]
    said = dict(evaluations(made))
    assert said["What the answer says"] == code
    assert said["Concept that the answer rests on"] == "no-concept"
    assert "Finding that was asked about" not in said
    assert not any("The answer rests on this" in group for group in groups(made))
    assert not any("Referenced Segmentation Frame" in group for group in groups(made))  # without a segmentation


def test_a_question_with_odd_characters_is_written_all_the_same() -> None:
    asked = "Left\\right?\nWhat\x00 \u5fc3"
    made = build_objects(projection(), content(question=asked), kinds=("sr",))["sr"]
    assert dict(evaluations(made))["Question put to the model"] == "Left\\right?\nWhat  \u5fc3"
    assert made.SeriesDescription == "MedFocus: Left/right? What \u5fc3"


def test_the_algorithm_is_named_with_digests(built: dict[Any, Any]) -> None:
    heart = groups(built["sr"])[0]
    assert heart["Algorithm Name"] == ["MedFocus"]
    assert heart["Algorithm Version"] == ["0.1.0"]
    assert heart["Algorithm Parameters"] == [
        "model: demo",
        f"SHA-256 of the model: {'ab' * 32}",
        f"SHA-256 of the configuration: {content().configuration_digest}",
    ]
    assert built["sr"].CompletionFlag == "COMPLETE"
    assert built["sr"].VerificationFlag == "UNVERIFIED"


def test_highdicom_reads_it_back(built: dict[Any, Any], tmp_path: Path) -> None:
    path = tmp_path / "sr.dcm"
    path.write_bytes(encoded(built["sr"]))
    again = hd.sr.srread(path)
    planar = again.content.get_planar_roi_measurement_groups()
    assert len(planar) == 5
    (heart, _) = again.content.get_planar_roi_measurement_groups(
        tracking_uid=built["seg"].SegmentSequence[0].TrackingUID
    )
    assert heart.get_measurements()[0].value == 1.25
    assert len(again.content.get_image_measurement_groups()) == 1
    assert again == built["sr"]


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dsrdump is not installed (Debian: dcmtk)")
def test_dsrdump_reads_it(built: dict[Any, Any], tmp_path: Path) -> None:
    path = tmp_path / "sr.dcm"
    path.write_bytes(encoded(built["sr"]))
    done = subprocess.run(["dsrdump", "--print-all-codes", str(path)], capture_output=True, text=True)
    assert done.returncode == 0
    said = done.stdout + done.stderr
    # The one remark is on the program's own checks of texts, which do not know UTF-8.
    remarks = [line for line in said.splitlines() if line.startswith(("W:", "E:"))]
    assert remarks == ["W: The VR checker does not support this Specific Character Set: ISO_IR 192"] * len(remarks)
    assert '"Is there evidence of cardio' in said
    assert said.count("Measurement Group") == 6
