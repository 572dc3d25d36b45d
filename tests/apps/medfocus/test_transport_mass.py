# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_causal.apps.medfocus.transport_mass import contrast, intensity, local_contrast

ROWS, COLUMNS = np.mgrid[:96, :96]
IMAGE = 0.5 + 0.3 * np.sin(COLUMNS / 6) * np.cos(ROWS / 9)
EVERYWHERE = np.ones((96, 96), bool)


def test_exposure_and_window_do_not_matter():
    np.testing.assert_allclose(
        local_contrast(0.2 + 0.5 * IMAGE, EVERYWHERE), local_contrast(IMAGE, EVERYWHERE), atol=1e-9
    )
    shaded = local_contrast(IMAGE + 0.3 * ROWS / 96, EVERYWHERE)
    assert np.corrcoef(shaded[20:-20].ravel(), local_contrast(IMAGE, EVERYWHERE)[20:-20].ravel())[0, 1] > 0.95


def test_bright_and_dark_are_apart_and_change_places_in_the_negative():
    bright, dark = contrast(IMAGE, EVERYWHERE)
    assert (np.minimum(bright, dark) == 0).all()
    assert bright.max() > 0.5
    np.testing.assert_allclose(contrast(1 - IMAGE, EVERYWHERE), [dark, bright], atol=1e-9)


def test_what_lies_beside_the_image_has_no_say():
    inside = (COLUMNS > 20) & (COLUMNS < 70)
    zeros, ones = (local_contrast(np.where(inside, IMAGE, value), inside) for value in (0.0, 1.0))
    np.testing.assert_array_equal(zeros, ones)
    assert (zeros[~inside] == 0).all()
    assert np.abs(zeros[inside]).max() > 0.5


def test_a_flat_image_has_no_contrast_instead_of_blown_up_rounding():
    flat = 0.5 + 1e-12 * np.random.default_rng(0).standard_normal((96, 96))
    assert np.abs(local_contrast(flat, EVERYWHERE)).max() < 1e-6


def test_intensity_is_the_image():
    assert intensity(IMAGE, EVERYWHERE) is IMAGE
    assert contrast(IMAGE, EVERYWHERE).shape == pytest.approx((2, 96, 96))
