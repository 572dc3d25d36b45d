# SPDX-License-Identifier: Apache-2.0
"""Methods that replace one region after another: occlusion as in the paper, and the engine's grid and superpixels.

A region's heat is its support of the answer: the drops of the tokens' log-probabilities, clipped at 0 and summed.
"""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from monai_causal.apps.medfocus.attribute_asking import Asked, Picture
from monai_causal.apps.medfocus.attribute_drops import token_drops
from monai_causal.apps.medfocus.baselines.base import Baseline, Found
from monai_causal.apps.medfocus.masking import Masking, masking_fill
from monai_causal.apps.medfocus.vlm.interface import AnsweringModel
from monai_causal.intervene import Regions, grid_regions, superpixel_regions

__all__ = ["Grid", "Occlusion", "Regional", "Superpixel"]


class Regional(Baseline):
    """One region after another.

    Args:
        vlm: who answers.
        regions: about how many: per axis for grids, in all for superpixels.
        masking: with what a region is replaced.
        batch_size: pictures per forward; ``None`` takes the model's.
        seed: of maskings that draw.
    """

    default_regions: int
    default_masking: Masking = "mean"

    def __init__(
        self,
        vlm: AnsweringModel,
        *,
        regions: int | None = None,
        masking: Masking | None = None,
        batch_size: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(vlm, batch_size=batch_size, seed=seed)
        self.regions = self.default_regions if regions is None else regions
        self.masking: Masking = self.default_masking if masking is None else masking
        if self.regions < 1:
            raise ValueError(f"regions={regions}: at least 1.")
        masking_fill(self.masking, (1, 1))  # a wrong name shows here

    @abstractmethod
    def where(self, pixels: Tensor) -> Regions:
        """The regions of a picture (channels, H, W)."""

    def find(self, picture: Picture, asked: Asked) -> Found:
        regions = self.where(picture.pixels)
        fill = masking_fill(self.masking, picture.size)
        drops, record = token_drops(
            self.vlm, picture.pixels, [asked], regions, fill, batch_size=self.batch_size, seed=self.seed
        )
        heat = regions.to_map(drops[0].support[:, 0].float())
        return Found(heat, forwards=record.forwards, notes=tuple(record.notes), details={"count": len(regions)})


class Occlusion(Regional):
    """8 x 8 tiles, each set to black (Zeiler and Fergus 2014)."""

    name = "occlusion"
    default_regions = 8
    default_masking = "zero"

    def where(self, pixels: Tensor) -> Regions:
        return grid_regions(pixels.shape[1:], cells=self.regions)


class Grid(Regional):
    """The engine's cells: 14 x 14, each set to the picture's mean."""

    name = "grid"
    default_regions = 14

    def where(self, pixels: Tensor) -> Regions:
        return grid_regions(pixels.shape[1:], cells=self.regions)


class Superpixel(Regional):
    """SLIC superpixels, each set to the picture's mean."""

    name = "superpixel"
    default_regions = 100

    def where(self, pixels: Tensor) -> Regions:
        return superpixel_regions(pixels, self.regions)
