# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from pydicom.dataset import Dataset

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.series_geometry import grid_of, is_slice
from monai_causal.dicom.study import Instance, slim
from tests.dicom.studies import ct_slice


def slices(*data_sets: Dataset) -> list[Instance]:
    return [
        Instance(place, f"{place:064d}", slim(ds), "", ds.SOPClassUID, True, lambda: None)
        for place, ds in enumerate(data_sets, start=1)
    ]


def test_slices_are_ordered_along_their_normal() -> None:
    grid = grid_of(slices(*(ct_slice(number, position) for number, position in ((1, 4.0), (2, 0.0), (3, 2.0)))))
    assert [one.number for one in grid.slices] == [2, 3, 1]
    assert (grid.shape, grid.regular) == ((5, 4, 3), True)
    assert grid.spacing == pytest.approx((0.61, 0.73, 2.0), abs=1e-6)


def test_one_slice_is_a_volume_without_a_step() -> None:
    grid = grid_of(slices(ct_slice(1, 0.0)))
    assert (grid.shape, grid.spacing) == ((5, 4, 1), (0.61, 0.73, None))


@pytest.mark.parametrize(
    ("positions", "problem"),
    [
        ([0, 2, 6, 8], r"2 mm apart, but 4 mm between file 2 \(0{12}\) and file 3 \(0{12}\): a slice is missing"),
        ([0, 2, 4.03, 6], "uneven"),
        ([0, 2, 2, 4], r"file 2 \(0{12}\) and file 3 \(0{12}\) lie at the same position"),
    ],
)
def test_uneven_steps_are_refused(positions: list[float], problem: str) -> None:
    found = slices(*(ct_slice(number, float(position)) for number, position in enumerate(positions)))
    with pytest.raises(DicomError, match=problem):
        grid_of(found)
    if "same" not in problem:
        assert not grid_of(found, irregular=True).regular


def test_rounded_positions_are_even() -> None:
    assert grid_of(slices(*(ct_slice(number, round(number * 5 / 3, 2)) for number in range(5)))).regular


def test_a_tilted_stack_is_refused() -> None:
    tilted = [ct_slice(number, 2.0 * number) for number in range(3)]
    for number, ds in enumerate(tilted):
        x, y, z = ds.ImagePositionPatient
        ds.ImagePositionPatient = [x, y, z + 0.3 * number]
    with pytest.raises(DicomError, match="tilted gantry"):
        grid_of(slices(*tilted))
    assert not grid_of(slices(*tilted), irregular=True).regular


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"PixelSpacing": ["0.73", "0.62"]}, "differ in rows, columns or pixel spacing"),
        ({"Rows": 5}, "differ in rows, columns or pixel spacing"),
        ({"ImageOrientationPatient": [1.0, 0, 0, 0, 0, -1]}, "lie in different planes"),
        ({"ImageOrientationPatient": [1.0, 0, 0, 1, 0, 0]}, "no two directions at right angles"),
        ({"ImageOrientationPatient": [2.0, 0, 0, 0, 1, 0]}, "no two directions at right angles"),
        ({"PixelSpacing": ["0", "0.61"]}, "no usable PixelSpacing"),
        ({"PixelSpacing": "0.61"}, "no usable PixelSpacing"),
    ],
)
def test_slices_of_different_grids_make_no_volume(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(DicomError, match=problem):
        grid_of(slices(ct_slice(1, 0.0), ct_slice(2, 2.0, **values)))


@pytest.mark.parametrize(
    "values", [{"NumberOfFrames": 2}, {"ImagePositionPatient": ""}, {"ImageOrientationPatient": []}]
)
def test_what_is_no_slice(values: dict[str, Any]) -> None:
    first, other = slices(ct_slice(1, 0.0), ct_slice(2, 2.0, **values))
    assert is_slice(first)
    assert not is_slice(other)
