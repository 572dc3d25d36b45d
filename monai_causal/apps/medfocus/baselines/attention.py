# SPDX-License-Identifier: Apache-2.0
"""Attention of the last layer: how much the positions that predict the answer look at each image token."""

from __future__ import annotations

from torch import Tensor

from monai_causal.apps.medfocus.attribute_asking import Asked, Picture
from monai_causal.apps.medfocus.baselines.base import Baseline, Found
from monai_causal.apps.medfocus.vlm.interface import Prompt, Trace

__all__ = ["Attention", "answer_to_image", "attended", "painted"]


class Attention(Baseline):
    """Mean over heads and over the rows that predict the answer's tokens."""

    name = "attention"

    def find(self, picture: Picture, asked: Asked) -> Found:
        trace = attended(self, picture, asked, gradients=False)
        assert trace.attentions is not None
        # A layer with a sliding window may not reach back to the image; the last one that does is taken.
        for layer in reversed(range(len(trace.attentions))):
            weights = answer_to_image(trace.attentions[layer][0].mean(0), asked)
            if bool(weights.any()):
                break
        return Found(painted(weights, asked.prompt), forwards=1, details={"layer": layer})


def attended(method: Baseline, picture: Picture, asked: Asked, gradients: bool) -> Trace:
    """A trace with attentions, and their gradients on request."""
    return method.vlm.trace(picture.pixels[None], asked.prompt, asked.answer, attentions=True, gradients=gradients)


def answer_to_image(matrix: Tensor, asked: Asked) -> Tensor:
    """Mean row of a (sequence, sequence) matrix over the positions that predict the answer, at the image tokens."""
    rows = matrix[asked.prompt.rows(asked.answer)].float()
    return rows[:, asked.prompt.image_positions.to(rows.device)].mean(0)


def painted(weights: Tensor, prompt: Prompt) -> Tensor:
    """Values of the image tokens on the picture, (H, W)."""
    return prompt.cells.to_pixels(weights.cpu())
