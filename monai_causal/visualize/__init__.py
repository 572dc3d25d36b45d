# SPDX-License-Identifier: Apache-2.0
"""Visualizers: what the engine found as maps, results and pictures."""

from __future__ import annotations

from monai_causal.visualize.pdcr import PdCR
from monai_causal.visualize.pdcr_result import PdCRResult

__all__ = ["PdCR", "PdCRResult"]
