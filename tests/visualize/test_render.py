# SPDX-License-Identifier: Apache-2.0
"""Pictures: the right colour in the right corner."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np

from monai_causal.visualize.render import Outline, Panel, save_panels


def _picture(tmp_path: Path, panel: Panel, caption: str = "") -> np.ndarray:
    """The inside of the only panel, ``(rows, columns, 3)`` in [0, 1], cut out by its uniform grey level of 0.5."""
    pixels = matplotlib.image.imread(save_panels(tmp_path / "picture.png", [panel], caption))[..., :3]
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
    grey = (np.abs(pixels - GREY) < 0.01).all(-1)
    # Smoothed letters have a few grey pixels too; the image has whole rows and columns of them.
    rows, columns = (np.flatnonzero(grey.mean(axis) > 0.1) for axis in (1, 0))
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


GREY = 128 / 255
IMAGE = np.array([[0.0, 1.0], [0.5, 0.5]]).repeat(32, 0).repeat(64, 1)
"""Black and white above a band of mid grey."""


def _corner(picture: np.ndarray, row: float, column: float) -> np.ndarray:
    return picture[int(row * (len(picture) - 1)), int(column * (picture.shape[1] - 1))]


def test_support_is_red_suppression_is_blue_and_nothing_stays_grey(tmp_path: Path) -> None:
    flat = np.full((64, 64), 0.5)
    flat[0, 0], flat[0, 1] = 0.0, 1.0  # so that mid grey is drawn as mid grey
    heat = np.zeros((64, 64))
    heat[8:24, 8:24] = -2.0
    heat[40:56, 40:56] = 1.0
    picture = _picture(tmp_path, Panel(flat, "", heat, "Dice points"))
    support, suppression = _corner(picture, 0.25, 0.25), _corner(picture, 0.75, 0.75)
    assert support[0] > support[2] + 0.2
    assert suppression[2] > suppression[0] + 0.1
    # A weaker effect is drawn fainter on a scale that is the same on both sides.
    assert np.ptp(suppression) < np.ptp(support)
    for nothing in (_corner(picture, 0.25, 0.75), _corner(picture, 0.75, 0.25)):
        np.testing.assert_allclose(nothing, GREY, atol=0.01)


def test_the_first_row_is_on_top_and_the_first_column_on_the_left(tmp_path: Path) -> None:
    pixels = matplotlib.image.imread(save_panels(tmp_path / "picture.png", [Panel(IMAGE, "")]))[..., :3]
    rows, columns = np.nonzero((np.abs(pixels - GREY) < 0.01).all(-1))
    height = rows.max() - rows.min() + 1  # of the grey lower half
    above = pixels[rows.min() - height // 2]
    np.testing.assert_allclose(above[int(columns.min() + 0.25 * np.ptp(columns))], 0.0, atol=0.01)
    np.testing.assert_allclose(above[int(columns.min() + 0.75 * np.ptp(columns))], 1.0, atol=0.01)


def test_a_map_without_effects_is_drawn_as_the_plain_image(tmp_path: Path) -> None:
    flat = np.full((16, 16), 0.5)
    flat[0, 0], flat[0, 1] = 0.0, 1.0
    picture = _picture(tmp_path, Panel(flat, "", np.zeros((16, 16))))
    np.testing.assert_allclose(picture[len(picture) // 4 :], GREY, atol=0.01)


def test_an_outline_follows_the_border_of_its_mask(tmp_path: Path) -> None:
    flat = np.full((64, 64), 0.5)
    flat[0, 0], flat[0, 1] = 0.0, 1.0
    mask = np.zeros((64, 64), dtype=bool)
    mask[16:48, 16:48] = True
    picture = _picture(tmp_path, Panel(flat, "", outlines=[Outline(mask, "red", "mask")]))
    drawn = (picture[..., 0] > picture[..., 1] + 0.2) & (picture[..., 0] > picture[..., 2] + 0.2)
    rows, columns = np.nonzero(drawn)
    height, width = drawn.shape
    np.testing.assert_allclose([rows.min() / height, rows.max() / height], [0.25, 0.75], atol=0.02)
    np.testing.assert_allclose([columns.min() / width, columns.max() / width], [0.25, 0.75], atol=0.02)
    assert not drawn[int(0.4 * height) : int(0.6 * height), int(0.4 * width) : int(0.6 * width)].any()
