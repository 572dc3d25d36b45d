# SPDX-License-Identifier: Apache-2.0
"""Qwen2.5-VL: a grid that follows the picture's shape, its patches merged two by two.

The processor hands the patches over in the order of the merge, not row by row; the tokens behind the merger are in rows
again. Gradients are taken at the picture, so that nothing has to be sorted back.
"""

from __future__ import annotations

import torch

from monai_causal.apps.medfocus.vlm.cells import PixelMap, Sheet
from monai_causal.apps.medfocus.vlm.language import VisionLanguageModel

__all__ = ["Qwen25VL"]


class Qwen25VL(VisionLanguageModel):
    family = "qwen2_5_vl"

    def cells(self, size: tuple[int, int]) -> PixelMap:
        _, rows, columns = self.vision(torch.zeros((1, 3, *size)))["image_grid_thw"][0].tolist()
        merge = self.network.config.vision_config.spatial_merge_size
        # The resized picture is a whole number of merged patches in both directions.
        height, width = size
        return PixelMap(size, (Sheet((rows // merge, columns // merge), ((0, height), (0, width))),))
