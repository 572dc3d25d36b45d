# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from monai_causal.data.phantoms.chest import draw_causes
from monai_causal.data.phantoms.chest_anatomy import HILUM, SIGN
from monai_causal.data.phantoms.chest_frame import Frame
from monai_causal.data.phantoms.chest_vessels import THINNEST, branches, vessels_of


def frame(size=(96, 110), **changes):
    """A bent and leaning body."""
    return Frame.of(draw_causes(4, size=size, findings=[]).do(tilt=6.0, warp=0.02, **changes))


def test_pieces_drawn_within_their_windows_are_what_a_slow_drawing_gives():
    body = frame()
    across, down = (field.astype(np.float64) for field in (body.x * body.half_width, body.y * body.height))
    slow = np.zeros(body.x.shape)
    for side in SIGN:
        for start, end, radius in zip(*branches(body, side), strict=True):
            reach = max(radius, THINNEST)
            chord = end - start
            along = ((across - start[0]) * chord[0] + (down - start[1]) * chord[1]) / (chord @ chord)
            along = np.clip(along, 0, 1)
            squared = (across - start[0] - along * chord[0]) ** 2 + (down - start[1] - along * chord[1]) ** 2
            slow = np.maximum(slow, 2 * radius**2 / reach * np.sqrt(np.maximum(1 - squared / reach**2, 0)))
    np.testing.assert_allclose(vessels_of(body), slow, atol=2e-5)
    assert (slow > 0).mean() > 0.05


def test_trees_start_at_the_hila_and_thin_out():
    body = frame()
    for side, (x, y) in HILUM.items():
        pieces = branches(body, side)
        root = np.array([SIGN[side] * x * body.half_width, y * body.height])
        far = np.hypot(*(pieces.starts - root).T)
        assert far.min() < 0.02
        assert pieces.radii[far < 0.07].mean() > 1.5 * pieces.radii[far > 0.2].mean()
        assert (SIGN[side] * pieces.starts[:, 0] < body.half_width).all()


def test_vessels_belong_to_the_anatomys_seed():
    first, again, other = (vessels_of(frame(anatomy_seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
