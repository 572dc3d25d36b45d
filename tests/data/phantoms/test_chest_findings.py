# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from monai_causal.data.phantoms.chest import chest, draw_causes
from monai_causal.data.phantoms.chest_anatomy import anatomy_of
from monai_causal.data.phantoms.chest_findings import effusion, place
from monai_causal.data.phantoms.chest_frame import Frame

SIZE = (128, 128)


def bare(seed=0, **changes):
    """A phantom with the given findings alone."""
    return chest(seed, SIZE, findings=[]).do(tube="none", electrodes=(), collimation=(0.0,) * 4, **changes)


def middle(mask):
    """Mean row and column."""
    return np.array([axis.mean() for axis in np.nonzero(mask)])


def test_a_nodule_is_a_disc_of_its_radius_at_its_place():
    anatomy = anatomy_of(Frame.of(draw_causes(1, size=SIZE, findings=[]).do(warp=0.0)))
    for position in ((0.2, 0.4), (0.5, 0.7), (0.75, 0.6)):
        phantom = bare(1, nodule=1.0, nodule_position=position, nodule_radius=0.04, nodule_side="right", warp=0.0)
        mask = phantom.maps["nodule"]
        assert mask.sum() / SIZE[0] ** 2 == pytest.approx(np.pi * 0.04**2, rel=0.06)
        row, column = np.round(middle(mask)).astype(int)
        assert anatomy.right.along[row, column] == pytest.approx(position[0], abs=0.03)
        assert anatomy.right.across[row, column] == pytest.approx(position[1], abs=0.04)
        x, y = place(anatomy.frame, anatomy.right, position[1], position[0])
        assert anatomy.frame.pixel(-x, y)[0] == pytest.approx(row, abs=1)


def test_zones_lie_where_they_are_named():
    for side in ("left", "right"):
        rows = []
        for zone in ("upper", "middle", "lower"):
            mask = bare(2, consolidation=0.8, consolidation_zone=f"{side} {zone}").maps["consolidation"]
            lung = bare(2).maps[f"{side} lung"]
            assert not (mask & ~lung).any()
            rows.append(middle(mask)[0])
        assert rows == sorted(rows)
        assert rows[2] - rows[0] > 0.2 * SIZE[0]


def test_an_effusion_fills_from_the_angle_up_and_climbs_the_wall():
    phantom = bare(3)
    angle = phantom.maps["left costophrenic angle"] & phantom.maps["left lung"]
    masks = [phantom.do(effusion_left=strength).maps["effusion_left"] for strength in (0.35, 0.6, 1.0)]
    for smaller, larger in pairwise(masks):
        assert not (smaller & ~larger).any()
        assert larger.sum() > 1.2 * smaller.sum()
    assert (masks[0] & angle).sum() > 0.9 * angle.sum()
    assert masks[2].sum() < 0.65 * phantom.maps["left lung"].sum()
    lung = anatomy_of(Frame.of(phantom.causes)).left
    fluid = effusion(lung, 0.5) > 0
    tops = [lung.along[fluid & (np.abs(lung.across - across) < 0.05)].min() for across in (0.2, 0.9)]
    assert tops[1] < tops[0] - 0.05


def test_fluid_is_bright_and_air_is_dark():
    for finding, sign in (("effusion_right", 1), ("consolidation", 1), ("nodule", 1), ("pneumothorax", -1)):
        phantom = bare(4, pneumothorax_side="right", noise=0.0)
        present = phantom.do(**{finding: 0.9})
        mask = present.maps[finding]
        assert sign * (present.image - phantom.image)[0][mask].mean() > 0.02, finding


def test_a_pneumothorax_has_no_vessels_and_lies_against_the_ribs():
    phantom = bare(5, pneumothorax=0.9, pneumothorax_side="right", sharpening=0.0, blur=0.0, noise=0.0)
    mask, lung = phantom.maps["pneumothorax"], phantom.maps["right lung"]
    assert not (mask & ~lung).any()
    assert middle(mask)[0] < middle(lung)[0]  # most of it is in the upper half
    depth = anatomy_of(Frame.of(phantom.causes)).right.lateral
    assert depth[mask].mean() < 0.5 * depth[lung].mean()
    # whether the lung has vessels makes no difference where no lung is
    bare_of_vessels = phantom.do(vessels=0.0)
    thin = (phantom.image - bare_of_vessels.image)[0]
    rim = ndimage.binary_erosion(mask, iterations=3)  # clear of the line that bounds it
    assert rim.sum() > 100
    assert np.abs(thin[rim]).max() < 0.05 * np.abs(thin[lung & ~mask]).max()
