# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_causal.apps.medfocus.baselines.prompt_boxes import PromptBoxes, read_boxes
from tests.apps.medfocus import scene
from tests.apps.medfocus.golden import BoxReader
from tests.apps.medfocus.scene import BOXES, SIZE

QUESTION = "Is there evidence of pleural effusion in the image?"


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("[100, 200, 500, 400]", [(20, 20, 100, 40)]),
        ("```json\n[[100, 200, 500, 400], [0, 0, 1000, 1000]]\n```", [(20, 20, 100, 40), (0, 0, 200, 100)]),
        ('{"bbox_2d": [100, 200, 500, 400], "label": "heart"}', [(20, 20, 100, 40)]),
        ("The region is (0.1, 0.2, 0.5, 0.4).", [(20, 20, 100, 40)]),
        ("[101, 201, 499, 399]", [(20, 20, 100, 40)]),  # every pixel that is touched
        ("<loc0512><loc0256><loc1023><loc0768> heart", [(50, 50, 150, 100)]),
        ("[100, 200, 500, 400] and again [100, 200, 500, 400]", [(20, 20, 100, 40)]),
        ("[500, 200, 100, 400]", []),
        ("[100, 200, 100, 400]", []),
        ("[100, 200, 1500, 400]", []),
        ("[100, 200, 500]", []),
        ("x = __import__('os').system('true')", []),
        ("I cannot say where.", []),
    ],
)
def test_replies(text: str, boxes: list[tuple[int, int, int, int]]) -> None:
    assert list(read_boxes(text, (100, 200))) == boxes


def test_a_reply_that_cannot_be_read_is_the_whole_image_and_is_kept() -> None:
    vlm = BoxReader(SIZE, (BOXES["left lung"],), says={"Which regions": "On the left."})
    result = PromptBoxes(vlm).attribute(scene.picture(), QUESTION)
    assert result.whole_image
    assert result.heat is None
    assert result.notes[0] == "no box could be read out of the reply"
    assert result.provenance["settings"]["reply"] == "On the left."


def test_the_model_is_told_what_it_answered() -> None:
    asked: list[str] = []

    class Listener(BoxReader):
        def prompt(self, question: str, size: tuple[int, int]):  # type: ignore[no-untyped-def]
            asked.append(question)
            return super().prompt(question, size)

    PromptBoxes(Listener(SIZE, (BOXES["left lung"],))).attribute(scene.picture(), QUESTION)
    assert asked[1].startswith(f"{QUESTION} The answer is: Yes Which regions")
