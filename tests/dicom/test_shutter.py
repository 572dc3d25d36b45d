# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from monai_causal.dicom.shutter import hidden_by

SHAPE = (6, 8)


def rectangle(what: str = "Shutter", top: Any = 2, bottom: Any = 5, left: Any = 3, right: Any = 7) -> dict[str, Any]:
    return {
        f"{what}Shape": "RECTANGULAR",
        f"{what}UpperHorizontalEdge": top,
        f"{what}LowerHorizontalEdge": bottom,
        f"{what}LeftVerticalEdge": left,
        f"{what}RightVerticalEdge": right,
    }


CIRCLE = {"CenterOfCircularShutter": [3, 4], "RadiusOfCircularShutter": 2}


@pytest.mark.parametrize("what", ["Shutter", "Collimator"])
def test_a_rectangle_shows_its_edges(what: Literal["Shutter", "Collimator"]) -> None:
    expected = np.ones(SHAPE, bool)
    expected[1:5, 2:7] = False
    hidden, remarks = hidden_by(rectangle(what), what, SHAPE)
    np.testing.assert_array_equal(hidden, expected)
    assert remarks == []


def test_a_circle() -> None:
    hidden, _ = hidden_by({"ShutterShape": "CIRCULAR", **CIRCLE}, "Shutter", SHAPE)
    expected = [[(row - 2) ** 2 + (column - 3) ** 2 > 4 for column in range(8)] for row in range(6)]
    np.testing.assert_array_equal(hidden, expected)


def test_a_polygon() -> None:
    corners = [1, 1, 1, 8, 5, 4]  # row, column
    hidden, _ = hidden_by({"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": corners}, "Shutter", SHAPE)
    assert hidden is not None
    assert ["".join(" x"[int(not pixel)] for pixel in row) for row in hidden] == [
        "xxxxxxxx",
        " xxxxxx ",
        "  xxxx  ",
        "  xxx   ",
        "   x    ",
        "        ",
    ]


def test_several_shapes_hide_what_any_of_them_hides() -> None:
    both = {**rectangle(), **CIRCLE, "ShutterShape": ["RECTANGULAR", "CIRCULAR"]}
    parts = [hidden_by({**both, "ShutterShape": shape}, "Shutter", SHAPE)[0] for shape in both["ShutterShape"]]
    np.testing.assert_array_equal(hidden_by(both, "Shutter", SHAPE)[0], np.logical_or(*parts))  # type: ignore[arg-type]


def test_a_shutter_that_hides_nothing_is_none() -> None:
    assert hidden_by(rectangle(top=0, bottom=7, left=0, right=9), "Shutter", SHAPE) == (None, [])
    assert hidden_by({}, "Shutter", SHAPE) == (None, [])


@pytest.mark.parametrize(
    "unusable",
    [
        rectangle(top=""),
        rectangle(left=-184, right=184),
        rectangle(bottom=1299),
        rectangle(top=5, bottom=2),
        {"ShutterShape": "CIRCULAR"},
        {"ShutterShape": "CIRCULAR", **CIRCLE, "CenterOfCircularShutter": [900, 900]},
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 1, 2, 2]},
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 1, 2, 2, 3, 999999999]},
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 1] * 2000},
        {"ShutterShape": "BITMAP"},
    ],
)
def test_an_unusable_shutter_is_ignored_with_a_remark(unusable: dict[str, Any]) -> None:
    hidden, remarks = hidden_by(unusable, "Shutter", SHAPE)
    assert hidden is None
    assert [remark.code for remark in remarks] == ["shutter-unusable"]


def test_a_collimator_in_another_unit_is_ignored() -> None:
    hidden, remarks = hidden_by(rectangle("Collimator", 907, 1299, -184, 184), "Collimator", (1955, 1841))
    assert hidden is None
    assert [remark.code for remark in remarks] == ["collimator-ignored"]
