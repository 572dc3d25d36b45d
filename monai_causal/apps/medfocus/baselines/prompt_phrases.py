# SPDX-License-Identifier: Apache-2.0
"""Prompting for a phrase: the model names its evidence, an open-vocabulary detector finds it, MedSAM draws it."""

from __future__ import annotations

import re
from typing import Any, Protocol

import numpy as np

from monai_causal.apps.medfocus.attribute_asking import Asked, Picture
from monai_causal.apps.medfocus.baselines.base import Baseline, Found
from monai_causal.apps.medfocus.result import Corners
from monai_causal.apps.medfocus.segmenters.base import Image, Refinement, Segmented, tight_box
from monai_causal.apps.medfocus.vlm.interface import AnsweringModel

__all__ = ["Detector", "PromptPhrases", "read_phrases"]

REQUEST = (
    "{question} The answer is: {answer} Name the visible evidence for this answer in one to three short phrases, "
    "separated by semicolons. Give nothing but the phrases."
)


class Detector(Protocol):
    """Finds on an image what a phrase names."""

    @property
    def name(self) -> str: ...

    def __call__(self, image: Image, phrase: str) -> list[tuple[Corners, float]]:
        """An image (H, W) and a phrase to half-open boxes x0 y0 x1 y1 with scores."""


class PromptPhrases(Baseline):
    """The boxes of what the model names, the surest first.

    Args:
        vlm: a vision-language model; a classifier cannot be asked.
        detector: finds the phrases, for instance
            :class:`~monai_causal.apps.medfocus.baselines.zero_shot.ZeroShotDetector`.
        refinement: draws what was found, for instance
            :class:`~monai_causal.apps.medfocus.refine.sam.SamRefinement`; the box is then that of its mask.
        most: phrases, and boxes, that are looked at.
        max_new_tokens: of the model's reply.
        batch_size: not used; there is one picture.
        seed: not used; nothing is drawn.
    """

    name = "prompt-phrases"

    def __init__(
        self,
        vlm: AnsweringModel,
        detector: Detector | None = None,
        refinement: Refinement | None = None,
        *,
        most: int = 3,
        max_new_tokens: int = 48,
        batch_size: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(vlm, batch_size=batch_size, seed=seed)
        if vlm.family == "classifier":
            raise ValueError(f"{self.name}: a classifier does not answer in words; use another method.")
        if detector is None:
            raise ValueError(f"{self.name} needs a detector=: for instance ZeroShotDetector(folder).")
        if most < 1:
            raise ValueError(f"most={most}: at least 1.")
        self.detector, self.refinement = detector, refinement
        self.most, self.max_new_tokens = most, max_new_tokens

    @property
    def settings(self) -> dict[str, Any]:
        refinement = None if self.refinement is None else self.refinement.name
        return {**super().settings, "detector": self.detector.name, "refinement": refinement}

    def find(self, picture: Picture, asked: Asked) -> Found:
        prompt = self.vlm.prompt(REQUEST.format(question=asked.question, answer=asked.answer.text), picture.size)
        reply = self.vlm.generate(picture.pixels, prompt, max_new_tokens=self.max_new_tokens).text
        phrases = read_phrases(reply)[: self.most]
        image: Image = picture.pixels[0].numpy()
        scored = [found for phrase in phrases for found in self.detector(image, phrase)]
        scored.sort(key=lambda found: -found[1])
        boxes = tuple(dict.fromkeys(box for box, _ in scored))[: self.most]
        notes: tuple[str, ...] = () if boxes else (f"the detector found nothing of {len(phrases)} phrases",)
        if boxes and self.refinement is not None:
            boxes, said = self._drawn(image, boxes)
            notes += said
        return Found(boxes=boxes, notes=notes, details={"reply": reply, "phrases": list(phrases)})

    def _drawn(self, image: Image, boxes: tuple[Corners, ...]) -> tuple[tuple[Corners, ...], tuple[str, ...]]:
        """The boxes of what the refinement draws in them."""
        assert self.refinement is not None
        masks = {}
        for number, (x0, y0, x1, y1) in enumerate(boxes):
            masks[str(number)] = np.zeros(image.shape, dtype=bool)
            masks[str(number)][y0:y1, x0:x1] = True
        drawn = self.refinement(image, Segmented(masks, dict.fromkeys(masks, 1.0), (self.detector.name,)))
        tight = [box for name in masks if (box := tight_box(drawn.masks[name])) is not None]
        return tuple((left, top, right, bottom) for (top, bottom), (left, right) in tight), drawn.notes


def read_phrases(text: str) -> tuple[str, ...]:
    """The phrases of a reply: split at semicolons, line ends and list numbers, without marks around them.

    Example:
        >>> read_phrases("1. Enlarged heart; blunted costophrenic angle.")
        ('enlarged heart', 'blunted costophrenic angle')
    """
    parts = re.split(r"[;\n]", text.lower())
    plain = [re.sub(r"^\s*(?:[-*\u2022]|\d+[.)])?\s*|[\s.,\"']+$", "", part).strip("\"' ") for part in parts]
    return tuple(dict.fromkeys(phrase for phrase in plain if any(letter.isalpha() for letter in phrase)))
