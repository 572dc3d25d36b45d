# SPDX-License-Identifier: Apache-2.0
"""Models that answer questions about pictures: vision-language models of several families, and classifiers."""

from __future__ import annotations

from monai_causal.apps.medfocus.vlm.answers import read_answer
from monai_causal.apps.medfocus.vlm.cells import PixelMap, Sheet
from monai_causal.apps.medfocus.vlm.classifier import Classifier
from monai_causal.apps.medfocus.vlm.interface import Answer, AnsweringModel, Prompt, Trace
from monai_causal.apps.medfocus.vlm.loading import load_vlm
from monai_causal.apps.medfocus.vlm.prompts import finding_question, worded

__all__ = [
    "Answer",
    "AnsweringModel",
    "Classifier",
    "PixelMap",
    "Prompt",
    "Sheet",
    "Trace",
    "finding_question",
    "load_vlm",
    "read_answer",
    "worded",
]
