# SPDX-License-Identifier: Apache-2.0
"""The engine: do(region := fill), ask the network again, compare.

``Regions`` say where, a ``Fill`` with what, a ``Score`` compares, the ``Evaluator`` runs it and gives ``Effects``.
"""

from __future__ import annotations

from monai_causal.intervene.effects import Effects, RunRecord
from monai_causal.intervene.evaluator import Evaluator
from monai_causal.intervene.fills import BlurFill, CallableFill, ConstantFill, DonorPatchFill, Fill, MeanFill
from monai_causal.intervene.inpainting import InpaintFill
from monai_causal.intervene.modules import ModuleRegions, module_regions
from monai_causal.intervene.regions import (
    Region,
    Regions,
    box_regions,
    grid_regions,
    label_regions,
    mask_regions,
    superpixel_regions,
)
from monai_causal.intervene.scores import (
    CallableScore,
    MaskedMeanLogit,
    MaskedMeanProbability,
    RoIDice,
    RoIForegroundShare,
    RoIIoU,
    Score,
)

__all__ = [
    "BlurFill",
    "CallableFill",
    "CallableScore",
    "ConstantFill",
    "DonorPatchFill",
    "Effects",
    "Evaluator",
    "Fill",
    "InpaintFill",
    "MaskedMeanLogit",
    "MaskedMeanProbability",
    "MeanFill",
    "ModuleRegions",
    "Region",
    "Regions",
    "RoIDice",
    "RoIForegroundShare",
    "RoIIoU",
    "RunRecord",
    "Score",
    "box_regions",
    "grid_regions",
    "label_regions",
    "mask_regions",
    "module_regions",
    "superpixel_regions",
]
