# SPDX-License-Identifier: Apache-2.0
"""What every method begins with: the picture, the question as the model reads it, and the model's own answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_causal.apps.medfocus.segmenter import as_image
from monai_causal.apps.medfocus.vlm.answers import Reading, read_answer
from monai_causal.apps.medfocus.vlm.interface import Answer, AnsweringModel, Prompt
from monai_causal.apps.medfocus.vlm.prompts import Mode, worded

__all__ = ["Asked", "Picture", "ask", "picture_of"]


@dataclass(frozen=True, eq=False)
class Picture:
    """One grey image as it is asked about, at its own size.

    Args:
        pixels: (1, H, W), float32 in [0, 1].
        affine: of the image, if it had one.
        projection: where it came from, if it was one; it knows the way back to the stored picture.
        notes: what was done to the grey values.
    """

    pixels: Tensor
    affine: NDArray[np.float64] | None = None
    projection: Any = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return int(self.pixels.shape[1]), int(self.pixels.shape[2])

    @property
    def provenance(self) -> dict[str, Any]:
        """What identifies the image in a record: a digest of what was shown to the model, and of its file if known."""
        digest = hashlib.sha256(self.pixels.numpy().tobytes()).hexdigest()
        record: dict[str, Any] = {"pixels_sha256": digest, "size": list(self.size)}
        if self.projection is not None:
            record["projection"] = self.projection.provenance.as_dict()
        return record


@dataclass(frozen=True, eq=False)
class Asked:
    """A question about a picture, with the answer that is to be explained.

    Args:
        question: without what tells the model how to answer.
        mode: ``"direct"`` or ``"reasoning"``.
        prompt: as the model reads it.
        answer: the model's own, or a given one.
        reading: ``yes``, ``no`` or ``unclear``.
        notes: what a reader should know.
    """

    question: str
    mode: Mode
    prompt: Prompt
    answer: Answer
    reading: Reading
    notes: tuple[str, ...] = field(default=())


def picture_of(image: Any) -> Picture:
    """A picture from an image.

    Args:
        image: a :class:`~monai_causal.dicom.projection.Projection`, an array or a (Meta)Tensor, as
            :class:`~monai_causal.apps.medfocus.segmenter.ConceptSegmenter` takes it.
    """
    grey, affine, notes = as_image(image)
    projection = image if hasattr(image, "to_source") else None
    return Picture(torch.from_numpy(np.ascontiguousarray(grey))[None], affine, projection, notes)


def ask(
    vlm: AnsweringModel,
    picture: Picture,
    questions: Sequence[str],
    mode: Mode = "direct",
    answers: Sequence[str | None] | None = None,
    max_new_tokens: int = 256,
) -> list[Asked]:
    """Put questions to a model.

    Args:
        vlm: the model; a classifier is asked without instructions on how to word its answer.
        picture: what they are about.
        questions: at least one.
        mode: how the model is told to answer.
        answers: per question an answer to explain instead of the model's own; ``None`` where it should answer.
        max_new_tokens: of an answer.
    """
    if not questions:
        raise ValueError("there is no question to ask; give at least one.")
    given = answers if answers is not None else [None] * len(questions)
    if len(given) != len(questions):
        raise ValueError(f"{len(given)} answers for {len(questions)} questions: give one per question, or None.")
    classifies = vlm.family == "classifier"
    if classifies and mode == "reasoning":
        raise ValueError("mode='reasoning': a classifier does not think aloud; use mode='direct'.")
    asked = []
    for question, text in zip(questions, given, strict=True):
        wording = worded(question, mode)
        prompt = vlm.prompt(question if classifies else wording, picture.size)
        if text is None:
            answer = vlm.generate(picture.pixels, prompt, max_new_tokens=max_new_tokens)
        else:
            answer = vlm.answer(text)
        if not len(answer):
            raise ValueError(
                f"the model said nothing when asked {question!r}: there is no answer to explain; give one with answer=."
            )
        notes = () if answer.complete else (f"the answer was cut off after {max_new_tokens} tokens",)
        asked.append(Asked(question, mode, prompt, answer, read_answer(answer.text), notes))
    return asked
