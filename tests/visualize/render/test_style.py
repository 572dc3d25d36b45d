# SPDX-License-Identifier: Apache-2.0
"""The look: words that fit, colours that differ, files that are whole."""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.lines import Line2D

from monai_causal.visualize.render import style
from tests.visualize.render.drawn import Drawings


def test_title_legend_and_caption_stand_apart_however_long(tmp_path: Path, drawings: Drawings) -> None:
    figure = style.new_figure(2.0)
    figure.subplots().set_title("inside")
    entries = [Line2D([], [], label=f"entry number {number}") for number in range(7)]
    path = tmp_path / "one.png"
    style.write(figure, path, "many words " * 30, title="a long title " * 12, legend=entries, legend_title="entries")
    drawings.of(path).assert_tidy()
    assert [file.name for file in tmp_path.iterdir()] == ["one.png"]
    assert figure.get_figheight() > 3.0  # it grew instead of squeezing the picture


def test_signed_colours_mirror_each_other_and_vanish_at_nothing() -> None:
    colours = style.SUPPORT_TO_SUPPRESS(np.linspace(0, 1, 511))
    np.testing.assert_allclose(colours[:, 3], colours[::-1, 3])
    assert colours[255, 3] == 0.0
    assert (np.diff(colours[255:, 3]) > 0).all()
    assert (colours[:250, 0] > colours[:250, 2] + 0.1).all()
    assert (colours[-250:, 2] > colours[-250:, 0] + 0.1).all()


def test_lines_differ_in_colour_and_dashes() -> None:
    styles = list(islice(style.line_styles(), 28))
    assert len(set(styles)) == 28
    assert all(one[1] != other[1] and one[0] != other[0] for one, other in pairwise(styles))


@pytest.mark.parametrize("inches", [1.0, 3.0])
def test_wrapped_words_fit(inches: float, tmp_path: Path, drawings: Drawings) -> None:
    figure = style.new_figure(1.0)
    text = figure.text(0, 0, style.wrapped("what the network answers, and how sure it is of it", inches), fontsize=9.0)
    style.write(figure, tmp_path / "one.png")
    assert text.get_window_extent().width <= 1.02 * inches * figure.dpi
