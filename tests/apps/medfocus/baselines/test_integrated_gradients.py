# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from monai_causal.apps.medfocus.attribute_asking import ask, picture_of
from monai_causal.apps.medfocus.baselines.integrated_gradients import IntegratedGradients
from tests.apps.medfocus import scene
from tests.apps.medfocus.vlm import tiny

QUESTION = "Is there evidence of pleural effusion in the image?"


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_sum_is_the_difference_to_black(family: str) -> None:
    vlm = tiny.model(family)
    picture = picture_of(scene.picture())
    asked = ask(vlm, picture, [QUESTION], answers=["The answer is no."])[0]
    method = IntegratedGradients(vlm)
    found = method.find(picture, asked)
    attribution = method.integrated(picture.pixels, asked, found.details["steps"])
    black, full = (
        float(vlm.log_probs(image[None], asked.prompt, asked.answer).sum())
        for image in (torch.zeros_like(picture.pixels), picture.pixels)
    )
    assert abs(full - black) > 0.1
    assert float(attribution.sum()) == pytest.approx(full - black, rel=0.05)
    assert found.details["difference"] == pytest.approx(full - black, abs=1e-4)
    assert found.notes == ()
    cells = asked.prompt.cells
    assert found.heat is not None
    torch.testing.assert_close(found.heat, cells.to_pixels(cells.to_cells(attribution[0]).clamp(min=0)))


def test_steps_are_doubled_until_it_is_complete_and_a_miss_is_said() -> None:
    vlm = tiny.model("llava")
    picture = picture_of(scene.picture())
    asked = ask(vlm, picture, [QUESTION], answers=["The answer is no."])[0]
    once = IntegratedGradients(vlm, steps=1, most_steps=1).find(picture, asked)
    assert once.details["steps"] == 1
    assert "1 steps miss the difference" in once.notes[0]
    doubled = IntegratedGradients(vlm, steps=1).find(picture, asked)
    assert doubled.details["steps"] > 1
    assert doubled.notes == ()
    assert doubled.forwards == 2 + 2 * doubled.details["steps"] - 1
