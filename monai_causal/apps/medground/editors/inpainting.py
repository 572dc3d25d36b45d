# SPDX-License-Identifier: Apache-2.0
"""A classical editor: what is masked becomes the smooth continuation of its surroundings with the image's own texture.

It knows no anatomy and reads no prompt. So a foreground edit erases, and a background edit, whose mask is nearly the
whole image, erases patches of the finding's size here and there outside: an edit of the same kind and area elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import ndimage

from monai_causal.apps.medground.editors.base import Mask, PixelEditor, Pixels
from monai_causal.intervene import InpaintFill, mask_regions

__all__ = ["InpaintingEditor"]

LARGE = 0.5
"""Share of the image from which a mask is a background."""
LEAST_PATCH = 0.1
"""Of the image's sides: the smallest patch."""
SEAM = 0.02
"""Of the image's shorter side: how wide a band along the mask's border a sham edit erases."""


class InpaintingEditor(PixelEditor):
    """Inpaints by harmonic extension and texture (:class:`~monai_causal.intervene.InpaintFill`).

    Args:
        patches: that a background edit erases, as far as there is room.
        texture: how much of the texture is added.
    """

    name = "inpainting"

    def __init__(self, patches: int = 3, texture: float = 1.0) -> None:
        if patches < 1:
            raise ValueError(f"patches={patches}: at least 1.")
        self.patches, self.texture = patches, texture

    @property
    def record(self) -> dict[str, Any]:
        return {"editor": self.name, "patches": self.patches, "texture": self.texture}

    def paint(self, image: Pixels, mask: Mask, prompt: str, seed: int) -> Pixels:
        erased = self.background(mask, seed) if mask.mean() >= LARGE else mask
        return self._erased(image, erased, seed)

    def repaint(self, image: Pixels, mask: Mask, seed: int) -> Pixels:
        """A band inside the mask's border is erased, so that the seam is there and the content is not touched."""
        width = max(1, round(SEAM * min(image.shape)))
        return self._erased(image, mask & ~ndimage.binary_erosion(mask, iterations=width, border_value=1), seed)

    def background(self, mask: Mask, seed: int) -> Mask:
        """The patches of a background edit, each wholly inside the mask."""
        hole = np.argwhere(~mask)
        least = np.ceil(LEAST_PATCH * np.array(mask.shape)).astype(int)
        size = np.maximum(np.ptp(hole, axis=0) + 1, least) if len(hole) else 2 * least
        size = np.minimum(size, np.array(mask.shape) // 3)
        generator, chosen = np.random.default_rng(seed), np.zeros_like(mask)
        free = mask.copy()
        for _ in range(self.patches):
            # A place is free where the whole patch from there on lies in what is free.
            room = ndimage.minimum_filter(free, size=tuple(size), origin=tuple(-(size // 2)), mode="constant", cval=0)
            corners = np.argwhere(room[: mask.shape[0] - size[0] + 1, : mask.shape[1] - size[1] + 1])
            if not len(corners):
                break
            top, left = corners[generator.integers(len(corners))]
            place = slice(top, top + size[0]), slice(left, left + size[1])
            chosen[place] = True
            free[place] = False
        return chosen

    def _erased(self, image: Pixels, mask: Mask, seed: int) -> Pixels:
        if not mask.any():
            return image.copy()
        grey = torch.from_numpy(image.astype(np.float32) / 255)[None]
        regions = mask_regions(torch.from_numpy(mask)[None])
        (region,) = regions
        replacement = InpaintFill(texture=self.texture).prepare(grey, regions, seed)(region, 0)
        patch = torch.as_tensor(replacement).expand(1, *region.shape)[0].clamp(0, 1).numpy()
        edited = image.copy()
        place = tuple(slice(start, stop) for start, stop in region.box)
        edited[place] = np.where(mask[place], np.rint(255 * patch).astype(np.uint8), image[place])
        return edited
