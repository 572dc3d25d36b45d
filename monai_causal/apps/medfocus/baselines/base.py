# SPDX-License-Identifier: Apache-2.0
"""What all methods beside MedFocus have in common: the model's answer in, a map or boxes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, ClassVar

from torch import Tensor

from monai_causal.apps.medfocus.attribute_asking import Asked, Picture, ask, picture_of
from monai_causal.apps.medfocus.result import Attribution, Corners, Runtime, common
from monai_causal.apps.medfocus.vlm.interface import AnsweringModel
from monai_causal.apps.medfocus.vlm.prompts import Mode
from monai_causal.metrics import saliency_to_boxes

__all__ = ["Baseline", "Found", "heat_boxes"]

PUBLISHED_SIDE = 224
"""Side of the images on which the paper's smallest area, 16 pixels, is measured."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a method found.

    Args:
        heat: (H, W), 0 or more, higher where the answer is supported more; None for methods that give boxes only.
        boxes: of those methods, half-open; the strongest first.
        forwards: pictures that went through the model, generated answers not counted.
        notes: what a reader should know.
        details: for the record.
    """

    heat: Tensor | None = None
    boxes: tuple[Corners, ...] = ()
    forwards: int = 0
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


class Baseline(ABC):
    """A method on MedFocus's interface.

    Args:
        vlm: who answers.
        batch_size: pictures per forward; ``None`` takes the model's.
        seed: of methods that draw.
    """

    name: ClassVar[str]
    """The method's id."""

    def __init__(self, vlm: AnsweringModel, *, batch_size: int | None = None, seed: int = 0) -> None:
        self.vlm, self.batch_size, self.seed = vlm, batch_size, seed

    @abstractmethod
    def find(self, picture: Picture, asked: Asked) -> Found:
        """Where the answer comes from."""

    @property
    def settings(self) -> dict[str, Any]:
        """For the record."""
        plain = (str, int, float, bool, type(None))
        return {name: value for name, value in vars(self).items() if isinstance(value, plain)}

    def attribute(
        self, image: Any, question: str, mode: Mode = "direct", *, answer: str | None = None, max_new_tokens: int = 256
    ) -> Attribution:
        """Where the answer to a question comes from; asked as
        :meth:`MedFocus <monai_causal.apps.medfocus.attribute.MedFocus.attribute>` is.

        A map's boxes are its hottest parts as published
        (:func:`~monai_causal.metrics.boxes.saliency_to_boxes`); a map without any is the whole image, and says so.
        """
        start = perf_counter()
        picture = picture_of(image)
        asked = ask(self.vlm, picture, [question], mode, [answer], max_new_tokens)[0]
        answered = perf_counter()
        found = self.find(picture, asked)
        end = perf_counter()
        log_prob = self.vlm.log_probs(picture.pixels[None], asked.prompt, asked.answer).double().sum()
        boxes = found.boxes if found.heat is None else heat_boxes(found.heat)
        notes = found.notes if boxes else (*found.notes, f"{self.name} points to no place: the whole image is reported")
        return common(
            Attribution,
            picture,
            asked,
            self.vlm,
            method=self.name,
            log_prob=float(log_prob),
            boxes=boxes,
            heat=found.heat,
            notes=notes,
            runtime=Runtime(end - start, found.forwards, {"answer": answered - start, "attribution": end - answered}),
            settings={**self.settings, **found.details},
        )


def heat_boxes(heat: Tensor) -> tuple[Corners, ...]:
    """The boxes of a map's hottest parts, half-open.

    The published smallest area, 16 pixels of an image of 224 x 224, is taken relative to the image, so that an image in
    another size has the same boxes.

    Example:
        >>> import torch
        >>> heat = torch.zeros(224, 224)
        >>> heat[10:20, 30:60] = 1
        >>> heat_boxes(heat)
        ((30, 10, 60, 20),)
    """
    smallest = max(1, round(16 * heat.numel() / PUBLISHED_SIDE**2))
    found = saliency_to_boxes(heat, min_area=smallest)
    return tuple((x0, y0, x1 + 1, y1 + 1) for x0, y0, x1, y1 in found)
