# SPDX-License-Identifier: Apache-2.0
"""Visualizers: what the engine found as maps, results and pictures."""

from __future__ import annotations

from monai_causal.visualize.dea import DEA
from monai_causal.visualize.ega import EGA
from monai_causal.visualize.gpa import GPA
from monai_causal.visualize.kernel_shap import KernelShap
from monai_causal.visualize.misure import MiSuRe
from monai_causal.visualize.pdcr import PdCR
from monai_causal.visualize.pdcr_result import PdCRResult
from monai_causal.visualize.ria import RIA
from monai_causal.visualize.rise import RISE
from monai_causal.visualize.seg_grad_cam import SegGradCAM

__all__ = ["DEA", "EGA", "GPA", "RIA", "RISE", "KernelShap", "MiSuRe", "PdCR", "PdCRResult", "SegGradCAM"]
