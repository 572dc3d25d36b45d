# SPDX-License-Identifier: Apache-2.0
"""Pictures: the right colour in the right corner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from monai_causal.visualize.render import Outline, Panel, common_scale, save_grid, save_panels
from tests.visualize.render.drawn import Drawings


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


def test_a_panel_draws_nothing_beyond_its_image(tmp_path: Path, drawings: Drawings) -> None:
    mask = np.zeros((32, 48), dtype=bool)
    mask[:8], mask[:, 40:] = True, True
    panel = Panel(np.eye(32, 48), "at the border", mask * -1.0, doubtful=mask, outlines=[Outline(mask, "red", "m")])
    drawing = drawings.of(save_panels(tmp_path / "one.png", [panel]))
    drawing.assert_tidy()
    axes = drawing.panel("at the border")
    assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 47.5), (31.5, -0.5))
    box = axes.get_window_extent()
    bar = drawing.bars[0].get_window_extent()
    rows = slice(len(drawing.pixels) - int(box.y0) - 4, len(drawing.pixels) - int(box.y0) - 2)
    # At the height of the image's last rows there is nothing between the image and its bar.
    np.testing.assert_array_equal(drawing.pixels[rows, int(box.x1) + 3 : int(bar.x0) - 3], 1.0)


def test_hatching_stays_inside_its_mask_and_shows_on_black_and_on_white(tmp_path: Path, drawings: Drawings) -> None:
    image = np.zeros((64, 64))
    image[:, 32:] = 1.0
    mask = np.zeros((64, 64), dtype=bool)
    mask[16:48, 8:24], mask[16:48, 40:56] = True, True
    plain = drawings.of(save_panels(tmp_path / "one.png", [Panel(image, "p")]))
    hatched = drawings.of(save_panels(tmp_path / "two.png", [Panel(image, "p", doubtful=mask)]))
    changed = (plain.pixels != hatched.pixels).any(-1)
    (x0, y1), (x1, y0) = (hatched.panel("p").transData.transform(point) for point in ((7.5, 15.5), (55.5, 47.5)))
    rows, columns = np.nonzero(changed)
    height = len(changed)
    np.testing.assert_allclose([columns.min(), columns.max()], [x0, x1], atol=6)
    np.testing.assert_allclose([rows.min(), rows.max()], [height - y1, height - y0], atol=6)
    between = hatched.panel("p").transData.transform([(24.5, 32), (38.5, 32)])[:, 0].astype(int)
    assert not changed[:, between[0] : between[1]].any()
    half = (columns.min() + columns.max()) // 2
    assert changed[:, :half].sum() > 500
    assert changed[:, half:].sum() > 500


def test_faded_effects_are_paler(tmp_path: Path, drawings: Drawings) -> None:
    faded = np.zeros((16, 16), dtype=bool)
    faded[:, 8:] = True
    flat = np.full((16, 16), 0.5)
    drawing = drawings.of(save_panels(tmp_path / "one.png", [Panel(flat, "p", np.full((16, 16), -1.0), faded=faded)]))
    sure, pale = (drawing.at(drawing.panel("p"), x, 8) for x in (4, 12))
    assert 0.1 < np.ptp(pale) < 0.6 * np.ptp(sure)


def test_what_is_not_a_number_is_not_drawn(tmp_path: Path, drawings: Drawings) -> None:
    heat = np.full((16, 16), -3.0)
    heat[:, 8:] = np.nan
    drawing = drawings.of(save_panels(tmp_path / "one.png", [Panel(np.full((16, 16), 0.5), "p", heat)]))
    assert drawing.at(drawing.panel("p"), 4, 8)[0] > drawing.at(drawing.panel("p"), 4, 8)[2] + 0.3
    assert np.ptp(drawing.at(drawing.panel("p"), 12, 8)) < 0.01
    assert drawing.bars[0].get_ylim() == (-3.0, 3.0)


def test_a_row_can_share_its_scale_and_breaks_into_rows(tmp_path: Path, drawings: Drawings) -> None:
    panels = [Panel(np.zeros((8, 8)), f"panel {k}", np.full((8, 8), k - 3.0)) for k in range(5)]
    drawing = drawings.of(save_panels(tmp_path / "one.png", panels, "A caption.", same_scale=True))
    drawing.assert_tidy()
    assert {bar.get_ylim() for bar in drawing.bars} == {(-3.0, 3.0)}
    tops = [drawing.panel(f"panel {k}").get_window_extent().y1 for k in range(5)]
    assert max(tops[3:]) < min(tops[:3])
    with pytest.raises(ValueError, match="no common scale"):
        common_scale([panels[0], replace(panels[1], unit="Dice points")])
    with pytest.raises(ValueError, match=r"a map of \(4, 4\) does not lie on an image of \(8, 8\)"):
        save_panels(tmp_path / "two.png", [Panel(np.zeros((8, 8)), "p", np.zeros((4, 4)))])


def test_a_grid_has_titles_and_says_where_nothing_is(tmp_path: Path, drawings: Drawings) -> None:
    roi = np.zeros((16, 24), dtype=bool)
    roi[4:8, 4:8] = True

    def panel(size: float, signed: bool = True) -> Panel:
        heat = np.zeros((16, 24))
        heat[:4, 20:] = size
        return Panel(np.zeros((16, 24)), "", heat, "Dice points", [Outline(roi, "yellow", "RoI")], signed=signed)

    rows = [[panel(-2.0), panel(1.0)], [panel(0.5, False), None]]
    path = save_grid(tmp_path / "one.png", rows, ["PdCR", "Seg-Grad-CAM"], ["U-Net", "HRNet"], "c", same_scale="rows")
    drawing = drawings.of(path)
    drawing.assert_tidy()
    assert [bar.get_ylim() for bar in drawing.bars] == [(-2.0, 2.0), (0.0, 0.5)]
    left, right = drawing.panel("U-Net"), drawing.panel("HRNet")
    assert left.get_window_extent().x0 < right.get_window_extent().x0
    red, blue = drawing.at(left, 22, 2), drawing.at(right, 22, 2)
    assert red[0] > red[2] + 0.2
    assert blue[2] > blue[0] + 0.2
    words = [text.get_text().replace("\n", "") for text in drawing.words()]
    assert {"PdCR", "no result", "RoI"} < set(words)
    assert [len(axes.patches) for axes in drawing.figure.axes[:4]] == [1, 1, 1, 0]
    with pytest.raises(ValueError, match="no common scale"):
        save_grid(tmp_path / "two.png", rows, ["a", "b"], ["c", "d"])
    with pytest.raises(ValueError, match="1 row titles and 2 column titles"):
        save_grid(tmp_path / "two.png", rows, ["a"], ["c", "d"])
    each = drawings.of(save_grid(tmp_path / "three.png", rows, ["a", "b"], ["c", "d"], same_scale="no"))
    each.assert_tidy()
    assert [bar.get_ylim() for bar in each.bars] == [(-2.0, 2.0), (-1.0, 1.0), (0.0, 0.5)]


def test_a_grid_with_many_columns_goes_on_beneath(tmp_path: Path, drawings: Drawings) -> None:
    names = [f"network {k}" for k in range(7)]
    rows = [[Panel(np.zeros((8, 8)), "", np.full((8, 8), -float(k + r))) for k in range(7)] for r in (0, 1)]
    drawing = drawings.of(save_grid(tmp_path / "one.png", rows, ["PdCR", "RISE"], names, same_scale="rows"))
    drawing.assert_tidy()
    assert drawing.figure.get_figwidth() == 8.0
    first, fifth = (drawing.panel(names[k]).get_window_extent() for k in (0, 4))
    assert (round(first.x0), first.y0 > fifth.y1) == (round(fifth.x0), True)
    # A row's scale is that of the whole row, before and after the break.
    assert [bar.get_ylim()[1] for bar in drawing.bars] == [6.0, 7.0, 6.0, 7.0]
    words = [text.get_text() for text in drawing.words()]
    assert (words.count("PdCR"), words.count("no result")) == (2, 0)
