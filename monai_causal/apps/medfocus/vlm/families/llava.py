# SPDX-License-Identifier: Apache-2.0
"""LLaVA: the patches of a CLIP or SigLIP tower, one token each."""

from __future__ import annotations

from monai_causal.apps.medfocus.vlm.cells import PixelMap
from monai_causal.apps.medfocus.vlm.families.geometry import patch_sheet, seen_box
from monai_causal.apps.medfocus.vlm.language import VisionLanguageModel

__all__ = ["Llava"]

_TOWERS = ("clip_vision_model", "siglip_vision_model")


class Llava(VisionLanguageModel):
    family = "llava"

    def check(self) -> None:
        tower = self.network.config.vision_config.model_type
        if tower not in _TOWERS:
            raise ValueError(
                f"a LLaVA model with the vision tower {tower!r} is not read here; known: {', '.join(_TOWERS)}."
            )

    def cells(self, size: tuple[int, int]) -> PixelMap:
        box, shape = seen_box(self.processor.image_processor, size)
        return PixelMap(size, (patch_sheet(box, shape, self.network.config.vision_config.patch_size),))
