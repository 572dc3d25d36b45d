# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from monai_causal.apps.medfocus.attribute_asking import ask, picture_of
from monai_causal.apps.medfocus.attribute_drops import Drops, token_drops
from monai_causal.intervene import CallableFill, ConstantFill, box_regions
from tests.apps.medfocus import scene
from tests.apps.medfocus.golden import BoxReader
from tests.apps.medfocus.scene import BOXES, SIZE

PICTURE = picture_of(scene.picture())
REGIONS = box_regions(SIZE, list(BOXES.values()))


def test_a_drop_is_before_minus_after_and_each_question_has_its_own_tokens() -> None:
    vlm = BoxReader(SIZE, (BOXES["left lung"], BOXES["right lung"]), weights=(2.0, -1.0), tokens=("a", "b"))
    asked = ask(vlm, PICTURE, ["one?", "two?"])
    drops, record = token_drops(vlm, PICTURE.pixels, asked, REGIONS, ConstantFill(0.5), draws=1)
    left, right = (
        float(scene.picture()[slice(*rows), slice(*columns)].mean())
        for rows, columns in (BOXES["left lung"], BOXES["right lung"])
    )
    expected = torch.zeros((5, 1, 2), dtype=torch.float64)
    expected[list(BOXES).index("left lung"), 0, 0] = 2 * (left - 0.5)
    expected[list(BOXES).index("right lung"), 0, 1] = -(right - 0.5)
    for one in drops:
        torch.testing.assert_close(one.values, expected, atol=1e-6, rtol=1e-6)
        assert one.before.tolist() == pytest.approx([2 * left - 2, 1 - right], abs=1e-6)
    assert record.forwards == 6
    assert record.execution == "dense"


def test_support_clips_each_token_and_log_probs_does_not() -> None:
    drops = Drops(torch.tensor([-1.0, -2.0]), torch.tensor([[[0.5, -0.25]], [[-1.0, 1.0]]]))
    assert drops.support.tolist() == [[0.5], [1.0]]
    assert drops.log_probs.tolist() == [[-3.25], [-3.0]]


def test_what_a_fill_adds_beyond_black_and_white_is_cut_off() -> None:
    vlm = BoxReader(SIZE, (BOXES["left lung"],), weights=(2.0,))
    asked = ask(vlm, PICTURE, ["one?"])
    fill = CallableFill(lambda original, region, generator: original + 5)
    drops, _ = token_drops(vlm, PICTURE.pixels, asked, REGIONS, fill)
    after = drops[0].log_probs[list(BOXES).index("left lung"), 0]
    assert float(after) == pytest.approx(0, abs=1e-6)  # white
