# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
from scipy import ndimage

from monai_causal.data.phantoms.chest import draw_causes
from monai_causal.data.phantoms.chest_bones import clavicle_of, limbs_of, ribs_of, spine_of
from monai_causal.data.phantoms.chest_frame import Frame

SIZE = (224, 224)


def frame(seed=0, **changes):
    """The frame of an upright, unbent body."""
    straight = {"tilt": 0.0, "turn": 0.0, "warp": 0.0, "shift": (0.0, 0.0)}
    return Frame.of(draw_causes(seed, size=SIZE, findings=[]).do(**{**straight, **changes}))


def test_back_ribs_come_at_their_gap_and_slope_down_outwards():
    body = frame(rib_gap=0.09, rib_slope=0.3, rib_width=0.008)
    ribs = ribs_of(body)
    # close to the spine only back arcs are seen: the front ends are cartilage
    column = np.argmin(np.abs(body.x[0] - 0.18))
    inside = (body.y[:, column] > -0.02) & (body.y[:, column] < 0.75)
    hit = ndimage.label((ribs[:, column] > 0.05) & inside)[0]
    centres = ndimage.center_of_mass(np.ones(len(hit)), hit, range(1, hit.max() + 1))
    gaps = np.diff([centre[0] for centre in centres]) / SIZE[0] / body.height
    assert 6 <= len(centres) <= 10
    assert abs(gaps.mean() - 0.09) < 0.006
    steeper = ribs_of(frame(rib_gap=0.09, rib_slope=0.1, rib_width=0.008))
    assert not np.array_equal(ribs, steeper)


def test_clavicles_rise_to_the_shoulders_and_mirror_each_other():
    body = frame(clavicle_rise=0.15)
    left, shell = clavicle_of(body, "left")
    right, _ = clavicle_of(body, "right")
    assert abs(int((left ^ right[:, ::-1]).sum())) < 0.02 * left.sum() + 4
    rows, columns = np.nonzero(left)
    assert ndimage.label(left)[1] == 1
    assert rows[columns < np.quantile(columns, 0.2)].mean() > rows[columns > np.quantile(columns, 0.8)].mean() + 15
    assert (shell > 0).sum() == left.sum()
    # a shell: denser below its surface than in its middle
    assert shell[left].max() > 1.3 * np.median(shell[left])


def test_the_spine_stands_in_the_middle_and_is_made_of_pieces():
    body = frame()
    spine = spine_of(body)
    assert spine[np.abs(body.x) < 0.05].mean() > 0.6
    assert spine[np.abs(body.x) > 0.2].max() == 0
    line = spine[:, np.argmin(np.abs(body.x[0] - 0.03))]
    peaks = ((line[1:-1] > line[:-2]) & (line[1:-1] >= line[2:])).sum()
    assert peaks >= 12


def test_limbs_stay_outside_the_middle():
    body = frame()
    limbs = limbs_of(body)
    assert limbs.max() > 0.3
    assert limbs[np.abs(body.x) < 0.7].max() == 0
