# SPDX-License-Identifier: Apache-2.0
"""Relevance rollout (Chefer et al. 2021): attention that the answer's gradient agrees with, through all layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from monai_causal.apps.medfocus.attribute_asking import Asked, Picture
from monai_causal.apps.medfocus.baselines.attention import answer_to_image, attended, painted
from monai_causal.apps.medfocus.baselines.base import Baseline, Found

__all__ = ["RelevanceRollout", "relevance"]


class RelevanceRollout(Baseline):
    """R = I, then layer by layer R += mean over heads of (gradient x attention, positive part) R."""

    name = "relevance"

    def find(self, picture: Picture, asked: Asked) -> Found:
        trace = attended(self, picture, asked, gradients=True)
        assert trace.attentions is not None
        assert trace.attention_gradients is not None
        pairs = zip(trace.attentions, trace.attention_gradients, strict=True)
        flow = relevance([(weights[0], slope[0]) for weights, slope in pairs])
        return Found(painted(answer_to_image(flow, asked), asked.prompt), forwards=1)


def relevance(layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Relevance of each position for each other, (sequence, sequence).

    Args:
        layers: attentions and their gradients, each (heads, sequence, sequence).
    """
    weights = layers[0][0]
    flow = torch.eye(weights.shape[-1], device=weights.device)
    for weights, slope in layers:
        flow = flow + (weights.float() * slope.float()).clamp(min=0).mean(0).to(flow) @ flow
    return flow
