# SPDX-License-Identifier: Apache-2.0
"""Prompting for boxes: the model is asked where it saw what it answered."""

from __future__ import annotations

import re

from monai_causal.apps.medfocus.attribute_asking import Asked, Picture
from monai_causal.apps.medfocus.baselines.base import Baseline, Found
from monai_causal.apps.medfocus.result import Corners
from monai_causal.apps.medfocus.vlm.interface import AnsweringModel

__all__ = ["PromptBoxes", "read_boxes"]

REQUEST = (
    "{question} The answer is: {answer} Which regions of the image is this answer based on? "
    "Give each as [x0, y0, x1, y1] with whole numbers from 0 to 1000, where [0, 0, 1000, 1000] is the whole image. "
    "Give nothing but the list."
)
THOUSAND = 1000
LOCATIONS = 1024  # of PaliGemma's tokens

_NUMBER = r"\s*(\d+(?:\.\d+)?)\s*"
_QUADRUPLE = re.compile(rf"[\[(]{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}[\])]")
_LOCATION = re.compile(r"<loc(\d{4})>\s*<loc(\d{4})>\s*<loc(\d{4})>\s*<loc(\d{4})>")


class PromptBoxes(Baseline):
    """What the model points at when it is asked in words; a box that cannot be read counts as none.

    Args:
        vlm: a vision-language model; a classifier cannot be asked.
        max_new_tokens: of its reply.
        batch_size: not used; there is one picture.
        seed: not used; nothing is drawn.
    """

    name = "prompt-boxes"

    def __init__(
        self, vlm: AnsweringModel, *, max_new_tokens: int = 128, batch_size: int | None = None, seed: int = 0
    ) -> None:
        super().__init__(vlm, batch_size=batch_size, seed=seed)
        if vlm.family == "classifier":
            raise ValueError(f"{self.name}: a classifier does not answer in words; use another method.")
        self.max_new_tokens = max_new_tokens

    def find(self, picture: Picture, asked: Asked) -> Found:
        prompt = self.vlm.prompt(REQUEST.format(question=asked.question, answer=asked.answer.text), picture.size)
        reply = self.vlm.generate(picture.pixels, prompt, max_new_tokens=self.max_new_tokens).text
        boxes = read_boxes(reply, picture.size)
        notes = () if boxes else ("no box could be read out of the reply",)
        return Found(boxes=boxes, notes=notes, details={"reply": reply})


def read_boxes(text: str, size: tuple[int, int]) -> tuple[Corners, ...]:
    """Boxes in a reply, as half-open pixels of a picture, each pixel that a box touches included.

    Read are ``[x0, y0, x1, y1]`` in thousandths, as asked for; the same in fractions, where no number is above 1; and
    PaliGemma's ``<locY0><locX0><locY1><locX1>``. What is empty or leaves the picture is no box. Nothing is evaluated.

    Args:
        text: of the reply.
        size: height and width of the picture.

    Example:
        >>> read_boxes("[[100, 200, 500, 400]]", (224, 224))
        ((22, 44, 112, 90),)
    """
    found = []
    for match in _LOCATION.finditer(text):
        y0, x0, y1, x1 = (int(number) / LOCATIONS for number in match.groups())
        found.append((x0, y0, x1, y1))
    for match in _QUADRUPLE.finditer(text):
        numbers = [float(number) for number in match.groups()]
        scale = 1 if max(numbers) <= 1 else THOUSAND
        found.append(tuple(number / scale for number in numbers))  # type: ignore[arg-type]
    height, width = size
    boxes = []
    for x0, y0, x1, y1 in found:
        if 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1:
            corners = (int(x0 * width), int(y0 * height), -int(-x1 * width // 1), -int(-y1 * height // 1))
            boxes.append(corners)
    return tuple(dict.fromkeys(boxes))
