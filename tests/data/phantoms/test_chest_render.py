# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_causal.data.phantoms.chest import CONCEPTS, chest, draw_causes
from monai_causal.data.phantoms.chest_render import blurred, render, s_curve

QUIET = {"noise": 0.0, "collimation": (0.0,) * 4, "clutter": 0}


def shrunk(field, factor):
    """Means over blocks of pixels."""
    rows, columns = (length // factor for length in field.shape)
    return field.reshape(rows, factor, columns, factor).mean((1, 3))


@pytest.mark.parametrize("style", ["plain", "random"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_causes_at_another_size_give_the_same_picture(seed, style):
    causes = draw_causes(seed, size=(112, 112), style=style, prevalence=0.6).do(**QUIET)
    small, small_labels, small_maps = render(causes)
    large, large_labels, large_maps = render(causes.do(size=(448, 448)))
    difference = np.abs(shrunk(large[0].astype(np.float64), 4) - small[0])
    assert difference.mean() < 0.012
    assert np.median(difference) < 0.005
    for name in CONCEPTS:
        mostly = shrunk(large_maps[name].astype(np.float64), 4) > 0.5
        assert (mostly & small_maps[name]).sum() > 0.85 * (mostly | small_maps[name]).sum(), name
    assert (small_labels != large_labels[2::4, 2::4]).mean() < 0.02


def test_the_grain_is_the_seeds_and_grows_where_less_comes_through():
    phantom = chest(4, (96, 96), findings=[]).do(sharpening=0.0, blur=0.0, **{**QUIET, "noise": 0.02}, tube="none")
    quiet = phantom.do(noise=0.0)
    grain = (phantom.image - quiet.image)[0]
    lungs = phantom.concept("both lungs") & ~phantom.maps["mediastinum"]
    assert abs(grain[lungs].mean()) < 0.002
    other = phantom.do(noise_seed=99)
    assert abs(np.corrcoef((other.image - quiet.image)[0][lungs], grain[lungs])[0, 1]) < 0.1
    # a denser chest gives fewer quanta: more grain, relative to the beam
    denser = phantom.do(air=0.5), quiet.do(air=0.5)
    assert (denser[0].image - denser[1].image)[0][lungs].std() > 1.1 * grain[lungs].std()


def test_shadows_multiply():
    """Two absorbers in one ray let through the product of what each lets through: their absorptions add."""
    linear = {"scatter": 0.001, "contrast": 0.2, "sharpening": 0.0, "blur": 0.0, "exposure": 0.0, "gamma": 1.0}
    bare = chest(6, (96, 96), findings=[]).do(marker="none", tube="none", electrodes=(), **linear, **QUIET)
    ball = {"nodule": 0.6, "nodule_side": "right", "nodule_position": (0.4, 0.5), "nodule_radius": 0.06}
    (top, bottom), (left, right) = bare.do(**ball).findings["nodule"].box
    button = {"electrodes": (((top + bottom) / 192 - 0.5, (left + right) / 192 - 0.5),)}
    both, first, second = (bare.do(**changes) for changes in ({**ball, **button}, ball, button))
    shared = both.maps["nodule"] & both.maps["electrodes"] & (both.image[0] < 0.9)
    assert shared.sum() > 8
    gains = [(phantom.image - bare.image)[0][shared] for phantom in (both, first, second)]
    assert gains[1].mean() > 0.02
    assert gains[2].mean() > 0.02
    np.testing.assert_allclose(gains[0], gains[1] + gains[2], rtol=0.03, atol=1e-3)


def test_bones_are_bright_and_inverted_films_are_the_negative():
    phantom = chest(2, (128, 128), findings=[])
    boneless = phantom.do(bone=0.0)
    assert (phantom.image >= boneless.image - 0.15).all()
    clavicle = phantom.concept("clavicles")
    assert (phantom.image - boneless.image)[0][clavicle].mean() > 0.02
    np.testing.assert_allclose(phantom.do(inverted=True).image, 1.0 - phantom.image, atol=1e-6)


def test_blur_reaches_four_deviations_and_no_farther():
    point = np.zeros((41, 41), dtype=np.float32)
    point[20, 20] = 1.0
    spread = blurred(point, 2.0 / 41, (41, 41))
    assert spread[20, 28] > 0
    assert spread[20, 29] == 0
    assert spread.sum() == pytest.approx(1.0, abs=1e-4)
    assert blurred(point, 0.0, (41, 41)) is point


def test_the_films_curve_rises_and_is_straight_between_toe_and_shoulder():
    x = np.linspace(-2.0, 3.0, 2001, dtype=np.float32)
    y = s_curve(x)
    assert (np.diff(y) >= 0).all()
    assert y.min() >= 0
    assert y.max() <= 1
    middle = (x > 0.08) & (x < 0.92)
    np.testing.assert_array_equal(y[middle], x[middle])
