# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import torch

from monai_causal.apps.medfocus.attribute_asking import ask, picture_of
from monai_causal.apps.medfocus.vlm import Classifier
from monai_causal.apps.medfocus.vlm.interface import Answer, Prompt
from tests.apps.medfocus import scene
from tests.apps.medfocus.golden import BoxReader
from tests.apps.medfocus.scene import BOXES, SIZE

PICTURE = picture_of(scene.picture())


class Chatty(BoxReader):
    """Says what it is told, and is cut off when it says more than it may."""

    def __init__(self, text: str) -> None:
        super().__init__(SIZE, (BOXES["left lung"],))
        self.text = text

    def generate(self, image: torch.Tensor, prompt: Prompt, max_new_tokens: int = 256) -> Answer:
        assert image.shape == (1, *SIZE)
        words = tuple(f" {word}" for word in self.text.split())
        kept = words[:max_new_tokens]
        return Answer("".join(kept), tuple(range(len(kept))), kept, complete=len(words) <= max_new_tokens)


@pytest.mark.parametrize(
    ("mode", "ending"),
    [
        ("direct", "Answer directly with yes or no without any explanation."),
        ("reasoning", "Think step by step and answer with yes or no."),
    ],
)
def test_the_question_is_worded_for_its_mode(mode: Any, ending: str) -> None:
    asked = ask(Chatty("The heart is large. So the answer is yes."), PICTURE, ["Is it?"], mode)[0]
    assert asked.prompt.question == f"Is it? {ending}"
    assert (asked.question, asked.mode, asked.reading, asked.notes) == ("Is it?", mode, "yes", ())


def test_an_answer_that_was_cut_off_says_so() -> None:
    asked = ask(Chatty("The heart is large. So the answer is yes."), PICTURE, ["Is it?"], max_new_tokens=3)[0]
    assert asked.answer.text == " The heart is"
    assert asked.reading == "unclear"
    assert asked.notes == ("the answer was cut off after 3 tokens",)


def test_given_answers_take_the_place_of_the_models_own() -> None:
    own, given = ask(Chatty("No."), PICTURE, ["a?", "b?"], answers=[None, "Yes"])
    assert (own.reading, given.reading) == ("no", "yes")


def test_a_classifier_is_asked_without_instructions() -> None:
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(1, 2))
    vlm = Classifier(network, ["no", "effusion"], channels=1, activation="sigmoid")
    assert ask(vlm, PICTURE, ["Is there an effusion?"])[0].prompt.question == "Is there an effusion?"


def test_a_picture_is_known_by_its_digest() -> None:
    grey = scene.picture().numpy()
    record = picture_of(np.asfortranarray(grey)).provenance
    assert record == {
        "pixels_sha256": hashlib.sha256(np.ascontiguousarray(grey).tobytes()).hexdigest(),
        "size": [64, 96],
    }
    assert picture_of((grey * 300).astype(np.float32)).notes  # brought to [0, 1]
