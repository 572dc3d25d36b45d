# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from monai_causal.dicom.geometry import Orientation
from monai_causal.dicom.position import Spacing, laterality_of, orientation_of, spacing_of, view_of

OPPOSITE = dict(zip("LRFHAP", "RLHFPA", strict=True))


def stored(across: str, down: str) -> np.ndarray:
    """Four pixels at the ends of the two directions: what they show is the name of the end."""
    picture = np.full((3, 3), " ")
    picture[1, 2], picture[1, 0], picture[2, 1], picture[0, 1] = across, OPPOSITE[across], down, OPPOSITE[down]
    return picture


@pytest.mark.parametrize(("across", "down"), [*itertools.product("LR", "FH"), *itertools.product("FH", "LR")])
def test_a_frontal_picture_comes_upright_from_all_eight_orientations(across: str, down: str) -> None:
    orientation, remarks = orientation_of({"PatientOrientation": [across, down]}, "PA")
    shown = orientation.apply(stored(across, down))
    assert (shown[1, 2], shown[2, 1], remarks) == ("L", "F", [])


@pytest.mark.parametrize(("across", "down"), [*itertools.product("AP", "FH"), *itertools.product("FH", "AP")])
def test_a_lateral_picture_gets_its_feet_down_and_no_mirror_image(across: str, down: str) -> None:
    orientation, remarks = orientation_of({"PatientOrientation": [across, down]}, "LL")
    assert orientation.apply(stored(across, down))[2, 1] == "F"
    assert not orientation.mirrors
    assert remarks == []


def test_all_eight_orientations_occur() -> None:
    pairs = [*itertools.product("LR", "FH"), *itertools.product("FH", "LR")]
    assert {orientation_of({"PatientOrientation": pair})[0] for pair in pairs} == set(Orientation)


@pytest.mark.parametrize(
    ("header", "orientation", "code"),
    [
        ({}, "IDENTITY", "orientation-missing"),
        ({"PatientOrientation": ""}, "IDENTITY", "orientation-missing"),
        ({"PatientOrientation": ["", ""]}, "IDENTITY", "orientation-missing"),
        ({"PatientOrientation": ["R"]}, "IDENTITY", "orientation-unusable"),
        ({"PatientOrientation": ["R", "L"]}, "IDENTITY", "orientation-unusable"),
        ({"PatientOrientation": ["F", "H"]}, "IDENTITY", "orientation-unusable"),
        ({"PatientOrientation": ["L", "P"]}, "IDENTITY", "orientation-unusable"),
        (
            {"PatientOrientation": ["R", "F"], "AnatomicalOrientationType": "QUADRUPED"},
            "IDENTITY",
            "quadruped",
        ),
        ({"PatientOrientation": ["RA", "FP"]}, "MIRROR", None),
        ({"PatientOrientation": ["A", "F"]}, "IDENTITY", "orientation-contradicts-view"),
    ],
)
def test_orientations_that_are_doubtful(header: dict[str, Any], orientation: str, code: str | None) -> None:
    found, remarks = orientation_of(header, "PA")
    assert found is Orientation[orientation]
    assert [remark.code for remark in remarks] == ([code] if code else [])


@pytest.mark.parametrize(
    ("header", "view"),
    [
        ({"ViewPosition": "AP"}, "AP"),
        ({"ViewPosition": " pa "}, "PA"),
        ({"ViewPosition": "LL", "ViewCodeSequence": [{"CodeValue": "272479007"}]}, "PA"),
        ({"ViewPosition": "LL", "ViewCodeSequence": [{"CodeValue": "R-10206"}]}, "AP"),
        ({"ViewPosition": "LL", "ViewCodeSequence": [{"CodeValue": "1"}]}, "LL"),
        ({"ViewPosition": "AP", "ViewCodeSequence": [{"CodeValue": "R-10202"}]}, "AP"),
        ({"ViewPosition": "LL", "ViewCodeSequence": [{"CodeValue": "R-10202"}]}, "FRONTAL"),
        ({"ViewPosition": "RL", "ViewCodeSequence": [{"CodeValue": "399067008"}]}, "RL"),
    ],
)
def test_views(header: dict[str, Any], view: str) -> None:
    assert view_of(header) == (view, [])


