# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from monai_causal.apps.medfocus.segmenters.shape import tidy


def test_the_largest_piece_stays_and_its_holes_are_filled() -> None:
    probability = np.full((12, 12), 0.2, np.float32)
    probability[1:7, 1:7] = 0.9
    probability[3:5, 3:5] = 0.1
    probability[9:11, 9:11] = 0.7
    tidied = tidy(probability)
    expected = np.zeros((12, 12), bool)
    expected[1:7, 1:7] = True
    np.testing.assert_array_equal(tidied > 0.5, expected)
    assert tidied[3, 3] == 1
    assert tidied[9, 9] == 0
    # What was not decided on keeps its value, so that borders between pixels stay where they are.
    assert tidied[0, 0] == np.float32(0.2)


def test_pieces_that_touch_at_a_corner_are_one() -> None:
    probability = np.zeros((6, 6), np.float32)
    probability[0:2, 0:2] = probability[2:4, 2:4] = 0.8
    np.testing.assert_array_equal(tidy(probability), probability)


def test_nothing_stays_nothing() -> None:
    probability = np.full((4, 4), 0.5, np.float32)
    assert tidy(probability) is probability
