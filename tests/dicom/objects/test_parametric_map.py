# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")

import pydicom

from monai_causal.dicom.objects.parametric_map import SYNTHETIC
from monai_causal.dicom.objects.uids import encoded
from monai_causal.dicom.objects.writing import build_objects, write_results
from tests.dicom.objects.samples import content, projection, source


def test_real_numbers_are_read_back_bit_by_bit(built: dict[Any, Any]) -> None:
    again = pydicom.dcmread(BytesIO(encoded(built["pm"])))
    heat = content().heat
    assert heat is not None
    assert again.pixel_array.dtype == np.float32
    np.testing.assert_array_equal(again.pixel_array, heat)
    (mapping,) = again.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)
    assert mapping.DoubleFloatRealWorldValueFirstValueMapped == heat.min()
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == heat.max()
    (quantity,) = mapping.QuantityDefinitionSequence
    assert quantity.ConceptCodeSequence[0].CodeValue == "130404"
    assert again.ContentLabel == "HEATMAP"


def test_the_frame_of_reference_is_made_up_and_said_to_be(built: dict[Any, Any]) -> None:
    made = built["pm"]
    assert made.ImageComments == SYNTHETIC
    assert "FrameOfReferenceUID" not in source()
    assert (
        made.FrameOfReferenceUID
        != build_objects(projection(), content(answer="No"), kinds=("pm",))["pm"].FrameOfReferenceUID
    )
    shared = made.SharedFunctionalGroupsSequence[0]
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [0.25, 0.2]
    assert list(shared.PlaneOrientationSequence[0].ImageOrientationPatient) == [1, 0, 0, 0, 0, -1]


def test_a_spacing_that_is_made_up_is_said_to_be() -> None:
    made = build_objects(projection(ImagerPixelSpacing=None, PixelSpacing=[0, 0]), content(), kinds=("pm",))["pm"]
    assert made.ImageComments == f"{SYNTHETIC}; the pixel spacing of 1 mm is made up as well"
    assert list(made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing) == [1, 1]


def test_a_constant_map_is_written() -> None:
    flat = np.full_like(content().heat, 0.5)
    made = build_objects(projection(), content(heat=flat), kinds=("pm",))["pm"]
    np.testing.assert_array_equal(made.pixel_array, flat)


def test_no_map_is_written_unless_asked_for(tmp_path: Any) -> None:
    assert [one.kind for one in write_results(projection(), content(), tmp_path)] == ["seg", "sr", "sc", "gsps"]