def test_view_codes_are_those_of_pydicoms_dictionary() -> None:
    codes = pytest.importorskip("pydicom.sr.codedict", reason="extra 'dicom' is not installed").codes.CID4010
    for name, view in {
        "Frontal": "FRONTAL",
        "PosteroAnterior": "PA",
        "AnteroPosterior": "AP",
        "LateralProjection": "LAT",
        "LeftLateral": "LL",
        "RightLateral": "RL",
    }.items():
        assert view_of({"ViewCodeSequence": [{"CodeValue": getattr(codes, name).value}]}) == (view, [])


@pytest.mark.parametrize("position", ["", "JANE DOE"])
def test_a_view_that_is_none_is_not_repeated(position: str) -> None:
    view, remarks = view_of({"ViewPosition": position})
    assert view is None
    assert [remark.code for remark in remarks] == ["view-missing"]
    assert "JANE" not in str(remarks)


def test_laterality() -> None:
    assert laterality_of({"ImageLaterality": "L", "Laterality": "R"}) == "L"
    assert laterality_of({"ImageLaterality": "", "Laterality": "r"}) == "R"
    assert laterality_of({"Laterality": "X"}) is None


@pytest.mark.parametrize(
    ("header", "spacing", "codes"),
    [
        ({"ImagerPixelSpacing": [0.2, 0.2]}, Spacing((0.2, 0.2), "detector", (0.2, 0.2)), []),
        (
            {"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.2, 0.2]},
            Spacing((0.2, 0.2), "detector", (0.2, 0.2)),
            [],
        ),
        (
            {"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.16, 0.16]},
            Spacing((0.16, 0.16), "calibrated", (0.2, 0.2)),
            [],
        ),
        (
            {
                "ImagerPixelSpacing": [0.2, 0.2],
                "PixelSpacing": [0.2, 0.2],
                "PixelSpacingCalibrationType": "FIDUCIAL",
            },
            Spacing((0.2, 0.2), "calibrated", (0.2, 0.2)),
            [],
        ),
        ({"PixelSpacing": [0.2, 0.2]}, Spacing((0.2, 0.2), "unspecified"), ["unspecified-spacing"]),
        ({"NominalScannedPixelSpacing": [0.1, 0.1]}, Spacing((0.1, 0.1), "film"), ["scanned-film"]),
        ({}, Spacing(), ["no-spacing"]),
        ({"PixelSpacing": [0.0002, 0.0002]}, Spacing(), ["implausible-spacing", "no-spacing"]),
        ({"ImagerPixelSpacing": [0.2, 0]}, Spacing(), ["implausible-spacing", "no-spacing"]),
        ({"ImagerPixelSpacing": [0.2]}, Spacing(), ["no-spacing"]),
        (
            {"ImagerPixelSpacing": [0.2, 0.1]},
            Spacing((0.2, 0.1), "detector", (0.2, 0.1)),
            ["anisotropic-spacing"],
        ),
        (
            {"ImagerPixelSpacing": [0.2, 0.2], "DistanceSourceToDetector": 1800, "DistanceSourceToPatient": 1500},
            Spacing((0.2, 0.2), "detector", (0.2, 0.2), 1.2),
            [],
        ),
        (
            {"ImagerPixelSpacing": [0.2, 0.2], "EstimatedRadiographicMagnificationFactor": 0.5},
            Spacing((0.2, 0.2), "detector", (0.2, 0.2)),
            ["implausible-magnification"],
        ),
    ],
)
def test_spacings(header: dict[str, Any], spacing: Spacing, codes: list[str]) -> None:
    found, remarks = spacing_of(header)
    assert found == spacing
    assert [remark.code for remark in remarks] == codes


def test_the_patients_spacing_is_calibrated_or_magnified_or_unknown() -> None:
    assert Spacing((0.3, 0.4), "detector", (0.3, 0.4), 2.0).patient == (0.15, 0.2)
    assert Spacing((0.3, 0.4), "calibrated", (0.5, 0.5), 2.0).patient == (0.3, 0.4)
    assert Spacing((0.3, 0.4), "detector", (0.3, 0.4)).patient is None
    assert Spacing((0.3, 0.4), "unspecified", None, 2.0).patient is None


def test_a_quarter_turn_exchanges_rows_and_columns() -> None:
    spacing = Spacing((0.1, 0.2), "detector", (0.1, 0.2), 1.5)
    assert spacing.turned(Orientation.ROTATE_90) == Spacing((0.2, 0.1), "detector", (0.2, 0.1), 1.5)
    assert spacing.turned(Orientation.ROTATE_180) == spacing
    assert Spacing().turned(Orientation.TRANSPOSE) == Spacing()
