# SPDX-License-Identifier: Apache-2.0
"""Gemma3 and MedGemma: a SigLIP tower whose patches are averaged to 16 x 16 tokens."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from monai_causal.apps.medfocus.vlm.cells import PixelMap
from monai_causal.apps.medfocus.vlm.families.geometry import patch_sheet, seen_box
from monai_causal.apps.medfocus.vlm.language import VisionLanguageModel

__all__ = ["Gemma3"]


class Gemma3(VisionLanguageModel):
    family = "gemma3"

    def check(self) -> None:
        if self.processor.image_processor.do_pan_and_scan:
            raise ValueError(
                "this Gemma3 processor pans and scans, so that its tokens lie on crops of a changing number; set "
                '"do_pan_and_scan" to false in processor_config.json (or preprocessor_config.json).'
            )

    def vision(self, images: Tensor, **options: Any) -> dict[str, Any]:
        seen = super().vision(images, **options)
        seen.pop("num_crops", None)  # for the processor's own use
        return seen

    def cells(self, size: tuple[int, int]) -> PixelMap:
        box, shape = seen_box(self.processor.image_processor, size)
        tower = self.network.config.vision_config
        side = int(self.network.config.mm_tokens_per_image**0.5)
        pooled = tower.image_size // tower.patch_size // side
        return PixelMap(size, (patch_sheet(box, shape, pooled * tower.patch_size),))
