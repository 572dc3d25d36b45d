# SPDX-License-Identifier: Apache-2.0
"""The families of vision-language models that are read, by transformers' ``model_type``."""

from __future__ import annotations

from monai_causal.apps.medfocus.vlm.families.gemma3 import Gemma3
from monai_causal.apps.medfocus.vlm.families.idefics3 import Idefics3, SmolVLM
from monai_causal.apps.medfocus.vlm.families.llava import Llava
from monai_causal.apps.medfocus.vlm.families.paligemma import PaliGemma
from monai_causal.apps.medfocus.vlm.families.qwen2_5_vl import Qwen25VL
from monai_causal.apps.medfocus.vlm.language import VisionLanguageModel

__all__ = ["FAMILIES"]

FAMILIES: dict[str, type[VisionLanguageModel]] = {
    family.family: family for family in (Gemma3, Idefics3, Llava, PaliGemma, Qwen25VL, SmolVLM)
}
