# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from monai_causal.apps.medfocus.baselines.prompt_phrases import PromptPhrases, read_phrases
from tests.apps.medfocus import scene
from tests.apps.medfocus.golden import BoxReader
from tests.apps.medfocus.scene import BOXES, SIZE

QUESTION = "Is there evidence of pleural effusion in the image?"


@pytest.mark.parametrize(
    ("reply", "phrases"),
    [
        ("Enlarged heart; blunted angle.", ("enlarged heart", "blunted angle")),
        ('1. Enlarged heart\n2) Blunted angle\n- "opacity"', ("enlarged heart", "blunted angle", "opacity")),
        ("opacity; Opacity.", ("opacity",)),
        ("...; 12;", ()),
    ],
)
def test_phrases(reply: str, phrases: tuple[str, ...]) -> None:
    assert read_phrases(reply) == phrases


class Finder:
    name = "finder"
    asked: list[str]

    def __init__(self) -> None:
        self.asked = []

    def __call__(self, image: Any, phrase: str) -> list[Any]:
        assert image.shape == SIZE
        self.asked.append(phrase)
        return [((0, 0, 10, 10), 0.4)] if phrase == "opacity" else [((10, 20, 40, 50), 0.8), ((0, 0, 10, 10), 0.1)]


class Shrinks:
    """A refinement that keeps the upper left quarter of each box, and nothing of a small one."""

    name = "shrinks"

    def __call__(self, image: Any, found: Any) -> Any:
        masks = {}
        for name, mask in found.masks.items():
            rows, columns = np.nonzero(mask)
            masks[name] = mask.copy()
            masks[name][rows.min() + np.ptp(rows) // 2 + 1 :] = False
            masks[name][:, columns.min() + np.ptp(columns) // 2 + 1 :] = False
            if mask.sum() < 200:
                masks[name][:] = False
        return found.then(self.name, masks, notes=("drew",))


def vlm(reply: str) -> BoxReader:
    return BoxReader(SIZE, (BOXES["left lung"],), says={"Name the visible": reply})


def test_the_surest_boxes_of_the_named_phrases_come_first_and_once() -> None:
    finder = Finder()
    result = PromptPhrases(vlm("Opacity; large heart; a; b"), finder).attribute(scene.picture(), QUESTION)
    assert finder.asked == ["opacity", "large heart", "a"]
    assert result.boxes == ((10, 20, 40, 50), (0, 0, 10, 10))
    assert result.provenance["settings"]["phrases"] == ["opacity", "large heart", "a"]
    assert result.provenance["settings"]["detector"] == "finder"


def test_a_refinement_draws_the_boxes_anew() -> None:
    result = PromptPhrases(vlm("large heart"), Finder(), Shrinks()).attribute(scene.picture(), QUESTION)
    assert result.boxes == ((10, 20, 25, 35),)
    assert result.notes == ("drew",)
    assert result.provenance["settings"]["refinement"] == "shrinks"


def test_nothing_named_is_the_whole_image() -> None:
    result = PromptPhrases(vlm("..."), Finder()).attribute(scene.picture(), QUESTION)
    assert result.whole_image
    assert result.notes[0] == "the detector found nothing of 0 phrases"
