# SPDX-License-Identifier: Apache-2.0
"""The interface of all editors, and what keeps an editor of pixels inside its mask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Editor", "PixelEditor"]

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class Editor(Protocol):
    """Makes a counterfactual image. ``exact`` says that it edits causes, not pixels: its images are true, and what
    they change outside a mask belongs to the change."""

    exact: bool

    @property
    def name(self) -> str: ...

    @property
    def record(self) -> dict[str, Any]:
        """Everything that its images depend on, for records and for the cache."""

    def __call__(self, image: Pixels, mask: Mask, prompt: str, seed: int) -> Pixels:
        """The image as the prompt wants it, changed where the mask is True."""

    def sham(self, image: Pixels, mask: Mask, seed: int) -> Pixels:
        """Everything that an edit does to an image, but for the change."""


class PixelEditor(ABC):
    """An editor that paints; whatever it paints outside the mask is thrown away."""

    name: str
    exact = False

    @property
    @abstractmethod
    def record(self) -> dict[str, Any]:
        """Everything that its images depend on."""

    @abstractmethod
    def paint(self, image: Pixels, mask: Mask, prompt: str, seed: int) -> Pixels:
        """The edited image; only what lies in the mask is used of it."""

    @abstractmethod
    def repaint(self, image: Pixels, mask: Mask, seed: int) -> Pixels:
        """The image after a round trip that changes nothing on purpose; only what lies in the mask is used of it."""

    def __call__(self, image: Pixels, mask: Mask, prompt: str, seed: int) -> Pixels:
        checked(image, mask)
        return np.where(mask, self.paint(image, mask, prompt, seed), image) if mask.any() else image.copy()

    def sham(self, image: Pixels, mask: Mask, seed: int) -> Pixels:
        checked(image, mask)
        return np.where(mask, self.repaint(image, mask, seed), image) if mask.any() else image.copy()


def checked(image: Pixels, mask: Mask) -> None:
    """Refuse what is not an 8-bit image with a mask of its size."""
    if image.ndim != 2 or image.dtype != np.uint8:
        raise ValueError(f"an image of {image.dtype} {image.shape}: editors take 8-bit grey (H, W).")
    if mask.shape != image.shape or mask.dtype != np.bool_:
        raise ValueError(f"a mask of {mask.dtype} {mask.shape} for an image of {image.shape}: give bool, alike.")
