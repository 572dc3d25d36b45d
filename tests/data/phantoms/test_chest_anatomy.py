# SPDX-License-Identifier: Apache-2.0
"""The anatomy that a radiologist would check: sides, order, proportions, and the measures that the causes name."""

from __future__ import annotations

import numpy as np
import pytest

from monai_causal.data.phantoms.chest import FINDINGS, chest, draw_causes
from monai_causal.data.phantoms.chest_anatomy import anatomy_of, angle_tip
from monai_causal.data.phantoms.chest_frame import Frame

SIZE = (160, 160)
STRAIGHT = {"shift": (0.0, 0.0), "tilt": 0.0, "turn": 0.0, "warp": 0.0}


def concepts(seed=0, **changes):
    """The concept masks of an upright, unbent body, by name."""
    causes = draw_causes(seed, size=SIZE, findings=[]).do(**{**STRAIGHT, **changes})
    return anatomy_of(Frame.of(causes)), causes


def extent(mask, axis):
    """First and one past the last index along an axis, in shorter sides from the middle."""
    hit = np.flatnonzero(mask.any(axis=1 - axis))
    return hit[0] / SIZE[axis] - 0.5, (hit[-1] + 1) / SIZE[axis] - 0.5


@pytest.mark.parametrize("seed", range(6))
def test_what_lies_where(seed):
    phantom = chest(seed, SIZE, findings=[]).do(**STRAIGHT)
    rows, columns = {}, {}
    for name, mask in zip(("heart", "left lung", "right lung"), phantom.concepts, strict=False):
        rows[name], columns[name] = (np.nonzero(mask)[axis].mean() for axis in (0, 1))
    middle = np.nonzero(phantom.maps["upper mediastinum"])[1].mean()
    assert columns["right lung"] < middle < columns["left lung"]  # the patient's left is on the image's right
    assert middle < columns["heart"] < columns["left lung"]
    assert rows["heart"] > rows["left lung"]
    for side, sign in (("left", 1), ("right", -1)):
        for name in ("clavicle", "hilar structures", "costophrenic angle"):
            assert sign * (np.nonzero(phantom.maps[f"{side} {name}"])[1].mean() - middle) > 0
    level = {name: np.nonzero(mask)[0].mean() for name, mask in phantom.maps.items() if mask.any()}
    for side in ("left", "right"):
        down = [level[f"{side} {name}"] for name in ("clavicle", "hilar structures", "costophrenic angle")]
        assert down == sorted(down)
    assert level["left hilar structures"] < level["right hilar structures"]
    # the right dome is the higher: over the middle of each lung its floor lies further up
    floors = []
    for side in ("left", "right"):
        mask = phantom.maps[f"{side} lung"]
        floors.append(np.flatnonzero(mask[:, int(np.nonzero(mask)[1].mean())])[-1])
    assert floors[1] < floors[0]


@pytest.mark.parametrize("seed", range(4))
def test_measures_are_what_the_causes_say(seed):
    anatomy, causes = concepts(seed, heart_axis=0.0)
    pixel = 2.5 / SIZE[0]
    lungs = extent(anatomy.left.mask | anatomy.right.mask, 1)
    assert lungs[1] - lungs[0] == pytest.approx(causes.width, abs=pixel)
    heart = extent(anatomy.heart.mask, 1)
    assert (heart[1] - heart[0]) / causes.width == pytest.approx(causes.heart, abs=0.02)
    top, bottom = extent(anatomy.left.mask, 0)
    assert bottom - top == pytest.approx(causes.height, rel=0.05)
    # two thirds of the heart lie left of the midline
    assert 0.58 < heart[1] / (heart[1] - heart[0]) < 0.78


def test_cardiomegaly_is_a_heart_wider_than_half_the_chest():
    for seed in range(5):
        widths = []
        for strength in (0.0, 0.35, 0.7, 1.0):
            anatomy, causes = concepts(seed, cardiomegaly=strength)
            low, high = extent(anatomy.heart.mask, 1)
            widths.append((high - low) / causes.width)
        assert widths[0] < 0.5 < widths[1] < widths[2] < widths[3]


def test_the_lungs_reach_behind_the_heart():
    anatomy, _ = concepts()
    behind = (anatomy.heart.mask & anatomy.left.mask).sum() / anatomy.heart.mask.sum()
    assert behind > 0.3


def test_the_costophrenic_angle_is_where_ribs_and_diaphragm_meet():
    for side in ("left", "right"):
        anatomy, _ = concepts()
        out, y = angle_tip(anatomy.frame, side)
        lung = anatomy.lung(side)
        distance = np.hypot(lung.out - out, anatomy.frame.y - y)
        tip = np.unravel_index(distance.argmin(), SIZE)
        around = lung.mask[tip[0] - 3 : tip[0] + 4, tip[1] - 3 : tip[1] + 4]
        assert 0 < around.mean() < 0.5  # a wedge of lung
        mask = anatomy.angles[side]
        assert mask[tip[0] - 1, tip[1]]
        assert (mask & lung.mask).sum() > 0.4 * mask.sum()


def test_a_finding_with_an_organs_shape_only_widens_it():
    phantom = chest(3, SIZE, findings=[])
    for finding, organ in (("cardiomegaly", "cardiac silhouette"), ("wide_mediastinum", "upper mediastinum")):
        before, after = phantom.maps[organ], phantom.do(**{finding: 0.8}).maps[organ]
        assert not (before & ~after).any()
        assert after.sum() > 1.1 * before.sum()
    assert set(FINDINGS) >= {"cardiomegaly", "wide_mediastinum"}


def test_inspiration_lowers_the_domes_and_leaves_the_ribs():
    low, _ = concepts(inspiration=1.0)
    high, _ = concepts(inspiration=-1.0)
    assert low.left.mask.sum() > 1.05 * high.left.mask.sum()
    np.testing.assert_array_equal(low.left.lateral, high.left.lateral)
