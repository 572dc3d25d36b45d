# SPDX-License-Identifier: Apache-2.0
"""Idefics3 and SmolVLM: tiles of the picture, row by row, and then the whole picture once more."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from monai_causal.apps.medfocus.vlm.cells import Interval, PixelMap, Sheet
from monai_causal.apps.medfocus.vlm.families.geometry import patch_sheet
from monai_causal.apps.medfocus.vlm.language import VisionLanguageModel

__all__ = ["Idefics3", "SmolVLM"]


class Idefics3(VisionLanguageModel):
    family = "idefics3"

    @property
    def decoder(self) -> nn.Module:
        found: nn.Module = self.network.model.text_model
        return found

    def vision(self, images: Tensor, **options: Any) -> dict[str, Any]:
        nested = [[image] for image in images]
        seen = dict(self._images(images=nested, return_tensors="pt", return_row_col_info=False, **options))
        # The network takes a tile of nothing but zeros for padding and drops it, and an erased or mid-grey tile is one.
        tiles = seen["pixel_values"].to(self.network.dtype)
        blank = (tiles == 0).flatten(2).all(-1)[..., None, None, None]
        seen["pixel_values"] = torch.where(blank, tiles + torch.finfo(tiles.dtype).tiny, tiles)
        return seen

    def cells(self, size: tuple[int, int]) -> PixelMap:
        blank = [[torch.zeros((3, *size))]]
        laid_out = self._images(images=blank, return_tensors="pt", return_row_col_info=True)
        rows, columns = int(laid_out["rows"][0][0]), int(laid_out["cols"][0][0])
        shape = tuple(laid_out["pixel_values"].shape[-2:])
        cell = self.network.config.vision_config.patch_size * self.network.config.scale_factor

        def sheet(vertical: Interval, horizontal: Interval) -> Sheet:
            return patch_sheet((vertical, horizontal), shape, cell)

        height, width = size
        tiles = [
            sheet(
                (row * height / rows, (row + 1) * height / rows), (col * width / columns, (col + 1) * width / columns)
            )
            for row in range(rows)
            for col in range(columns)
        ]
        return PixelMap(size, (*tiles, sheet((0, height), (0, width))))


class SmolVLM(Idefics3):
    family = "smolvlm"
