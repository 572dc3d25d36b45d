# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")

import highdicom as hd
import pydicom

from monai_causal.dicom.geometry import Orientation
from monai_causal.dicom.objects import CAVEAT
from monai_causal.dicom.objects.sc import turned_orientation
from monai_causal.dicom.objects.uids import encoded
from monai_causal.dicom.objects.writing import build_objects
from tests.dicom.objects.samples import WORDS, content, laid, projection, source


def test_the_picture_is_read_back_by_both_libraries(built: dict[Any, Any]) -> None:
    again = pydicom.dcmread(BytesIO(encoded(built["sc"])))
    np.testing.assert_array_equal(again.pixel_array, content().picture)
    frame = hd.imread(BytesIO(encoded(built["sc"]))).get_stored_frame(1)
    np.testing.assert_array_equal(frame, content().picture)
    assert encoded(again) == encoded(built["sc"])


def test_what_it_says_of_itself(built: dict[Any, Any]) -> None:
    made = built["sc"]
    assert made.ImageType == ["DERIVED", "SECONDARY"]
    assert made.ConversionType == "SYN"
    assert made.BurnedInAnnotation == "YES"  # question and answer are drawn on it
    assert made.ImageComments == CAVEAT
    assert made.LossyImageCompression == "00"
    (reference,) = made.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == source().SOPInstanceUID
    assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert "DateOfSecondaryCapture" not in made or made.DateOfSecondaryCapture == "20200102"


def test_what_was_lost_in_the_source_stays_lost() -> None:
    lossy = projection(
        LossyImageCompression="01", LossyImageCompressionRatio="12", LossyImageCompressionMethod="ISO_10918_1"
    )
    made = build_objects(lossy, content(), kinds=("sc",))["sc"]
    assert (made.LossyImageCompression, made.LossyImageCompressionRatio) == ("01", 12)
    assert made.LossyImageCompressionMethod == "ISO_10918_1"


def test_the_orientation_after_turning_is_upright_for_all_eight_ways() -> None:
    for words in WORDS:
        header = {"PatientOrientation": words.split("\\")}
        orientation = projection(words).orientation
        assert turned_orientation(header, orientation) == ("L", "F")
    assert {projection(words).orientation for words in WORDS} == set(Orientation)


@pytest.mark.parametrize("orientation", Orientation)
def test_words_follow_the_picture_whichever_way_it_is_laid(orientation: Orientation) -> None:
    """Compared with where the pixels of a picture laid by the words' meaning end."""
    grid = np.arange(6).reshape(2, 3)
    turned = turned_orientation({"PatientOrientation": ["L", "F"]}, orientation)
    np.testing.assert_array_equal(laid(grid, "\\".join(turned)), orientation.apply(grid))


@pytest.mark.parametrize("words", [[], ["L"], ["LE", "F"], ["", ""]])
def test_an_unknown_orientation_stays_unknown(words: list[str]) -> None:
    assert turned_orientation({"PatientOrientation": words}, Orientation.MIRROR) == ()
    assert turned_orientation({"PatientOrientation": ["RA", "FP"]}, Orientation.MIRROR) == ("LP", "FP")
