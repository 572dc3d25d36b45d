# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_causal.apps.medground.frame import frame_of


def test_an_image_keeps_its_size_unless_it_is_longer() -> None:
    assert frame_of((100, 50), None).shown == (100, 50)
    assert frame_of((100, 50), 224).shown == (100, 50)
    assert frame_of((1000, 333), 100).shown == (100, 33)


def test_boxes_go_there_and_back_and_cover_what_they_covered() -> None:
    frame = frame_of((100, 60), 50)
    assert frame.boxes([(1, 3, 5, 8)]) == ((0, 1, 3, 4),)
    assert frame.in_native(frame.boxes([(10, 20, 40, 60)])) == ((10.0, 20.0, 40.0, 60.0),)


def test_image_and_mask_shrink_together_and_a_speck_stays() -> None:
    frame = frame_of((64, 64), 16)
    mask = np.zeros((64, 64), bool)
    mask[9, 33] = True
    assert np.argwhere(frame.mask(mask)).tolist() == [[2, 8]]
    assert frame.image(np.full((64, 64), 77, np.uint8)) == pytest.approx(np.full((16, 16), 77))
