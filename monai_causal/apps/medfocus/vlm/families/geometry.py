# SPDX-License-Identifier: Apache-2.0
"""Which part of a picture a resizing and cropping image processor shows to a network."""

from __future__ import annotations

from typing import Any

import torch

from monai_causal.apps.medfocus.vlm.cells import Interval, Sheet
from monai_causal.extras import require

__all__ = ["patch_sheet", "seen_box"]


def seen_box(processor: Any, size: tuple[int, int]) -> tuple[tuple[Interval, Interval], tuple[int, int]]:
    """The box of a picture that fills the network's input, and the input's height and width.

    The processor pads to a square (LLaVA's own does on request), resizes, and crops or pads around the centre, in this
    order, each step as far as its settings ask for it.

    Args:
        processor: of CLIP, SigLIP, LLaVA or Gemma3.
        size: height and width of the picture.

    Returns:
        the box in pixels of the picture, beyond it where the input is padded.
    """
    extent = list(size)
    start = [0, 0]
    if getattr(processor, "do_pad", None):
        if not hasattr(processor, "pad_to_square"):
            raise ValueError(
                f"{type(processor).__name__} with do_pad: where it pads is not known; set do_pad to false."
            )
        extent = [max(size)] * 2
        start = [-((max(size) - length) // 2) for length in size]
    shape = _resized(processor, extent) if processor.do_resize else extent
    offset, target = [0, 0], shape
    if getattr(processor, "do_center_crop", None):
        target = [processor.crop_size["height"], processor.crop_size["width"]]
        offset = [
            int((have - want) / 2) if have >= want else -((want - have) // 2)
            for have, want in zip(shape, target, strict=True)
        ]
    box: list[Interval] = []
    for axis in range(2):
        scale = extent[axis] / shape[axis]
        box.append((start[axis] + offset[axis] * scale, start[axis] + (offset[axis] + target[axis]) * scale))
    return (box[0], box[1]), (target[0], target[1])


def patch_sheet(box: tuple[Interval, Interval], shape: tuple[int, int], cell: int) -> Sheet:
    """The cells of ``cell`` x ``cell`` input pixels on a box of the picture.

    What remains at the lower and the right border when the cells do not fill the input is not seen by the network.

    Args:
        box: what fills the input, in pixels of the picture.
        shape: height and width of the input.
        cell: side of a cell in input pixels.
    """
    grid = (shape[0] // cell, shape[1] // cell)
    filled: list[Interval] = []
    for (start, stop), count, length in zip(box, grid, shape, strict=True):
        filled.append((start, start + (stop - start) * count * cell / length))
    return Sheet(grid, (filled[0], filled[1]))


def _resized(processor: Any, extent: list[int]) -> list[int]:
    size = processor.size
    if size["height"] and size["width"]:
        return [size["height"], size["width"]]
    if size["shortest_edge"] and not size["longest_edge"]:
        # the function that the processor itself calls
        sized = require("transformers.image_transforms").get_resize_output_image_size(
            torch.empty((1, *extent)),
            size["shortest_edge"],
            default_to_square=False,
            input_data_format="channels_first",
        )
        return list(sized)
    raise ValueError(
        f"{type(processor).__name__}: the size {dict(size)} is neither height and width nor shortest_edge."
    )
