# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_causal.apps.medground.checks import measured, problem_of

BEFORE = np.tile(np.arange(0, 64, 2, dtype=np.uint8), (32, 1))  # a step of 2 across every column, none down
MASK = np.zeros((32, 32), bool)
MASK[8:16, 8:16] = True


def test_what_is_measured_is_what_was_done() -> None:
    after = BEFORE.copy()
    after[8:16, 8:16] += 10
    found = measured(BEFORE, after, MASK)
    assert (found["largest"], found["inside"], found["outside"], found["touched_outside"]) == (10, 10.0, 0.0, 0.0)
    # across the border: before 0 up and down, 2 left and right; after 10, 10, 12 and 8
    assert found["seam"] == pytest.approx((10 + 10 + 12 + 8) / (0 + 0 + 2 + 2))
    assert problem_of(found, exact=False, must_change=True) is None


def test_an_edit_outside_its_mask_is_a_problem_for_painters_only() -> None:
    after = BEFORE.copy()
    after[10, 10] += 9
    after[0, 0] += 1
    found = measured(BEFORE, after, MASK)
    assert "outside its mask" in str(problem_of(found, exact=False, must_change=True))
    assert problem_of(found, exact=True, must_change=True) is None


def test_an_edit_that_nobody_can_see_is_none() -> None:
    after = BEFORE.copy()
    after[10, 10] += 2
    found = measured(BEFORE, after, MASK)
    assert "changed no pixel" in str(problem_of(found, exact=True, must_change=True))
    assert problem_of(found, exact=True, must_change=False) is None


def test_grain_that_an_edit_smoothed_away_is_seen() -> None:
    noisy = np.random.default_rng(0).integers(90, 110, (32, 32)).astype(np.uint8)
    smooth = np.where(MASK, np.uint8(100), noisy)
    assert measured(noisy, smooth, MASK)["texture"] < 0.5
    with pytest.raises(ValueError, match="keeps the size"):
        measured(noisy, smooth[:-1], MASK)
