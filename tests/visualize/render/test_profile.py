# SPDX-License-Identifier: Apache-2.0
"""Pies and bars: as long as the shares are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle, Wedge

from monai_causal.visualize.profile import Profile, profile
from monai_causal.visualize.render import save_profile, save_profiles, style
from monai_causal.visualize.render.profile import bin_colours
from tests.visualize.render.drawn import Drawings


def _profile(supporting: int, suppressing: int, irrelevant: int) -> Profile:
    return profile(torch.tensor([-0.5] * supporting + [4.0] * suppressing + [0.0] * irrelevant))


def test_a_profile(tmp_path: Path, drawings: Drawings) -> None:
    drawing = drawings.of(save_profile(tmp_path / "one.png", _profile(5, 2, 3), "Dice points", "A network"))
    drawing.assert_tidy()
    wedges = drawing.figure.findobj(Wedge)
    shares = [(wedge.theta2 - wedge.theta1) / 360 for wedge in wedges]
    np.testing.assert_allclose(shares, [0.5, 0.2, 0.3], atol=1e-6)
    colours = [wedge.get_facecolor()[:3] for wedge in wedges]
    assert colours == [to_rgb(style.SUPPORT), to_rgb(style.SUPPRESS), to_rgb(style.NOTHING)]
    (bars,) = (axes for axes in drawing.figure.axes if axes.get_xlabel())
    widths = [bar.get_width() for bar in bars.patches if isinstance(bar, Rectangle)]
    np.testing.assert_allclose(widths, [0, 0, 50, 0, 30, 0, 0, 0, 20])
    names = [label.get_text() for label in bars.get_yticklabels()]
    assert (names[0], names[2], names[4], names[8]) == ("-3 or less", "-1 to -0.3", "within ±0.02", "+3 or more")
    assert bars.yaxis_inverted()  # support on top
    words = {text.get_text() for text in drawing.words()}
    assert {"supporting 50.0 %", "suppressing 20.0 %", "irrelevant 30.0 %", "A network"} < words
    assert "strongest support -0.5, strongest suppression +4 Dice points" in words


def test_colours_are_red_below_and_blue_above_and_darker_outwards() -> None:
    colours = np.array(bin_colours(9))
    assert (colours[:4, 0] > colours[:4, 2]).all()
    assert (colours[5:, 2] > colours[5:, 0]).all()
    assert (np.diff(colours[:5].sum(1)) > 0).all()
    assert (np.diff(colours[4:].sum(1)) < 0).all()


def test_profiles_of_several_images_are_averaged(tmp_path: Path, drawings: Drawings) -> None:
    groups = {"U-Net": [_profile(5, 2, 3), _profile(1, 0, 9)], "a network with a long name": _profile(0, 4, 6)}
    drawing = drawings.of(save_profiles(tmp_path / "one.png", groups, "Dice points", caption="A caption."))
    drawing.assert_tidy()
    axes = drawing.figure.axes[0]
    reach = {
        row: sorted(bar.get_width() for bar in axes.patches if round(bar.get_y() + 0.375) == row) for row in (0, 1)
    }
    np.testing.assert_allclose(reach[0], [-30, 0, 0, 0, 0, 0, 0, 10])
    np.testing.assert_allclose(reach[1], [0, 0, 0, 0, 0, 0, 0, 40])
    assert axes.get_xlim()[0] == -axes.get_xlim()[1]
    assert [label.get_text() for label in axes.child_axes[0].get_yticklabels()] == ["60 %", "60 %"]


def test_profiles_over_different_bins_are_not_compared(tmp_path: Path) -> None:
    other = profile(torch.tensor([0.5]), bins=(0.1, 1.0))
    with pytest.raises(ValueError, match="2 different sets of bins"):
        save_profiles(tmp_path / "one.png", {"a": _profile(1, 1, 1), "b": other})
