# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")

import highdicom as hd
import pydicom

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.objects.uids import encoded
from monai_causal.dicom.objects.writing import build_objects
from monai_causal.dicom.safety import open_dicom
from tests.dicom.objects.samples import concepts, content, projection, source


@pytest.fixture
def again(built: dict[Any, Any], tmp_path: Path) -> Any:
    path = tmp_path / "seg.dcm"
    path.write_bytes(encoded(built["seg"]))
    return hd.seg.segread(path)


def test_overlapping_and_empty_concepts_are_read_back_as_they_were(again: Any) -> None:
    masks = [one.mask for one in concepts()[:3]]
    assert (masks[0] & masks[1]).any()
    assert not masks[2].any()
    pixels = again.get_pixels_by_source_instance(
        [source().SOPInstanceUID], segment_numbers=[1, 2, 3], assert_missing_frames_are_empty=True
    )
    np.testing.assert_array_equal(pixels[0], np.stack(masks, -1))
    assert again.pixel_array.shape == (3, *masks[0].shape)
    assert again.SegmentationType == "BINARY"


def test_a_group_is_no_segment_and_each_segment_says_what_it_is(again: Any) -> None:
    heart, lung, angle = (again.get_segment_description(number) for number in (1, 2, 3))
    assert again.number_of_segments == 3
    assert [one.segment_label for one in (heart, lung, angle)] == [one.name for one in concepts()[:3]]
    for one in (heart, lung, angle):
        category = one.segmented_property_category
        assert (category.scheme_designator, category.value) == ("SCT", "91723000")
        assert one.SegmentAlgorithmType == "AUTOMATIC"
        assert one.SegmentAlgorithmName == "network"
    assert heart.segmented_property_type.value == "80891009"
    assert "SegmentedPropertyTypeModifierCodeSequence" not in heart.SegmentedPropertyTypeCodeSequence[0]
    (side,) = lung.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence
    assert (side.CodeValue, side.CodeMeaning) == ("24028007", "Right")
    assert angle.SegmentedPropertyTypeCodeSequence[0].LongCodeValue == "costophrenic-angle"
    (region,) = angle.AnatomicRegionSequence
    assert region.CodeValue == "3120008"
    assert region.AnatomicRegionModifierSequence[0].CodeValue == "7771000"
    assert angle.SegmentDescription == "not found"
    colours = [tuple(one.RecommendedDisplayCIELabValue) for one in (heart, lung, angle)]
    assert len(set(colours)) == 3


def test_the_private_scheme_is_declared(again: Any) -> None:
    (scheme,) = again.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99MCAUSAL"


def test_a_bare_picture_of_eight_bits_will_do() -> None:
    bare = projection(
        **dict.fromkeys(("PatientOrientation", "ImagerPixelSpacing", "Manufacturer", "PatientID", "StudyID"))
    )
    made = build_objects(bare, content(), kinds=("seg",))["seg"]
    assert not made.PatientOrientation
    assert made.PatientID is None or made.PatientID == ""
    (algorithm,) = made.ContributingEquipmentSequence
    assert algorithm.ManufacturerModelName == "MedFocus"


def test_nothing_found_at_all_is_a_segmentation_of_empty_frames() -> None:
    nothing = tuple(one for one in concepts() if one.box is None)
    made = build_objects(projection(), content(concepts=nothing, chosen=None), kinds=("seg",))["seg"]
    assert made.NumberOfFrames == 1
    assert not pydicom.dcmread(_file(made)).pixel_array.any()


def _file(dataset: Any) -> Any:
    from io import BytesIO

    return BytesIO(encoded(dataset))


def test_a_segmentation_beside_its_source_is_opened_and_a_damaged_one_is_refused(built: dict[Any, Any]) -> None:
    whole = encoded(built["seg"])
    opened = open_dicom(whole)
    assert opened.pixels is not None
    assert opened.pixels.bits_allocated == 1
    shorter = pydicom.dcmread(BytesIO(whole))
    shorter.PixelData = shorter.PixelData[:-2]
    with pytest.raises(DicomError, match="bytes of pixel data"):
        open_dicom(shorter)
    shorter.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"  # packed pixels are a segmentation's alone
    with pytest.raises(DicomError, match="1 bits stored of 1 allocated"):
        open_dicom(shorter)
