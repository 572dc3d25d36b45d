# SPDX-License-Identifier: Apache-2.0
"""MONAI inferers: explanations where an engine or a bundle expects an inferer, and what they leave on disk."""

from __future__ import annotations

from monai_causal.inferers.explanation import Explanation, ExplanationInferer
from monai_causal.inferers.saver import ExplanationSaver

__all__ = ["Explanation", "ExplanationInferer", "ExplanationSaver"]
