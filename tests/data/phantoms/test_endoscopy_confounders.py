# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_causal.data.phantoms import endoscopy
from monai_causal.data.phantoms.endoscopy_confounders import CONFOUNDERS, COVERS, GEOMETRIC, compress, disturb, zoom

SIZE = (50, 44)


@pytest.fixture(name="scene")
def scene_fixture():
    return endoscopy(3, size=SIZE).do(confounder="white_light", noise=0.0).image.astype(np.float64)


@pytest.mark.parametrize("confounder", CONFOUNDERS)
def test_nothing_is_done_at_severity_zero_and_the_image_given_is_kept(scene, confounder):
    before = scene.copy()
    np.testing.assert_array_equal(compress(disturb(scene, confounder, 0.0, 5), 0.0), before)
    disturbed = disturb(scene, confounder, 1.0, 5)
    assert disturbed.shape == scene.shape
    assert np.isfinite(disturbed).all()
    np.testing.assert_array_equal(scene, before)
    idle = confounder in ("white_light", "compression", *GEOMETRIC)
    assert np.array_equal(disturbed, before) == idle


@pytest.mark.parametrize(("confounder", "severity", "scale"), [("close_up", 0.5, 1.5**0.5), ("distant", 1.0, 1 / 1.5)])
def test_zoom(confounder, severity, scale):
    assert zoom(confounder, severity) == pytest.approx(scale)
    assert zoom(confounder, 0.0) == 1
    assert all(zoom(name, 1.0) == 1 for name in CONFOUNDERS if name not in GEOMETRIC)


def test_light(scene):
    brighter, darker, sloping = (disturb(scene, name, 0.7, 5) for name in ("bright", "dim", "uneven"))
    assert (brighter > scene).all()
    assert (darker < scene).all()
    light = sloping / scene
    np.testing.assert_allclose(light, light[:1].repeat(3, axis=0))
    assert light.mean() == pytest.approx(1.0, abs=1e-9)
    assert 1.3 < light.max() <= 1.0 + 0.85 * 0.7 + 1e-9
    np.testing.assert_allclose(np.diff(light[0], n=2, axis=0), 0.0, atol=1e-9)  # a straight slope along either axis
    np.testing.assert_allclose(np.diff(light[0], n=2, axis=1), 0.0, atol=1e-9)


def test_narrow_band_turns_the_hue_and_only_half_at_half_severity(scene):
    red, green, _ = disturb(scene, "narrow_band", 1.0, 5).mean(axis=(1, 2))
    assert scene[0].mean() > 1.5 * scene[1].mean()
    assert green > 1.1 * red
    half = disturb(scene, "narrow_band", 0.5, 5)
    np.testing.assert_allclose(half, 0.5 * (scene + disturb(scene, "narrow_band", 1.0, 5)))
    assert half[0].mean() > half[2].mean()  # still warmer than cold


@pytest.mark.parametrize("seed", range(4))
def test_motion_blur_is_a_mean_along_one_straight_path(seed):
    point = np.zeros((3, 101, 101))
    point[:, 50, 50] = 1.0
    path = disturb(point, "motion_blur", 1.0, seed)
    assert path.sum(axis=(1, 2)) == pytest.approx([1.0, 1.0, 1.0])
    np.testing.assert_allclose(path, path[:, ::-1, ::-1], atol=1e-12)  # nothing is displaced
    offsets = np.argwhere(path[0] > 0) - 50.0
    spread = np.sqrt(np.linalg.eigvalsh(np.cov(offsets.T, aweights=path[0][path[0] > 0])))
    assert spread[1] == pytest.approx(0.14 * 101 / np.sqrt(12), rel=0.1)  # of a uniform law on the path
    assert spread[0] < 0.8
    np.testing.assert_allclose(disturb(np.full((3, 40, 60), 0.4), "motion_blur", 0.8, seed), 0.4)


def test_compression_rounds_each_block_by_itself(scene):
    whole = compress(scene, 0.6)
    altered = scene.copy()
    altered[:, 8:16, 16:24] += 0.3
    differs = (np.abs(compress(altered, 0.6) - whole) > 1e-9).any(axis=0)
    assert differs[8:16, 16:24].any()
    differs[8:16, 16:24] = False
    assert not differs.any()
    # few coefficients are left, and compressing again finds nothing more to round
    np.testing.assert_allclose(compress(whole[:, :48, :40], 0.6), whole[:, :48, :40], atol=1e-9)
    errors = [np.abs(compress(scene, severity) - scene).mean() for severity in (0.1, 0.3, 1.0)]
    assert errors[0] < errors[1] < errors[2]


@pytest.mark.parametrize("confounder", COVERS)
@pytest.mark.parametrize("seed", range(3))
def test_covers_hide_the_stated_fraction_and_leave_the_rest(scene, confounder, seed):
    hidden = {}
    for severity in (0.4, 1.0):
        disturbed = disturb(scene, confounder, severity, seed)
        hidden[severity] = (disturbed != scene).any(axis=0)
        assert hidden[severity].mean() == pytest.approx(COVERS[confounder] * severity, abs=0.002)
    assert (hidden[1.0] >= hidden[0.4]).all()  # it spreads
    other = (disturb(scene, confounder, 1.0, seed + 10) != scene).any(axis=0)
    assert (other != hidden[1.0]).any()
    red, green, blue = (channel[hidden[1.0]].mean() for channel in disturbed)
    looks = {"mucus": green > blue + 0.05, "blood": red > 3 * green, "reflection": disturbed.max() > 0.98}
    assert looks[confounder]
