# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from monai_causal.dicom.geometry import Orientation, Placement

SHAPES = [(5, 7), (7, 5), (1, 3), (6, 9)]
SIZES = [(5, 7), (7, 5), (11, 13), (4, 3), (15, 2), (21, 35)]
BOXES = [(start, stop) for start in range(9) for stop in range(start + 1, 10)]

every_orientation = pytest.mark.parametrize("orientation", Orientation)


def numbered(shape: tuple[int, int]) -> np.ndarray:
    return np.arange(1, shape[0] * shape[1] + 1).reshape(shape)


def mask_of(box: Any, shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[box[0][0] : box[0][1], box[1][0] : box[1][1]] = True
    return mask


def boxes_in(shape: tuple[int, int]) -> list[Any]:
    return [box for box in itertools.product(BOXES, BOXES) if box[0][1] <= shape[0] and box[1][1] <= shape[1]]


def test_the_eight_orientations_are_the_eight_ways_to_lay_a_picture() -> None:
    array = numbered((2, 3))
    quarter = [np.rot90(array, turns) for turns in range(4)]
    names = ("IDENTITY", "ROTATE_90", "ROTATE_180", "ROTATE_270")
    for name, turned in zip(names, quarter, strict=True):
        np.testing.assert_array_equal(Orientation[name].apply(array), turned)
    np.testing.assert_array_equal(Orientation.MIRROR.apply(array), np.fliplr(array))
    np.testing.assert_array_equal(Orientation.FLIP.apply(array), np.flipud(array))
    np.testing.assert_array_equal(Orientation.TRANSPOSE.apply(array), array.T)
    np.testing.assert_array_equal(Orientation.ANTITRANSPOSE.apply(array), np.rot90(array, 2).T)
    assert {orientation.name for orientation in Orientation if orientation.mirrors} == {
        "MIRROR",
        "FLIP",
        "TRANSPOSE",
        "ANTITRANSPOSE",
    }


@every_orientation
def test_an_orientation_has_an_inverse_and_two_make_one(orientation: Orientation) -> None:
    array = numbered((3, 5))
    np.testing.assert_array_equal(orientation.inverse.apply(orientation.apply(array)), array)
    assert orientation.shape((3, 5)) == orientation.apply(array).shape
    for other in Orientation:
        np.testing.assert_array_equal(orientation.then(other).apply(array), other.apply(orientation.apply(array)))


@every_orientation
@pytest.mark.parametrize("shape", SHAPES)
def test_a_box_turns_as_its_mask_does(orientation: Orientation, shape: tuple[int, int]) -> None:
    for box in boxes_in(shape):
        turned = orientation.box(box, shape)
        np.testing.assert_array_equal(mask_of(turned, orientation.shape(shape)), orientation.apply(mask_of(box, shape)))


@every_orientation
@pytest.mark.parametrize("shape", SHAPES)
def test_box_mask_and_map_go_to_the_view_and_back_where_it_is_not_smaller(
    orientation: Orientation, shape: tuple[int, int]
) -> None:
    for size in SIZES:
        turned = orientation.shape(shape)
        larger = (turned[0] + size[0], turned[1] + size[1])
        for resized in (turned, larger):
            placement = Placement(shape, orientation, resized, ((1, 2), (3, 0)))
            assert placement.view == (resized[0] + 3, resized[1] + 3)
            values = numbered(shape) * 0.5
            np.testing.assert_array_equal(placement.to_source(placement.to_view(values)), values)
            layers = np.stack([values, -values], axis=-1)
            np.testing.assert_array_equal(placement.to_source(placement.to_view(layers)), layers)
            for box in boxes_in(shape)[::5]:
                np.testing.assert_array_equal(
                    placement.to_source(placement.to_view(mask_of(box, shape))), mask_of(box, shape)
                )
                assert placement.to_source(placement.to_view(box)) == box


@every_orientation
@pytest.mark.parametrize("shape", SHAPES)
def test_box_mask_and_map_go_to_the_source_and_back_where_the_view_is_not_larger(
    orientation: Orientation, shape: tuple[int, int]
) -> None:
    turned = orientation.shape(shape)
    resized = (max(1, turned[0] - 2), max(1, turned[1] // 2))
    placement = Placement(shape, orientation, resized)
    values = numbered(resized)
    np.testing.assert_array_equal(placement.to_view(placement.to_source(values)), values)
    for box in boxes_in(resized):
        assert placement.to_view(placement.to_source(box)) == box


@every_orientation
@pytest.mark.parametrize("shape", SHAPES)
def test_the_mask_of_a_box_and_the_box_go_the_same_way(orientation: Orientation, shape: tuple[int, int]) -> None:
    for size in SIZES:
        placement = Placement(shape, orientation, size, ((0, 1), (2, 0)))
        for box in boxes_in(size)[::3]:
            moved = ((box[0][0], box[0][1]), (box[1][0] + 2, box[1][1] + 2))
            mask = placement.to_source(mask_of(moved, placement.view))
            found = placement.to_source(moved)
            if mask.any():
                np.testing.assert_array_equal(mask_of(found, shape), mask)
            else:  # too small to hold a centre: along that axis one pixel
                assert 1 in (found[0][1] - found[0][0], found[1][1] - found[1][0])
                assert mask_of(found, shape).any()


def test_a_map_is_brought_back_by_centres_as_written_slowly() -> None:
    placement = Placement((5, 7), Orientation.ROTATE_90, (9, 4), ((1, 1), (2, 3)))
    view = np.random.default_rng(0).random(placement.view)
    back = placement.to_source(view)
    for row, column in itertools.product(range(5), range(7)):
        # a quarter turn against the clock: the last column becomes the first row
        y, x = (7 - 1 - column + 0.5) * 9 / 7, (row + 0.5) * 4 / 5
        assert back[row, column] == view[int(y) + 1, int(x) + 2]


def test_what_reaches_into_the_padding_is_cut() -> None:
    placement = Placement((4, 4), padding=((2, 2), (3, 0)))
    assert placement.to_source(((0, 4), (0, 4))) == ((0, 2), (0, 1))
    with pytest.raises(ValueError, match="lies in the padding"):
        placement.to_source(((0, 2), (3, 7)))
    assert placement.to_view(np.ones((4, 4)))[:2].sum() == 0


def test_a_box_too_small_for_a_centre_becomes_the_pixel_it_lies_in() -> None:
    placement = Placement((3, 3), resized=(9, 9))
    assert placement.to_source(((0, 1), (8, 9))) == ((0, 1), (2, 3))
    assert placement.to_source(((3, 4), (4, 5))) == ((1, 2), (1, 2))


@every_orientation
def test_fit_shows_the_whole_source_as_large_as_possible(orientation: Orientation) -> None:
    for shape, size in itertools.product([(30, 20), (7, 19), (3000, 2500), (1, 900)], [(32, 32), (17, 40), (224, 224)]):
        placement = Placement.fit(shape, size, orientation)
        assert placement.view == size
        height, width = orientation.shape(shape)
        scale = min(size[0] / height, size[1] / width)
        assert placement.resized is not None
        for resized, old in zip(placement.resized, (height, width), strict=True):
            assert abs(resized - max(1, old * scale)) <= 0.5
        for before, after in placement.padding:
            assert 0 <= after - before <= 1
        assert Placement.fit(shape, size, orientation, keep_aspect=False).resized == size


def test_render_turns_resizes_and_pads() -> None:
    pixels = np.random.default_rng(1).random((6, 9)).astype(np.float32)
    plain = Placement((6, 9), Orientation.ROTATE_270, padding=((1, 0), (0, 2)))
    shown = plain.render(pixels, fill=0.25)
    np.testing.assert_array_equal(shown[1:, :-2], np.rot90(pixels, 3))
    assert (shown[0] == 0.25).all()
    assert (shown[:, -2:] == 0.25).all()
    # halves: by antialiased bilinear interpolation a ramp stays a ramp away from its ends
    ramp = np.tile(np.arange(16, dtype=np.float32), (4, 1))
    half = Placement((4, 16), resized=(2, 8)).render(ramp)
    np.testing.assert_allclose(half[:, 1:-1], np.tile(np.arange(6) * 2 + 2.5, (2, 1)), rtol=1e-6)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (((0, 0), (0, 1)), "start below stop"),
        (((2, 1), (0, 1)), "start below stop"),
        (((0, 1.5), (0, 1)), "whole numbers"),
        (((0, 9), (0, 1)), "within it"),
        (((-1, 2), (0, 1)), "within it"),
        (np.zeros((4, 5)), "the view is"),
    ],
)
def test_what_is_not_in_the_view_is_refused(found: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Placement((5, 4)).to_source(found)


def test_an_array_of_two_by_two_is_a_map_and_not_a_box() -> None:
    np.testing.assert_array_equal(Placement((2, 2)).to_source(np.array([[0, 1], [0, 1]])), [[0, 1], [0, 1]])


@pytest.mark.parametrize("size", [0, (3, 0), (-1, 4)])
def test_impossible_sizes_are_refused(size: Any) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        Placement.fit((3, 4), size)
    with pytest.raises(ValueError, match="1 or more"):
        Placement((3, 4), resized=(0, 4))
