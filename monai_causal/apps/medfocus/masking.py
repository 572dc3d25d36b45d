# SPDX-License-Identifier: Apache-2.0
"""What a concept is replaced with: ``zero``, ``mean``, ``blur``, ``inpaint`` or ``editor``, each a fill of the engine.

The paper sets a box to zero (section 4.2) and compares box, outline and a generative edit (section 5.4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Protocol, get_args

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from monai_causal.intervene import ConstantFill, Fill, InpaintFill, MeanFill, Regions
from monai_causal.intervene.draws import draw_generator
from monai_causal.intervene.fills import Replacement
from monai_causal.intervene.regions import Region, coverage

__all__ = ["CoarseBlur", "EditorFill", "ImageEditor", "InTurn", "Masking", "masking_fill"]

Masking = Literal["zero", "mean", "blur", "inpaint", "editor"]

BLURRED = 1 / 8
"""Standard deviation of the blur, of the image's shorter side: a costophrenic angle is gone, the body's form is not."""


class ImageEditor(Protocol):
    """A model that paints anew what a mask covers, such as a diffusion inpainter told ``No cardiomegaly``."""

    def __call__(self, image: Tensor, mask: Tensor, generator: np.random.Generator) -> Tensor:
        """An image (channels, H, W) in [0, 1] and a mask (H, W), bool, to an image of the same shape."""


class CoarseBlur(Fill):
    """The image through a wide Gaussian blur, computed on a coarser grid.

    A blur an eighth of a radiograph wide has a kernel of thousands of pixels; of what it leaves, a grid of an eighth of
    its standard deviation shows everything.

    Args:
        sigma: standard deviation in pixels.
    """

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma

    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        size = image.shape[1:]
        coarse_size = [math.ceil(length / max(1.0, self.sigma / 8)) for length in size]
        coarse = F.interpolate(image[None], size=coarse_size, mode="area")[0].cpu().double().numpy()
        widths = [self.sigma * coarse / fine for coarse, fine in zip(coarse_size, size, strict=True)]
        smooth = torch.from_numpy(ndimage.gaussian_filter(coarse, (0.0, *widths), mode="nearest"))
        blurred = F.interpolate(smooth[None], size=size, mode="bilinear", align_corners=False)[0].to(image)
        return lambda region, draw: blurred[region.index]


class EditorFill(Fill):
    """What an editor paints, inside the region only; what it changes elsewhere is not taken over.

    Args:
        editor: called once per region.
    """

    def __init__(self, editor: ImageEditor) -> None:
        self.editor = editor

    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        painted: dict[tuple[int, int], Tensor] = {}

        def replacement(region: Region, draw: int) -> Tensor:
            if (region.id, draw) not in painted:
                mask = coverage(region, image.shape[1:]).to(image.device)
                edited = self.editor(image.clone(), mask, draw_generator(seed, region.id, draw))
                _check_edited(edited, image)
                painted[region.id, draw] = edited[region.index].to(image)
            return painted[region.id, draw]

        return replacement


class InTurn(Fill):
    """Several fills as the draws of one: draw k is the k-th fill, so that one run of the engine asks about them all.

    Args:
        fills: none of which draws more than once.
    """

    def __init__(self, fills: Sequence[Fill]) -> None:
        self.fills = tuple(fills)

    @property
    def distinct_draws(self) -> int | None:
        return len(self.fills)

    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        prepared = [fill.prepare(image, regions, seed) for fill in self.fills]
        return lambda region, draw: prepared[draw](region, 0)


def masking_fill(masking: Masking, size: tuple[int, int], editor: ImageEditor | None = None) -> Fill:
    """The fill of a masking.

    Args:
        masking: ``"zero"`` as published, ``"mean"`` of the image, ``"blur"``, ``"inpaint"`` (smooth, with texture of
            the same image), or ``"editor"``.
        size: height and width of the image.
        editor: what edits; only for ``"editor"``, which needs one.
    """
    if masking not in get_args(Masking):
        raise ValueError(f"masking={masking!r}: choose {' or '.join(map(repr, get_args(Masking)))}.")
    if masking == "editor":
        if editor is None:
            raise ValueError("masking='editor' needs an editor=: a function (image, mask, generator) -> image.")
        return EditorFill(editor)
    if masking == "zero":
        return ConstantFill(0.0)
    if masking == "mean":
        return MeanFill()
    return CoarseBlur(BLURRED * min(size)) if masking == "blur" else InpaintFill()


def _check_edited(edited: Tensor, image: Tensor) -> None:
    if not isinstance(edited, Tensor) or edited.shape != image.shape:
        found = tuple(edited.shape) if isinstance(edited, Tensor) else type(edited).__name__
        raise ValueError(f"the editor gave {found} for an image of {tuple(image.shape)}: it keeps the shape.")
    if not bool(torch.isfinite(edited).all()) or float(edited.min()) < 0 or float(edited.max()) > 1:
        raise ValueError(
            f"the editor's image ranges from {float(edited.min()):g} to {float(edited.max()):g}: it lies in [0, 1]."
        )
