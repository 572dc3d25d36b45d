# SPDX-License-Identifier: Apache-2.0
"""What makes counterfactual images, behind one interface: image, mask, prompt and seed in, image out."""

from __future__ import annotations

from monai_causal.apps.medground.editors.base import Editor, PixelEditor
from monai_causal.apps.medground.editors.cache import EditCache
from monai_causal.apps.medground.editors.exact import PhantomEditor
from monai_causal.apps.medground.editors.inpainting import InpaintingEditor
from monai_causal.apps.medground.editors.prompts import NOTHING_ABNORMAL, absent
from monai_causal.apps.medground.editors.radedit import RadEdit, RadEditSettings, load_radedit

__all__ = [
    "NOTHING_ABNORMAL",
    "EditCache",
    "Editor",
    "InpaintingEditor",
    "PhantomEditor",
    "PixelEditor",
    "RadEdit",
    "RadEditSettings",
    "absent",
    "load_radedit",
]
