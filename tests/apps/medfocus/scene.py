# SPDX-License-Identifier: Apache-2.0
"""A small picture with five rectangles for concepts, for the tests of the attribution methods."""

from __future__ import annotations

import numpy as np
import torch

from monai_causal.apps.medfocus.segmenter import ConceptSegmenter
from monai_causal.apps.medfocus.segmenters.given import GivenMasks

SIZE = (64, 96)
BOXES = {
    "cardiac silhouette": ((32, 56), (40, 64)),
    "right lung": ((8, 56), (8, 32)),
    "left lung": ((8, 56), (64, 88)),
    "right clavicle": ((0, 8), (8, 40)),
    "left clavicle": ((0, 8), (56, 88)),
}
"""Rows and columns, half-open; on the edges of cells of 8 pixels."""


def masks(size: tuple[int, int] = SIZE) -> dict[str, np.ndarray]:
    """Each concept as a mask: its rectangle, but for one missing corner pixel of the right lung."""
    scale = size[0] // SIZE[0]
    found = {}
    for name, ((top, bottom), (left, right)) in BOXES.items():
        found[name] = np.zeros(size, bool)
        found[name][top * scale : bottom * scale, left * scale : right * scale] = True
    found["right lung"][8 * scale : 9 * scale, 8 * scale : 9 * scale] = False
    return found


def segmenter(size: tuple[int, int] = SIZE) -> ConceptSegmenter:
    """Answers with these masks."""
    return ConceptSegmenter(GivenMasks(masks(size)))


def picture(size: tuple[int, int] = SIZE, seed: int = 0) -> torch.Tensor:
    """Blocks of 8 x 8 random grey values between 0.2 and 1, (H, W)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = 0.2 + 0.8 * torch.rand((1, 1, SIZE[0] // 8, SIZE[1] // 8), generator=generator)
    return torch.nn.functional.interpolate(coarse, size=size, mode="nearest")[0, 0]
