# SPDX-License-Identifier: Apache-2.0
"""The picture of an explanation, on the image as it was stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from monai_causal.apps.explain.methods import Found, Method
from monai_causal.apps.explain.scenes import Scene
from monai_causal.visualize.render import Outline, Panel, picture, save_explanation, save_panels, save_planes, style

__all__ = ["draw"]


def draw(
    path: Path,
    scene: Scene,
    method: Method,
    found: Found,
    heat: Tensor,
    answer: Tensor,
    label: Tensor | None,
    class_idx: int | None,
) -> None:
    """Draw the map on its image, with the borders of the RoI, the answer and the label.

    A PdCR result whose grid is the image's own, or a volume's, which its affine places, is drawn with its uncertainty.
    """
    reference = None if label is None else label > 0 if class_idx is None else label == class_idx
    channel = None if len(scene.stored) in (1, 3) and heat.ndim == 2 else 0
    if found.result is not None and (scene.grid.same_as(scene.own) or heat.ndim == 3):
        save_explanation(
            path, found.result, scene.image, answer=answer, reference=reference, channel=channel, through="effect"
        )
        return
    borders = (
        (found.roi, style.ROI_COLOUR, "RoI"),
        (answer, style.ANSWER_COLOUR, "the network's answer"),
        (reference, style.REFERENCE_COLOUR, "the label"),
    )
    outlines = [
        Outline(scene.back(mask.to(torch.uint8)).numpy() > 0, colour, name)
        for mask, colour, name in borders
        if mask is not None
    ]
    image = picture(scene.stored, scene.own.shape, channel)
    bar = "" if method.signed else f"{method.unit} (high: supports the answer)"
    mapped = Panel(image, "the map", heat.numpy(), method.unit, outlines[:1], signed=method.signed, bar_label=bar)
    if heat.ndim == 2:
        save_panels(path, [Panel(image, "the image", outlines=outlines), mapped], columns=2)
    else:
        strongest = np.unravel_index(int(heat.abs().argmax()), tuple(heat.shape))
        save_planes(path, mapped, [int(index) for index in strongest], scene.affine)
