# SPDX-License-Identifier: Apache-2.0
"""What the browser is given: colours with their meaning, and slices with the way back to the voxel."""

from __future__ import annotations

import numpy as np
import pytest

from monai_causal.studio.pictures import (
    CLASS_COLOURS,
    MOST,
    Cut,
    colours_of_map,
    colours_of_picture,
    colours_of_segmentation,
)
from monai_causal.studio.segmentation import NOTHING


def rgba(packed: np.ndarray) -> np.ndarray:
    return packed.view(np.uint8).reshape(*packed.shape, 4)


def test_grey_stays_grey_and_colour_stays_colour() -> None:
    grey = rgba(colours_of_picture(np.array([[[0.0, 0.5, 1.0]]])))
    assert grey[0].tolist() == [[0, 0, 0, 255], [128, 128, 128, 255], [255, 255, 255, 255]]
    coloured = rgba(colours_of_picture(np.array([[[1.0]], [[0.0]], [[0.5]]])))
    assert coloured[0, 0].tolist() == [255, 0, 128, 255]


def test_support_is_red_suppression_blue_and_nothing_is_seen_through() -> None:
    shown = rgba(colours_of_map(np.array([[-2.0, 0.0, 2.0, np.nan]]), True, 2.0))[0]
    assert shown[0, 0] > shown[0, 2] + 50
    assert shown[2, 2] > shown[2, 0] + 50
    assert (shown[:, 3] > 0).tolist() == [True, False, True, False]
    assert (rgba(colours_of_map(np.zeros((1, 3)), True, 0.0))[..., 3] == 0).all()


def test_each_class_has_its_colour_and_nothing_has_none() -> None:
    shown = rgba(colours_of_segmentation(np.array([[NOTHING, 0, 1]])))[0]
    assert shown[0, 3] == 0
    for pixel, colour in zip(shown[1:], CLASS_COLOURS, strict=False):
        assert "#" + "".join(f"{part:02x}" for part in pixel[:3]) == colour


def test_no_more_pixels_are_sent_than_a_screen_shows() -> None:
    wide = np.where(np.indices((10, 5000)).sum(0) % 2, 1.0, -1.0)
    assert max(colours_of_map(wide, True, 1.0).shape) <= MOST
    assert len(np.unique(colours_of_map(wide, True, 1.0))) <= 2  # values are chosen, not mixed
    assert max(colours_of_picture(wide[None]).shape) <= MOST


@pytest.mark.parametrize(
    ("cut", "row", "column", "voxel"),
    [
        (Cut((4, 6)), 1.5, 5.9, (1, 5)),
        (Cut((4, 6)), 4.0, 0.0, None),
        (Cut((4, 6)), -0.1, 0.0, None),
        (Cut((4, 6, 8), 2, 7), 3.0, 5.0, (3, 5, 7)),
        (Cut((4, 6, 8), 0, 2), 3.0, 5.0, (2, 3, 5)),
        (Cut((4, 6, 8), 1, 2), 3.0, 5.0, (3, 2, 5)),
    ],
)
def test_a_place_on_a_slice_is_a_voxel(cut: Cut, row: float, column: float, voxel: tuple[int, ...] | None) -> None:
    assert cut.voxel(row, column) == voxel


def test_slices_hold_what_lies_on_them() -> None:
    volume = np.arange(2 * 4 * 6 * 8).reshape(2, 4, 6, 8)
    assert np.array_equal(Cut((4, 6, 8), 1, 5).of(volume), volume[:, :, 5])
    assert np.array_equal(Cut((4, 6, 8), 1, 5).of(volume[0]), volume[0, :, 5])
    box = ((1, 2), (3, 5), (4, 8))
    assert Cut((4, 6, 8), 1, 4).rectangle(box) == (1, 2, 4, 8)
    assert Cut((4, 6, 8), 1, 5).rectangle(box) is None
