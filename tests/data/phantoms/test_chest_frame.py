# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from monai_causal.data.phantoms.chest import draw_causes
from monai_causal.data.phantoms.chest_frame import Frame, cover, dome_of, image_noise, profile, read, star, tube


def test_pixels_and_body_places_correspond():
    causes = draw_causes(3, size=(97, 130)).do(warp=0.0, tilt=7.0, shift=(0.05, -0.1))
    frame = Frame.of(causes)
    for x, y in ((0.0, 0.5), (0.6, 0.2), (-0.4, 0.8)):
        row, column = (float(position) for position in frame.pixel(x, y))
        low = math.floor(row), math.floor(column)
        weights = row - low[0], column - low[1]
        for field, wanted in ((frame.x, x), (frame.y, y)):
            corner = field[low[0] : low[0] + 2, low[1] : low[1] + 2].astype(np.float64)
            rows = corner[0] * (1 - weights[0]) + corner[1] * weights[0]
            assert rows[0] * (1 - weights[1]) + rows[1] * weights[1] == pytest.approx(wanted, abs=1e-5)


def test_the_warp_bends_no_farther_than_it_says():
    causes = draw_causes(3, size=(80, 80)).do(warp=0.02, tilt=0.0)
    bent, straight = Frame.of(causes), Frame.of(causes.do(warp=0.0))
    across = np.abs(bent.x - straight.x).max() * bent.half_width
    assert 0.005 < across <= 0.02 + 1e-6


def test_a_table_reads_like_the_curve():
    at = np.linspace(-1.0, 4.0, 999, dtype=np.float32)
    values = read(np.sin, 0.0, 3.0, at)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, np.sin(np.clip(at, 0.0, 3.0)), atol=3e-6)
    points = profile([(0.0, 1.0), (1.0, 3.0), (2.0, 2.0)], np.array([-1.0, 0.0, 1.0, 2.0, 5.0], dtype=np.float32))
    np.testing.assert_allclose(points, [1.0, 1.0, 3.0, 2.0, 2.0], atol=1e-5)


def test_thicknesses_in_closed_form():
    depth = np.array([-1.0, 0.0, 0.5, 1.0, 9.0], dtype=np.float32)
    np.testing.assert_allclose(dome_of(depth, 1.0), [0, 0, math.sqrt(0.75), 1, 1], atol=1e-6)
    np.testing.assert_allclose(tube(depth, 1.0), [0, 1, math.sqrt(0.75), 0, 0], atol=1e-6)
    np.testing.assert_allclose(cover(np.array([-0.5, -0.25, 0.0, 0.5], dtype=np.float32), 1.0), [0, 0.15625, 0.5, 1])


def test_a_star_goes_through_its_points():
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    radii = 1.0 + 0.2 * np.cos(2 * angles)
    outline = np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)
    radius, edge = star(*(0.5 * outline.T.astype(np.float32)), outline)
    np.testing.assert_allclose(radius, 0.5 * radii, rtol=1e-5)
    np.testing.assert_allclose(edge, radii, atol=2e-4)


def test_noise_is_the_same_at_every_size_of_one_shape():
    causes = draw_causes(3, size=(45, 75))
    small, large = image_noise(causes, "test", 9), image_noise(causes.do(size=(135, 225)), "test", 9)
    np.testing.assert_allclose(small, large[1::3, 1::3], atol=1e-5)
    assert small.std() > 0.2
