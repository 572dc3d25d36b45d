# SPDX-License-Identifier: Apache-2.0
"""A segmenter that looks elsewhere: its answer at p is read from the pixel at p - d, and from nowhere else.

logit(p) = gain * (x[p - d] - 0.5), where x is 0 outside the image, so the hard prediction at p is [x[p - d] > 0.5] and
background wherever p - d lies outside. An intervention can change the answer inside a RoI only where it meets RoI - d.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

__all__ = ["PlantedContext"]


class PlantedContext(nn.Module):
    """One convolution with a single non-zero tap, (B, 1, *spatial) -> (B, 1, *spatial), float64.

    Args:
        offset: d, in pixels per axis; two or three of them, of either sign.
        gain: slope of the logit, above 0. It sharpens the probability and leaves the hard prediction alone.
    """

    def __init__(self, offset: Sequence[int], gain: float = 10.0) -> None:
        super().__init__()
        self.offset = tuple(offset)
        reach = tuple(abs(d) for d in self.offset)
        kernel = tuple(2 * h + 1 for h in reach)
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[len(reach)]
        self.convolution = convolution(1, 1, kernel, padding=reach, dtype=torch.float64).requires_grad_(False)
        self.convolution.weight.zero_()
        # tap t reads x[p + t - h], so x[p - d] is at t = h - d
        self.convolution.weight[(0, 0, *(h - d for h, d in zip(reach, self.offset, strict=True)))] = gain
        self.convolution.bias.fill_(-0.5 * gain)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.convolution(image)

    def reads(self, roi_box: Sequence[tuple[int, int]], size: Sequence[int]) -> NDArray[np.bool_]:
        """RoI - d inside an image of the given size, (*spatial): the pixels that the answer in the RoI depends on."""
        read = np.zeros(tuple(size), dtype=bool)
        read[tuple(slice(max(a - d, 0), max(b - d, 0)) for (a, b), d in zip(roi_box, self.offset, strict=True))] = True
        return read

    def prediction(self, image: ArrayLike) -> NDArray[np.bool_]:
        """The hard prediction, (1, *spatial) -> (*spatial), in closed form."""
        bright = np.asarray(image)[0] > 0.5
        predicted = np.zeros_like(bright)
        answered = np.argwhere(bright) + self.offset
        inside = ((answered >= 0) & (answered < bright.shape)).all(axis=1)
        predicted[tuple(answered[inside].T)] = True
        return predicted

    def dice(self, image: ArrayLike, roi_box: Sequence[tuple[int, int]], reference: ArrayLike) -> float:
        """Dice x 100 of the hard prediction against a reference mask (*spatial) inside the RoI, in closed form.

        The reference must not be empty inside the RoI: Dice would be 0 whatever the network says.
        """
        roi = tuple(slice(start, stop) for start, stop in roi_box)
        predicted = self.prediction(image)[roi]
        true = np.asarray(reference, dtype=bool)[roi]
        if not true.any():
            raise ValueError(f"reference is empty inside the RoI {tuple(roi_box)}: choose a RoI with some of it")
        return 200.0 * float((predicted & true).sum()) / float(predicted.sum() + true.sum())

    def dice_effect(
        self,
        image: ArrayLike,
        replacement_image: ArrayLike,
        region_mask: ArrayLike,
        roi_box: Sequence[tuple[int, int]],
        reference: ArrayLike,
    ) -> float:
        """Dice after do(region := replacement) minus Dice before, in Dice points: negative where the region supports.

        Args:
            image: (1, *spatial).
            replacement_image: (1, *spatial), read inside the region only.
            region_mask: (*spatial), the region; dense or sparse.
            roi_box: where the Dice is taken.
            reference: (*spatial), the mask it is taken against.
        """
        intervened = np.where(region_mask, replacement_image, image)
        return self.dice(intervened, roi_box, reference) - self.dice(image, roi_box, reference)
