# SPDX-License-Identifier: Apache-2.0
"""Curves: the numbers that are drawn are those that were measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.colors import to_rgb
from scipy import stats

from monai_causal.visualize.render import (
    convergence,
    save_attribution_curves,
    save_convergence,
    save_ranking,
    style,
)
from monai_causal.visualize.render.curves import strongest
from monai_causal.visualize.sampling import PaperRule
from tests.visualize.render.drawn import Drawings, made_result

ITES = np.random.default_rng(0).normal(-40.0, 0.5, 30)


def _line(axes: Axes, name: str) -> np.ndarray:
    (line,) = (line for line in axes.lines if line.get_label() == name)
    return np.asarray(line.get_ydata())


def _band(axes: Axes, number: int, x: float) -> tuple[float, float]:
    band = [item for item in axes.collections if isinstance(item, FillBetweenPolyCollection)][number]
    at = np.concatenate([path.vertices[path.vertices[:, 0] == x, 1] for path in band.get_paths()])
    return float(at.min()), float(at.max())


def test_convergence_draws_running_means_with_students_interval(tmp_path: Path, drawings: Drawings) -> None:
    draws = {"region 3": ITES, "stopped early": np.append(ITES[:8] + 1, [np.nan] * 22)}
    path = save_convergence(tmp_path / "one.png", draws, "Dice points", tau=0.02, level=0.9, title="U-Net")
    drawing = drawings.of(path)
    drawing.assert_tidy()
    (axes,) = drawing.figure.axes
    np.testing.assert_allclose(_line(axes, "region 3"), [ITES[: n + 1].mean() for n in range(30)])
    assert len(_line(axes, "stopped early")) == 8
    for n in (5, 30):
        wanted = stats.t.interval(0.9, n - 1, ITES[:n].mean(), stats.sem(ITES[:n]))
        np.testing.assert_allclose(_band(axes, 0, n), wanted, rtol=1e-9)
    assert axes.get_ylabel() == "average effect (Dice points)"
    assert axes.get_ylim()[1] > 0  # where there is no effect belongs into the picture
    words = " ".join(text.get_text() for text in drawing.words())
    for said in ("within ±0.02: no effect", "90 % intervals", "U-Net"):
        assert said in words
    with pytest.raises(ValueError, match="without draws"):
        save_convergence(tmp_path / "two.png", {"nothing": [np.nan]})


def test_the_curve_of_a_result_ends_at_its_effect() -> None:
    rule = PaperRule(n_screen=3, n_samples=20)
    generator = np.random.default_rng(0)
    verdict = rule.sample(lambda rows, draws: generator.normal(1.0, 1.0, (len(rows), len(draws))), 60)
    result = made_result({((0, 8), (0, 8)): 1.0}, rule=rule.parameters())
    for name in ("ites", "ate", "relevant"):
        object.__setattr__(result, name, torch.tensor(getattr(verdict, name)))
    for row, (name, draws) in zip(strongest(result), convergence(result).items(), strict=True):
        assert name == f"region {result.regions[row].id}"
        assert np.mean(draws) == pytest.approx(float(result.ate[row]))


def test_the_strongest_are_relevant_first() -> None:
    result = made_result({((0, 8), (0, 8)): 1.0, ((0, 8), (8, 16)): -2.0})
    result.ate[5] = 9.0  # measured, but not called
    assert strongest(result, 3) == [1, 0, 5]


def test_attribution_curves_are_means_over_images_with_bands(tmp_path: Path, drawings: Drawings) -> None:
    fractions = np.linspace(0, 1, 5)
    many = np.random.default_rng(0).random((7, 5))
    path = save_attribution_curves(tmp_path / "one.png", {"PdCR": many, "RISE": many[0]}, fractions, "Dice points")
    drawing = drawings.of(path)
    drawing.assert_tidy()
    (axes,) = drawing.figure.axes
    np.testing.assert_allclose(_line(axes, "PdCR"), many.mean(0))
    np.testing.assert_allclose(_line(axes, "RISE"), many[0])
    wanted = stats.t.interval(0.95, 6, many[:, 2].mean(), stats.sem(many[:, 2]))
    np.testing.assert_allclose(_band(axes, 0, 50.0), wanted)
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines[:2]}) == 2
    with pytest.raises(ValueError, match="'PdCR' has 5 steps, fractions has 4"):
        save_attribution_curves(tmp_path / "two.png", {"PdCR": many}, fractions[1:])


def test_a_ranking_puts_the_strongest_on_top_in_its_colour(tmp_path: Path, drawings: Drawings) -> None:
    result = made_result({((0, 8), (0, 8)): 1.0, ((0, 8), (8, 16)): -2.0}, spread=0.2)
    drawing = drawings.of(save_ranking(tmp_path / "one.png", result, 3, title="U-Net"))
    drawing.assert_tidy()
    (axes,) = drawing.figure.axes
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], [-2.0, 1.0, 0.0])
    assert axes.yaxis_inverted()
    assert [label.get_text() for label in axes.get_yticklabels()][:2] == ["1", "0"]
    colours = [bar.get_facecolor() for bar in axes.patches]
    assert colours[0][:3] == to_rgb(style.SUPPORT)
    assert colours[1][:3] == to_rgb(style.SUPPRESS)
    assert colours[2][3] == 0.0  # not relevant: hollow
    whiskers = np.array([np.asarray(path)[:, 0] for path in axes.collections[0].get_segments()])
    np.testing.assert_allclose(whiskers[0], result.interval()[1])
