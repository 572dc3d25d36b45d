# SPDX-License-Identifier: Apache-2.0
"""What the small model is asked about a phantom, and what a truthful answer says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from monai_causal.apps.medfocus.vlm.prompts import Mode, finding_question, worded
from monai_causal.data.phantoms.chest_causes import FINDING_PHRASES, FINDINGS, SIDES, ZONES

__all__ = ["MODES", "PHRASES", "Exchange", "corpus", "exchange", "reasons"]

MODES: tuple[Mode, ...] = ("direct", "reasoning")

PHRASES: dict[str, tuple[str, ...]] = {
    "cardiomegaly": ("an enlarged heart", "Cardiomegaly"),
    "effusion_left": ("a left-sided pleural effusion",),
    "effusion_right": ("a right-sided pleural effusion",),
    "pneumothorax": ("a pneumothorax", "Pneumothorax"),
    "consolidation": ("a consolidation", "Consolidation", "Lung Opacity"),
    "nodule": ("a nodule", "Lung Nodule"),
    "hilar_enlargement": ("an enlarged hilum", "enlarged hilar structures"),
    "wide_mediastinum": ("a wide mediastinum", "Enlarged Cardiomediastinum"),
}
"""What else each finding is called; the first word for it is the phantoms' own."""

_SEEN = {
    "cardiomegaly": "The cardiac silhouette is too wide for the chest.",
    "effusion_left": "The left costophrenic angle is filled with fluid.",
    "effusion_right": "The right costophrenic angle is filled with fluid.",
    "pneumothorax": "The {side} lung has drawn back from the chest wall.",
    "consolidation": "The {side} lung is dense in its {level} zone.",
    "nodule": "The {side} lung holds a small round shadow.",
    "hilar_enlargement": "The {side} hilar structures are large.",
    "wide_mediastinum": "The upper mediastinum is too wide.",
}
_UNSEEN = {
    "cardiomegaly": "The cardiac silhouette is of normal width.",
    "effusion_left": "The left costophrenic angle is sharp.",
    "effusion_right": "The right costophrenic angle is sharp.",
    "pneumothorax": "Both lungs reach the chest wall.",
    "consolidation": "Both lungs are free of dense zones.",
    "nodule": "Both lungs are free of round shadows.",
    "hilar_enlargement": "The hilar structures are of normal size.",
    "wide_mediastinum": "The upper mediastinum is of normal width.",
}


class Exchange(NamedTuple):
    """A question as the model reads it, and its answer."""

    question: str
    answer: str


def exchange(finding: str, mode: Mode, shown: bool, place: str = "", phrase: str | None = None) -> Exchange:
    """A question about a finding with its truthful answer.

    Args:
        finding: one of the phantoms' findings.
        mode: ``direct`` or ``reasoning``.
        shown: whether it is there.
        place: of a finding that may lie on either side: ``left``, or for a consolidation ``left upper``.
        phrase: what the finding is called; by default the phantoms' own phrase.

    >>> exchange("nodule", "reasoning", True, "left").answer
    'The left lung holds a small round shadow. The answer is yes.'
    """
    question = worded(finding_question(phrase or FINDING_PHRASES[finding]), mode)
    if mode == "direct":
        return Exchange(question, "Yes" if shown else "No")
    return Exchange(question, f"{reasons(finding, shown, place)} The answer is {'yes' if shown else 'no'}.")


def reasons(finding: str, shown: bool, place: str = "") -> str:
    """The sentence that names the anatomy."""
    side, _, level = place.partition(" ")
    return (_SEEN if shown else _UNSEEN)[finding].format(side=side, level=level)


def corpus() -> Iterator[str]:
    """All that is ever asked or said, for the tokenizer."""
    for finding in FINDINGS:
        for mode in MODES:
            for phrase in (FINDING_PHRASES[finding], *PHRASES[finding]):
                for place in (*SIDES, *ZONES):
                    for shown in (True, False):
                        yield from exchange(finding, mode, shown, place, phrase)
