# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from monai_causal.apps.medfocus.baselines.rise import Rise, random_mask
from monai_causal.intervene.draws import draw_generator
from tests.apps.medfocus import scene
from tests.apps.medfocus.golden import BoxReader
from tests.apps.medfocus.scene import BOXES, SIZE

QUESTION = "Is there evidence of pleural effusion in the image?"
PICTURE = scene.picture()


def test_the_map_equals_a_slow_replica() -> None:
    vlm = BoxReader(SIZE, (BOXES["left lung"],), weights=(5.0,))
    result = Rise(vlm, masks=6, seed=4).attribute(PICTURE, QUESTION)
    prompt = vlm.prompt(QUESTION, SIZE)
    total, passed = torch.zeros(SIZE), torch.zeros(SIZE)
    for draw in range(6):
        mask = random_mask(SIZE, 8, 0.5, draw_generator(4, 0, draw))
        probability = math.exp(float(vlm.log_probs((PICTURE * mask)[None, None], prompt, result.answer)[0, 0]))
        total += probability * mask
        passed += mask
    assert result.heat is not None
    expected = total / passed.clamp(min=1e-12)
    torch.testing.assert_close(result.heat / result.heat.max(), expected / expected.max(), atol=1e-5, rtol=1e-4)
    assert result.runtime.forwards == 7


def test_an_answer_of_vanishing_probability_still_has_a_map() -> None:
    vlm = BoxReader(SIZE, (BOXES["left lung"],), weights=(5.0,))
    certain = Rise(vlm, masks=8).attribute(PICTURE, QUESTION).heat
    vlm._score = lambda pictures: BoxReader._score(vlm, pictures) - 2000  # type: ignore[method-assign]
    unlikely = Rise(vlm, masks=8).attribute(PICTURE, QUESTION).heat
    assert certain is not None
    assert unlikely is not None
    torch.testing.assert_close(certain, unlikely, atol=1e-3, rtol=1e-2)


def test_masks_keep_their_share_and_belong_to_their_draw() -> None:
    masks = torch.stack([random_mask((50, 110), 7, 0.3, draw_generator(0, 0, draw)) for draw in range(400)])
    assert masks.shape == (400, 50, 110)
    assert float(masks.mean()) == pytest.approx(0.3, abs=0.02)
    assert float(masks.mean(0).std()) < 0.05  # shifted: no place is favoured
    assert float(masks.min()) >= 0
    assert float(masks.max()) <= 1
    again = random_mask((50, 110), 7, 0.3, np.random.default_rng([0, 0, 5]))
    assert torch.equal(masks[5], again)
