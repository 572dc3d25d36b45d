# SPDX-License-Identifier: Apache-2.0
"""What a source offers: images, each with yes/no questions whose answers and boxes experts (or causes) gave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_causal.apps.medfocus.vlm.prompts import finding_question
from monai_causal.apps.medground.editors.base import Editor

__all__ = ["Candidate", "Case", "Corners", "Pixels", "Source", "box_mask"]

Corners = tuple[int, int, int, int]
"""``x0, y0, x1, y1``, half-open, in native pixels."""
Pixels = NDArray[np.uint8]
"""(H, W), as the model and every editor see it."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Candidate:
    """A question with its true answer, before any filter.

    Args:
        index: its running number in the data set.
        finding: what the data set calls it.
        attribute: what the question calls it.
        positive: whether it is there.
        boxes: where, in native pixels; none for a finding that is not there.
        concepts: the anatomy that shows it, the narrowest first, where that is known.
    """

    index: int
    finding: str
    attribute: str
    positive: bool
    boxes: tuple[Corners, ...] = ()
    concepts: tuple[str, ...] = ()

    @property
    def question(self) -> str:
        """The published template."""
        return finding_question(self.attribute)

    @property
    def answer(self) -> str:
        return "Yes" if self.positive else "No"


class Case(ABC):
    """One image with its questions.

    Args:
        name: of the image in its data set; no path.
        candidates: as far as they are known before the image is read.
    """

    def __init__(self, name: str, candidates: Sequence[Candidate]) -> None:
        self.name, self.candidates = name, tuple(candidates)

    @abstractmethod
    def pixels(self) -> Pixels:
        """The image at its native size, 8 bits of grey, upright."""

    def located(self, candidate: Candidate) -> Candidate:
        """The candidate with its boxes, where only the image tells them; else as it is.

        Raises:
            ValueError: nothing of the finding can be seen.
        """
        return candidate

    def mask(self, candidate: Candidate) -> Mask | None:
        """The finding's outline, (H, W); None where only boxes are known."""
        return None

    def editor(self, candidate: Candidate) -> Editor | None:
        """An editor that knows the image's causes; None where nobody knows them."""
        return None


class Source(ABC):
    """Where images, questions and boxes come from."""

    name: str
    """Of the data set, as records call it."""

    @property
    @abstractmethod
    def record(self) -> dict[str, Any]:
        """What identifies the source's content; no path of this machine."""

    @abstractmethod
    def cases(self, count: int | None, negatives: float) -> Iterator[Case]:
        """Image by image, always in the same order.

        Args:
            count: of candidates in all, over the images; None takes what there is.
            negatives: share of the candidates that ask about what is not there.
        """


def box_mask(boxes: Sequence[Corners], size: tuple[int, int]) -> Mask:
    """(H, W): True in the union of boxes.

    Example:
        >>> int(box_mask([(0, 0, 2, 3)], (4, 4)).sum())
        6
    """
    mask = np.zeros(size, dtype=bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask
