# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from monai_causal.data.phantoms.chest import chest, draw_causes
from monai_causal.data.phantoms.chest_artefacts import LETTERS, shutters_of, write
from monai_causal.data.phantoms.chest_causes import TUBES

SIZE = (128, 128)


def bare(seed=0, **changes):
    """A phantom with the given artefacts alone."""
    clean = {"marker": "none", "tube": "none", "electrodes": (), "collimation": (0.0,) * 4, "clutter": 0}
    return chest(seed, SIZE, findings=[]).do(**{**clean, **changes})


@pytest.mark.parametrize("letter", ["L", "R"])
def test_the_marker_is_a_white_letter_at_its_place(letter):
    phantom = bare(marker=letter, marker_position=(-0.3, 0.3), marker_height=0.1)
    (top, bottom), (left, right) = phantom.artefacts["marker"].box
    assert (top + bottom) / 2 == pytest.approx(128 * 0.2, abs=1.5)
    assert (left + right) / 2 == pytest.approx(128 * 0.8, abs=2.5)
    assert bottom - top == pytest.approx(128 * 0.1 * 1.17, abs=3)
    core = write(phantom.causes, letter, (-0.3, 0.3), 0.1) > 0.9
    assert core.sum() > 20
    assert phantom.image[0][core].min() > 0.9


def test_letters_differ_and_are_whole():
    causes = draw_causes(0, size=(96, 96))
    drawn = {letter: write(causes, letter, (0.0, 0.0), 0.6) > 0.5 for letter in LETTERS}
    for letter, mask in drawn.items():
        assert ndimage.label(mask, np.ones((3, 3)))[1] == 1, letter
        assert all(not np.array_equal(mask, other) for name, other in drawn.items() if name != letter)
    # an L is open at its upper right, an R is not
    assert not drawn["L"][:40, 55:].any()
    assert drawn["R"][:40, 55:].any()


def test_shutters_cover_what_they_say():
    causes = draw_causes(0, size=(100, 200)).do(collimation=(0.1, 0.2, 0.0, 0.05), collimation_tilt=0.0)
    covered = shutters_of(causes)
    expected = np.zeros((100, 200), dtype=bool)
    expected[:10], expected[:, -20:], expected[:, :5] = True, True, True
    np.testing.assert_array_equal(covered, expected)
    phantom = bare(collimation=(0.1, 0.0, 0.0, 0.0), shutter=0.4, sharpening=1.0)
    np.testing.assert_array_equal(phantom.image[0][phantom.maps["collimation"]], np.float32(0.4))
    assert not shutters_of(causes.do(collimation=(0.0,) * 4, collimation_tilt=5.0)).any()


@pytest.mark.parametrize("tube", TUBES[1:])
def test_tubes_take_their_way(tube):
    phantom = bare(1, tube=tube, tilt=0.0)
    mask = phantom.maps["tube"]
    rows = np.flatnonzero(mask.any(axis=1))
    assert rows[0] == 0  # comes from above
    assert ndimage.label(mask, np.ones((3, 3)))[1] == 1
    end = np.mean(np.nonzero(mask[rows[-1]])[0])
    middle = np.nonzero(phantom.maps["upper mediastinum"])[1].mean()
    carina = np.nonzero(phantom.maps["left hilar structures"])[0].min()
    if tube == "endotracheal":
        assert abs(end - middle) < 8
        assert rows[-1] < carina + 5
    elif tube == "nasogastric":
        assert end > middle + 5  # the stomach lies to the left
        assert rows[-1] > np.nonzero(phantom.maps["left lung"])[0].max() - 25
    else:
        assert rows[-1] < np.nonzero(phantom.maps["cardiac silhouette"])[0].mean()
        assert end < middle
    deeper = phantom.do(tube_depth=0.1).maps["tube"]
    assert np.flatnonzero(deeper.any(axis=1))[-1] > rows[-1] + 4


def test_electrodes_stick_where_they_are_put():
    phantom = bare(electrodes=((0.1, 0.2), (-0.2, -0.3)))
    mask, image = phantom.maps["electrodes"], phantom.image[0]
    without = bare().image[0]
    for row, column in phantom.causes.electrodes:
        r, c = round(63.5 + 128 * row), round(63.5 + 128 * column)
        assert mask[r - 1 : r + 2, c - 1 : c + 2].all()
        assert image[r, c] > without[r, c] + 0.05


def test_clutter_belongs_to_its_seed():
    first, second = bare(clutter=5, artefact_seed=1), bare(clutter=5, artefact_seed=2)
    assert not np.array_equal(first.maps["clutter"], second.maps["clutter"])
    np.testing.assert_array_equal(first.maps["clutter"], bare(clutter=5, artefact_seed=1).maps["clutter"])
    assert not (bare(clutter=2, artefact_seed=1).maps["clutter"] & ~first.maps["clutter"]).any()
