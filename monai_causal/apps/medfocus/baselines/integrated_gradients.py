# SPDX-License-Identifier: Apache-2.0
"""Integrated gradients (Sundararajan et al. 2017) from a black picture, with completeness checked.

The gradient is taken at the picture's own pixels, through the model's image processor, so that no family's order of
patches matters. It is integrated by Gauss-Legendre quadrature; where the sum misses the answer's difference by more
than 5 %, the steps are doubled.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from monai_causal.apps.medfocus.attribute_asking import Asked, Picture
from monai_causal.apps.medfocus.baselines.base import Baseline, Found
from monai_causal.apps.medfocus.vlm.interface import AnsweringModel

__all__ = ["IntegratedGradients"]

COMPLETE = 0.05
"""Largest miss, of the difference between the picture's and the black picture's log-probability."""


class IntegratedGradients(Baseline):
    """(x - black) times the mean gradient on the way from black to x; its positive part, averaged over image tokens.

    Args:
        vlm: who answers.
        steps: at first.
        most_steps: up to which they are doubled.
        batch_size: pictures per forward; ``None`` takes the model's.
        seed: not used; nothing is drawn.
    """

    name = "integrated-gradients"

    def __init__(
        self,
        vlm: AnsweringModel,
        *,
        steps: int = 24,
        most_steps: int = 96,
        batch_size: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(vlm, batch_size=batch_size, seed=seed)
        if not 1 <= steps <= most_steps:
            raise ValueError(f"steps={steps}, most_steps={most_steps}: at least one step, and no more than the most.")
        self.steps, self.most_steps = steps, most_steps

    def find(self, picture: Picture, asked: Asked) -> Found:
        ends = torch.stack([torch.zeros_like(picture.pixels), picture.pixels])
        first, last = self.vlm.log_probs(ends, asked.prompt, asked.answer, self.batch_size).double().sum(1).tolist()
        steps, forwards = self.steps, 2
        while True:
            attribution = self.integrated(picture.pixels, asked, steps)
            forwards += steps
            missed = abs(float(attribution.double().sum()) - (last - first))
            complete = missed <= COMPLETE * abs(last - first)
            if complete or 2 * steps > self.most_steps:
                break
            steps *= 2
        cells = asked.prompt.cells
        heat = cells.to_pixels(cells.to_cells(attribution.sum(0)).clamp(min=0))
        notes = () if complete else (f"{steps} steps miss the difference {last - first:.3g} by {missed:.3g}",)
        details = {"steps": steps, "difference": last - first, "missed": missed}
        return Found(heat, forwards=forwards, notes=notes, details=details)

    def integrated(self, pixels: Tensor, asked: Asked, steps: int) -> Tensor:
        """The attribution of each pixel of a picture (channels, H, W), alike; it sums to the difference."""
        nodes, weights = (torch.from_numpy(one).float() for one in np.polynomial.legendre.leggauss(steps))
        at, share = (nodes + 1) / 2, weights / 2
        mean = torch.zeros_like(pixels)
        size = self.batch_size or self.vlm.batch_size
        for places, shares in zip(at.split(size), share.split(size), strict=True):
            batch = places[:, None, None, None] * pixels
            slopes = self.vlm.trace(batch, asked.prompt, asked.answer, pixels=True).pixel_gradients
            assert slopes is not None
            mean += (shares[:, None, None, None] * slopes).sum(0)
        return mean * pixels
