# SPDX-License-Identifier: Apache-2.0
"""Models whose answer about a phantom is known on paper: they compare what they see with what they know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monai_causal.apps.medfocus.vlm.interface import Answer, Prompt
from monai_causal.apps.medground.editors.exact import PhantomEditor, eight_bit
from monai_causal.apps.medground.editors.prompts import NOTHING_ABNORMAL, absent
from monai_causal.apps.medground.sources.phantoms import PhantomCase
from monai_causal.data.phantoms.chest import ChestPhantom
from monai_causal.data.phantoms.chest_causes import FINDING_PHRASES
from tests.apps.medfocus.golden import Box, BoxReader

SIZE = (96, 96)


class Says(BoxReader):
    """Answers as a function of image (H, W) and question says; to methods it is a reader of one box.

    Args:
        says: the text of its answer.
        size: of the pictures.
        box: rows and columns that its scores depend on; on edges of 8 pixels.
    """

    def __init__(
        self,
        says: Callable[[Tensor, str], str],
        size: tuple[int, int] = SIZE,
        box: Box = ((32, 64), (32, 64)),
    ) -> None:
        super().__init__(size, (box,))
        self.says_of = says
        self.asked: list[str] = []

    @property
    def provenance(self) -> dict[str, Any]:
        return {"family": self.family, "reads": [list(side) for side in self.boxes[0]]}

    def generate(self, image: Tensor, prompt: Prompt, max_new_tokens: int = 256) -> Answer:
        self.asked.append(prompt.question)
        return self.answer(self.says_of(image.mean(0), prompt.question))


def always(text: str) -> Says:
    """Whatever it sees."""
    return Says(lambda image, question: text)


def reader(phantom: ChestPhantom, finding: str) -> Says:
    """Reads one region, the finding's box: yes unless it looks there as it would without the finding."""
    (top, bottom), (left, right) = phantom.findings[finding].box
    healthy = torch.from_numpy(phantom.do(**{finding: 0.0}).image[0])[top:bottom, left:right]

    def says(image: Tensor, question: str) -> str:
        change = (image[top:bottom, left:right] - healthy).abs().mean()
        return "Yes." if change > 1.5 / 255 else "No."

    return Says(says)


def truthful(cases: list[PhantomCase], box: Box = ((32, 64), (32, 64))) -> Says:
    """Answers rightly about the phantoms of these cases and about every edit of theirs; knows no other image."""
    shown: dict[bytes, list[str]] = {}
    for case in cases:
        phantom = case.phantom
        edits: list[dict[str, Any]] = [{}]
        for one in case.candidates:
            editor = PhantomEditor(phantom, one.finding)
            mask = phantom.maps.get(one.finding, np.ones(SIZE)).astype(bool)
            first = editor.changes(mask, absent(one.attribute) if one.positive else one.attribute, 0)
            rest = [editor.changes(~mask, prompt, 0) for prompt in (absent(one.attribute), NOTHING_ABNORMAL)]
            edits += [first, *rest]
        for edit in edits:
            other = phantom.do(**edit)
            shown[eight_bit(other.image).tobytes()] = [FINDING_PHRASES[name] for name in other.findings]

    def says(image: Tensor, question: str) -> str:
        there = shown[np.rint(255 * image.numpy()).astype(np.uint8).tobytes()]
        return "Yes" if any(f"of {phrase} in" in question for phrase in there) else "No"

    return Says(says, box=box)
