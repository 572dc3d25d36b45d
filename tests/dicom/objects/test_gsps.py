# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="extra 'dicom' is not installed")

import pydicom

from monai_causal.dicom.geometry import Orientation
from monai_causal.dicom.objects.gsps import turning
from monai_causal.dicom.objects.uids import encoded
from monai_causal.dicom.objects.writing import build_objects
from monai_causal.dicom.projection import read_projection
from tests.dicom.encodings import ENCODINGS, lut, modality, picture, radiograph, reference, written
from tests.dicom.objects.samples import HEART, WORDS, concepts, content, laid, projection, rectangle, source


def state(shown: Any, **values: Any) -> Any:
    made = build_objects(shown, content(**values), kinds=("gsps",))["gsps"]
    return pydicom.dcmread(BytesIO(encoded(made)))


def applied(made: Any, cells: Any) -> np.ndarray:
    """What a viewer shows that applies the state to an image's pixel data: grey, and turned. The slow way."""
    ds = pydicom.Dataset()
    for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"):
        ds[keyword] = cells[keyword]
    ds.PhotometricInterpretation = "MONOCHROME2"  # the state's presentation LUT says all about polarity
    for keyword in ("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"):
        if keyword in made:
            ds[keyword] = made[keyword]
    (item,) = made.SoftcopyVOILUTSequence
    for keyword in ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"):
        if keyword in item:
            ds[keyword] = item[keyword]
    ds.PresentationLUTShape = made.PresentationLUTShape
    shown = reference(ds)
    turned = np.rot90(shown, -made.ImageRotation // 90)
    return turned[:, ::-1] if made.ImageHorizontalFlip == "Y" else turned


@pytest.mark.parametrize("words", WORDS)
def test_the_state_shows_the_projection_that_was_explained(words: str) -> None:
    shown = projection(words)
    np.testing.assert_allclose(applied(state(shown), source(words)), shown.pixels, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        *("MONOCHROME1, window", "DX MONOCHROME1, INVERSE", "rescale, slope 1.5", "signed", "VOI LUT of 12 bits"),
        *("LINEAR_EXACT", "SIGMOID", "modality LUT", "VOI LUT, misleading window"),
    ],
)
def test_the_grey_is_the_projections_whatever_the_file_says(name: str) -> None:
    ds = ENCODINGS[name][0](picture())
    shown = read_projection(written(ds))
    empty = content(concepts=(), chosen=None, heat=None)
    made = build_objects(shown, empty, kinds=("gsps",))["gsps"]
    np.testing.assert_allclose(applied(made, ds), shown.pixels, atol=1e-6)


def test_without_a_window_the_percentiles_stand_in_for_one() -> None:
    ds = source(WindowCenter=None, WindowWidth=None)
    shown = projection(WindowCenter=None, WindowWidth=None)
    assert shown.provenance.voi == "percentile"
    np.testing.assert_allclose(applied(state(shown), ds), shown.pixels, atol=1e-6)


@pytest.mark.parametrize("words", WORDS)
def test_all_of_the_picture_is_displayed_corner_to_corner(words: str) -> None:
    made = state(projection(words))
    (area,) = made.DisplayedAreaSelectionSequence
    upper = rectangle(((0, 1), (0, 1)))
    for corner, mask in (("TopLeft", upper), ("BottomRight", upper[::-1, ::-1])):
        ((row, column),) = np.argwhere(laid(mask, words))
        assert list(area[f"DisplayedArea{corner}HandCorner"].value) == [column + 1, row + 1]
    assert area.PresentationSizeMode == "SCALE TO FIT"
    # between rows, then columns of the stored picture
    assert list(area.PresentationPixelSpacing) == list(source(words).ImagerPixelSpacing)


@pytest.mark.parametrize("orientation", Orientation)
def test_a_turning_is_a_rotation_and_a_flip_after_it(orientation: Orientation) -> None:
    degrees, flipped = turning(orientation)
    grid = np.arange(6).reshape(2, 3)
    for _ in range(degrees // 90):
        grid = np.array([list(row) for row in zip(*grid[::-1], strict=True)])  # clockwise
    grid = np.array([row[::-1] for row in grid]) if flipped else grid
    np.testing.assert_array_equal(grid, orientation.apply(np.arange(6).reshape(2, 3)))


@pytest.mark.parametrize("words", WORDS[::3])
def test_box_and_outline_of_the_chosen_concept_in_stored_pixels(words: str) -> None:
    made = state(projection(words))
    (annotation,) = made.GraphicAnnotationSequence
    box, outline = annotation.GraphicObjectSequence
    assert (box.GraphicType, box.GraphicAnnotationUnits) == ("POLYLINE", "PIXEL")
    corners = np.array(box.GraphicData).reshape(-1, 2)
    rows, columns = np.nonzero(laid(rectangle(HEART), words))
    assert corners.min(0).tolist() == [columns.min(), rows.min()]
    assert corners.max(0).tolist() == [columns.max() + 1, rows.max() + 1]
    # the missing corner pixel is less than the tolerance away
    points = np.array(outline.GraphicData).reshape(-1, 2)
    assert outline.NumberOfGraphicPoints == len(points)
    assert points.min(0).tolist() == corners.min(0).tolist()
    assert points.max(0).tolist() == corners.max(0).tolist()
    (reference,) = annotation.ReferencedImageSequence
    assert reference.ReferencedSOPInstanceUID == source().SOPInstanceUID


def test_the_words_say_what_and_that_it_is_no_diagnosis() -> None:
    (text,) = state(projection()).GraphicAnnotationSequence[0].TextObjectSequence
    first, second = text.UnformattedTextValue.split("\r\n")
    assert first == "MedFocus: the answer rests on: cardiac silhouette (1.25 nat)"
    assert second == "Explains a model's answer (yes); no diagnosis"
    none = state(projection(), chosen=None).GraphicAnnotationSequence[0]
    assert "rests on no single concept" in none.TextObjectSequence[0].UnformattedTextValue
    assert "GraphicObjectSequence" not in none


def test_a_long_outline_has_no_more_points_than_a_file_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_causal.dicom.objects.gsps._POINTS", 12)
    mask = rectangle(HEART)
    mask[25:, 15::4] = False
    heart = replace(concepts()[0], mask=mask)
    made = state(projection(), concepts=(heart, *concepts()[1:]))
    _box, outline = made.GraphicAnnotationSequence[0].GraphicObjectSequence
    assert 4 <= outline.NumberOfGraphicPoints <= 12


def test_the_shutter_of_the_image_is_the_states_too() -> None:
    edges = {
        "ShutterShape": "RECTANGULAR",
        "ShutterLeftVerticalEdge": 2,
        "ShutterRightVerticalEdge": 38,
        "ShutterUpperHorizontalEdge": 2,
        "ShutterLowerHorizontalEdge": 46,
    }
    made = state(projection(**edges))
    assert {keyword: made[keyword].value for keyword in edges} == edges
    assert made.ShutterPresentationValue == 0
    assert "ShutterShape" not in state(projection())


def test_lookup_tables_are_the_files_own() -> None:
    ds = radiograph(picture(), ModalityLUTSequence=[modality(lut(4095 - np.arange(4096), 0, 16))])
    made = build_objects(read_projection(written(ds)), content(concepts=(), chosen=None, heat=None), kinds=("gsps",))[
        "gsps"
    ]
    assert made.ModalityLUTSequence[0].LUTData == ds.ModalityLUTSequence[0].LUTData
    assert "RescaleSlope" not in made
