# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_causal.data.readers import Polygons, ReadError, read_label, read_pair
from tests.data.datasets.trees import picture

TRIANGLE = ((1.0, 1.0), (5.0, 1.0), (1.0, 5.0))


def drawn(*outlines: tuple, size: tuple[int, int] = (6, 7)) -> list[str]:
    return ["".join("#" if value else "." for value in row) for row in read_label(Polygons(outlines, size)).tolist()]


def test_a_triangle_by_hand() -> None:
    assert drawn(TRIANGLE) == [".......", ".#####.", ".####..", ".###...", ".##....", ".#....."]


def test_x_runs_along_columns_and_a_corner_lies_in_the_pixel_that_holds_it() -> None:
    assert drawn(((2.0, 0.9), (5.99, 0.0), (5.2, 1.99), (2.99, 1.0))) == ["..####.", "..####.", *["......."] * 4]


def test_areas_are_joined_and_cut_at_the_border() -> None:
    corner = ((-3.0, -3.0), (1.5, -3.0), (1.5, 1.5), (-3.0, 1.5))
    other = ((1.0, 1.0), (3.0, 1.0), (3.0, 2.0), (1.0, 2.0))
    assert drawn(corner, other, size=(4, 5)) == ["##...", "####.", ".###.", "....."]
    assert drawn(size=(1, 2)) == [".."]


def test_the_size_may_be_that_of_a_picture(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (6, 9))
    path = str(tmp_path / "a.png")
    image, label = read_pair({"image": path, "label": Polygons((TRIANGLE,), path), "label_type": "binary"})
    assert image.shape[1:] == label.shape == (6, 9)
    assert label.sum() == 15
    assert label.dtype == torch.int64
    with pytest.raises(ReadError, match=r"item 3 cannot be read \(FileNotFoundError\)") as caught:
        read_label(Polygons((TRIANGLE,), str(tmp_path / "Surname.png")), name="item 3")
    assert "Surname" not in str(caught.value)
    with pytest.raises(ReadError, match=r"the image is \(6, 9\) and its label \(6, 7\)"):
        read_pair({"image": path, "label": Polygons((TRIANGLE,), (6, 7))})


@pytest.mark.parametrize(
    "outline", [((1.0, 1.0), (2.0, 2.0)), ((1.0, 1.0, 1.0),) * 3, ((1.0, float("nan")),) * 3, ((1.0, 1e999),) * 3, ()]
)
def test_outlines_that_are_none(outline: tuple) -> None:
    with pytest.raises(ReadError, match="outline 1 of its label is not a list of three or more finite"):
        drawn(TRIANGLE, outline)


@pytest.mark.parametrize("shift", [(7, 0), (0, 6), (-6, 0), (0, -6)])
def test_an_outline_outside_its_picture(shift: tuple[int, int]) -> None:
    moved = tuple((x + shift[0] - (shift[0] > 0), y + shift[1] - (shift[1] > 0)) for x, y in TRIANGLE)
    with pytest.raises(ReadError, match="outline 0 of its label lies outside its picture of 6 rows and 7 columns"):
        drawn(moved)
