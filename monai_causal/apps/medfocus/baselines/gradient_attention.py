# SPDX-License-Identifier: Apache-2.0
"""Gradient-weighted attention: attention of the last layer where more of it would make the answer likelier.

The rows are those that *predict* the answer's tokens, one before each of them; the first answer token's row included.
"""

from __future__ import annotations

from monai_causal.apps.medfocus.attribute_asking import Asked, Picture
from monai_causal.apps.medfocus.baselines.attention import answer_to_image, attended, painted
from monai_causal.apps.medfocus.baselines.base import Baseline, Found

__all__ = ["GradientAttention"]


class GradientAttention(Baseline):
    """Mean over heads of attention x gradient, positive part."""

    name = "gradient-attention"

    def find(self, picture: Picture, asked: Asked) -> Found:
        trace = attended(self, picture, asked, gradients=True)
        assert trace.attentions is not None
        assert trace.attention_gradients is not None
        # As with plain attention: the last layer whose window reaches the image with a gradient.
        for layer in reversed(range(len(trace.attentions))):
            agreed = (trace.attentions[layer][0].float() * trace.attention_gradients[layer][0].float()).clamp(min=0)
            weights = answer_to_image(agreed.mean(0), asked)
            if bool(weights.any()):
                break
        return Found(painted(weights, asked.prompt), forwards=1, details={"layer": layer})
