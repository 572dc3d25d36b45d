# SPDX-License-Identifier: Apache-2.0
"""A chest radiograph to ask about, without any page: questions in, answers with what they rest on out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monai_causal.apps.medfocus.attribute import MedFocus
from monai_causal.apps.medfocus.attribute_case import read_radiograph
from monai_causal.apps.medfocus.attribute_regions import By
from monai_causal.apps.medfocus.masking import Masking
from monai_causal.apps.medfocus.picture import save_overlay
from monai_causal.apps.medfocus.result import MedFocusResult
from monai_causal.apps.medfocus.segmenter import Concepts, ConceptSegmenter, as_image
from monai_causal.apps.medfocus.vlm.loading import load_vlm
from monai_causal.apps.medfocus.vlm.prompts import finding_question
from monai_causal.data.phantoms.chest_causes import FINDING_PHRASES
from monai_causal.files import draft_of
from monai_causal.studio.numbered import next_folder
from monai_causal.studio.watching import Look

__all__ = ["MASKINGS", "QUESTIONS", "RadiographSession"]

MASKINGS: tuple[Masking, ...] = ("zero", "mean", "blur", "inpaint")
QUESTIONS = tuple(finding_question(phrase) for phrase in FINDING_PHRASES.values())
"""What the bundled model was taught to answer."""


class RadiographSession:
    """One radiograph, one model, and any number of questions.

    Args:
        study: a DICOM study or file, or a picture.
        vlm: ``demo``, ``demo-shortcut``, or a folder.
        device: where the model runs.
    """

    def __init__(self, study: Path, vlm: str = "demo", device: str | None = None) -> None:
        self.image = read_radiograph(study)
        self.vlm = load_vlm(vlm, device_map=device)
        self._segmenter = ConceptSegmenter()
        self._concepts: Concepts | None = None

    @property
    def picture(self) -> NDArray[np.float32]:
        """``(1, rows, columns)`` in [0, 1], as the model is shown it."""
        grey, _, _ = as_image(self.image)
        return np.asarray(grey, dtype=np.float32)[None]

    def ask(
        self, question: str, masking: Masking = "zero", by: By = "box", look: Look = lambda: None
    ) -> Iterator[MedFocusResult]:
        """One answer with what it rests on.

        Args:
            question: as it is put to the model.
            masking, by: with what and by which outline a concept is replaced.
            look: see :data:`~monai_causal.studio.watching.Look`.
        """
        if not question.strip():
            raise ValueError("there is no question: type one, such as 'Is there evidence of cardiomegaly?'.")
        if self._concepts is None:
            self._concepts = self._segmenter(self.image)
        look()
        medfocus = MedFocus(self.vlm, self._segmenter, masking=masking, by=by)
        yield medfocus.attribute(self.image, question, concepts=self._concepts)

    def save(self, result: MedFocusResult, out: Path) -> Path:
        """Write what ``monai-causal medfocus attribute`` writes into the next free folder below ``out``."""
        folder = next_folder(out, result.method)
        with draft_of(folder / "image.png") as draft:
            Image.fromarray(np.rint(255 * self.picture[0]).astype(np.uint8)).save(draft)
        result.save(folder / "1.json")
        save_overlay(folder / "1.png", self.image, result)
        return folder
