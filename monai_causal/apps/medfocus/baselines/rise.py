# SPDX-License-Identifier: Apache-2.0
"""RISE (Petsiuk et al. 2018): how likely the answer is, on average, when a pixel is let through random soft masks."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from monai_causal.apps.medfocus.attribute_asking import Asked, Picture
from monai_causal.apps.medfocus.attribute_drops import token_drops
from monai_causal.apps.medfocus.baselines.base import Baseline, Found
from monai_causal.apps.medfocus.vlm.interface import AnsweringModel
from monai_causal.intervene import CallableFill, Region, box_regions
from monai_causal.intervene.draws import draw_generator

__all__ = ["Rise", "random_mask"]


class Rise(Baseline):
    """The mean of the answer's probability over masks, each pixel by how much every mask lets through (Eq. 4).

    To the engine the whole picture is one region, and each mask is a draw.

    Args:
        vlm: who answers.
        masks: how many.
        cells: of a mask's coarse grid, per axis.
        keep: probability that a cell lets through.
        batch_size: pictures per forward; ``None`` takes the model's.
        seed: of the masks.
    """

    name = "rise"

    def __init__(
        self,
        vlm: AnsweringModel,
        *,
        masks: int = 64,
        cells: int = 8,
        keep: float = 0.5,
        batch_size: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(vlm, batch_size=batch_size, seed=seed)
        if masks < 2 or cells < 1 or not 0 < keep < 1:
            raise ValueError(
                f"masks={masks}, cells={cells}, keep={keep}: at least two masks of one cell, kept with a probability "
                "between 0 and 1."
            )
        self.masks, self.cells, self.keep = masks, cells, keep

    def find(self, picture: Picture, asked: Asked) -> Found:
        everything = box_regions(picture.size, [tuple((0, length) for length in picture.size)])

        def dimmed(original: Tensor, region: Region, generator: np.random.Generator) -> Tensor:
            return original * random_mask(picture.size, self.cells, self.keep, generator)

        drops, record = token_drops(
            self.vlm,
            picture.pixels,
            [asked],
            everything,
            CallableFill(dimmed),
            draws=self.masks,
            batch_size=self.batch_size,
            seed=self.seed,
        )
        # Relative to the likeliest, since a long answer's probability is below the smallest number.
        scores = drops[0].log_probs[0]
        weights = (scores - scores.max()).exp()
        weighted, passed = (torch.zeros(picture.size, dtype=torch.float64) for _ in range(2))
        for draw, weight in enumerate(weights.tolist()):
            generator = draw_generator(self.seed, everything[0].id, draw)
            mask = random_mask(picture.size, self.cells, self.keep, generator).double()
            weighted += weight * mask
            passed += mask
        heat = torch.where(passed > 0, weighted / torch.where(passed > 0, passed, 1), 0)
        return Found(heat.float(), forwards=record.forwards, notes=tuple(record.notes))


def random_mask(size: tuple[int, int], cells: int, keep: float, generator: np.random.Generator) -> Tensor:
    """A soft mask (H, W) in [0, 1]: a coarse random grid, enlarged linearly and shifted at random by up to a cell."""
    coarse = (generator.random((cells + 1, cells + 1)) < keep).astype(np.float32)
    cell = [-(-length // cells) for length in size]
    fine = F.interpolate(
        torch.from_numpy(coarse)[None, None],
        size=[(cells + 1) * length for length in cell],
        mode="bilinear",
        align_corners=False,
    )[0, 0]
    top, left = (int(generator.integers(length)) for length in cell)
    return fine[top : top + size[0], left : left + size[1]]
