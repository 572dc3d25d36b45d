# SPDX-License-Identifier: Apache-2.0
"""Attention rollout (Abnar and Zuidema 2020): attention followed through all layers, residual connections included."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from monai_causal.apps.medfocus.attribute_asking import Asked, Picture
from monai_causal.apps.medfocus.baselines.attention import answer_to_image, attended, painted
from monai_causal.apps.medfocus.baselines.base import Baseline, Found

__all__ = ["AttentionRollout", "rollout"]


class AttentionRollout(Baseline):
    """The product over the layers of (mean attention + identity) / 2, rows that predict the answer."""

    name = "rollout"

    def find(self, picture: Picture, asked: Asked) -> Found:
        trace = attended(self, picture, asked, gradients=False)
        assert trace.attentions is not None
        flow = rollout([layer[0].float().mean(0) for layer in trace.attentions])
        return Found(painted(answer_to_image(flow, asked), asked.prompt), forwards=1)


def rollout(attentions: Sequence[Tensor]) -> Tensor:
    """How much of each position's input comes from where: (sequence, sequence), rows sum to 1.

    Args:
        attentions: per layer (sequence, sequence), rows summing to 1.
    """
    identity = torch.eye(len(attentions[0]), device=attentions[0].device)
    flow = identity
    for attention in attentions:
        flow = (attention.to(flow) + identity) / 2 @ flow
    return flow
