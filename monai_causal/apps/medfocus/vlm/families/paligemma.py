# SPDX-License-Identifier: Apache-2.0
"""PaliGemma: no chat template; picture and question form a prefix that is read in both directions."""

from __future__ import annotations

from monai_causal.apps.medfocus.vlm.cells import PixelMap
from monai_causal.apps.medfocus.vlm.families.geometry import patch_sheet, seen_box
from monai_causal.apps.medfocus.vlm.language import VisionLanguageModel

__all__ = ["PaliGemma"]


class PaliGemma(VisionLanguageModel):
    family = "paligemma"
    answer_type = 1  # behind the prefix: read from left to right

    def rendered(self, question: str) -> str:
        return f"<image>{question}"  # the processor adds the first token and the line's end

    def cells(self, size: tuple[int, int]) -> PixelMap:
        box, shape = seen_box(self.processor.image_processor, size)
        return PixelMap(size, (patch_sheet(box, shape, self.network.config.vision_config.patch_size),))
