# SPDX-License-Identifier: Apache-2.0
"""One resolution for all images of a sample, and the way back to native pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monai_causal.apps.medground.candidates import Corners, Pixels

__all__ = ["Frame", "frame_of"]


@dataclass(frozen=True)
class Frame:
    """Native size and the size at which a sample's images are shown and edited, both (rows, columns)."""

    native: tuple[int, int]
    shown: tuple[int, int]

    def image(self, pixels: Pixels) -> Pixels:
        """The image as it is shown; resized by a bicubic filter where the sizes differ."""
        if self.native == self.shown:
            return pixels
        small = Image.fromarray(pixels).resize(self.shown[::-1], Image.Resampling.BICUBIC)
        return np.asarray(small, dtype=np.uint8)

    def mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask as it is shown: where at least half of a pixel is covered, or its best covered pixel."""
        if self.native == self.shown:
            return mask
        share = np.asarray(Image.fromarray(mask.astype(np.float32)).resize(self.shown[::-1], Image.Resampling.BOX))
        return (share >= min(0.5, float(share.max()))) & (share > 0)

    def boxes(self, boxes: Sequence[Corners]) -> tuple[Corners, ...]:
        """Native boxes as they are shown, every pixel that they touch included."""
        down, across = (shown / native for shown, native in zip(self.shown, self.native, strict=True))
        return tuple(
            (math.floor(x0 * across), math.floor(y0 * down), math.ceil(x1 * across), math.ceil(y1 * down))
            for x0, y0, x1, y1 in boxes
        )

    def in_native(self, boxes: Sequence[Corners]) -> tuple[tuple[float, float, float, float], ...]:
        """Boxes of the shown image in native pixels, exactly.

        Example:
            >>> Frame((448, 224), (224, 112)).in_native([(0, 10, 20, 30)])
            ((0.0, 20.0, 40.0, 60.0),)
        """
        down, across = (native / shown for shown, native in zip(self.shown, self.native, strict=True))
        return tuple((x0 * across, y0 * down, x1 * across, y1 * down) for x0, y0, x1, y1 in boxes)


def frame_of(native: tuple[int, int], resolution: int | None) -> Frame:
    """The frame of an image.

    Args:
        native: its size.
        resolution: of the longer side; None shows it as it is. Nothing is enlarged.

    Example:
        >>> frame_of((2000, 1000), 224).shown
        (224, 112)
    """
    longest = max(native)
    if resolution is None or resolution >= longest:
        return Frame(native, native)
    rows, columns = (max(1, round(length * resolution / longest)) for length in native)
    return Frame(native, (rows, columns))
