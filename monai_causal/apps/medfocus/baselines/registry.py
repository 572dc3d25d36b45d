# SPDX-License-Identifier: Apache-2.0
"""Every method by its id: MedFocus, the paper's eleven baselines, and the engine's region attribution."""

from __future__ import annotations

from typing import Any, Protocol

from monai_causal.apps.medfocus.attribute import MedFocus
from monai_causal.apps.medfocus.baselines.attention import Attention
from monai_causal.apps.medfocus.baselines.base import Baseline
from monai_causal.apps.medfocus.baselines.gradcam import GradCAM, GradCAMPlusPlus
from monai_causal.apps.medfocus.baselines.gradient_attention import GradientAttention
from monai_causal.apps.medfocus.baselines.integrated_gradients import IntegratedGradients
from monai_causal.apps.medfocus.baselines.prompt_boxes import PromptBoxes
from monai_causal.apps.medfocus.baselines.prompt_phrases import PromptPhrases
from monai_causal.apps.medfocus.baselines.regional import Grid, Occlusion, Superpixel
from monai_causal.apps.medfocus.baselines.relevance import RelevanceRollout
from monai_causal.apps.medfocus.baselines.rise import Rise
from monai_causal.apps.medfocus.baselines.rollout import AttentionRollout
from monai_causal.apps.medfocus.result import Attribution
from monai_causal.apps.medfocus.vlm.interface import AnsweringModel

__all__ = ["METHODS", "Method", "build_method"]


class Method(Protocol):
    """Explains the answer to a question about an image."""

    @property
    def name(self) -> str: ...

    def attribute(self, image: Any, question: str, mode: Any = "direct", *, answer: str | None = None) -> Attribution:
        """Where the answer comes from."""


METHODS: dict[str, type[MedFocus] | type[Baseline]] = {
    kind.name: kind
    for kind in (
        MedFocus,
        Attention,
        AttentionRollout,
        RelevanceRollout,
        GradientAttention,
        GradCAM,
        GradCAMPlusPlus,
        IntegratedGradients,
        Occlusion,
        Rise,
        PromptBoxes,
        PromptPhrases,
        Grid,
        Superpixel,
    )
}
"""By id: ``medfocus``, ``attention``, ``rollout`` and so on."""


def build_method(name: str, vlm: AnsweringModel, **options: Any) -> Method:
    """A method by its id.

    Args:
        name: one of :data:`METHODS`.
        vlm: whose answers are explained.
        options: of the method, such as MedFocus's ``segmenter`` or a ``batch_size``.

    Example:
        >>> from torch import nn
        >>> from monai_causal.apps.medfocus.vlm import Classifier
        >>> network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
        >>> build_method("occlusion", Classifier(network, ["effusion", "normal"], channels=1)).name
        'occlusion'
    """
    if name not in METHODS:
        raise ValueError(f"method {name!r}: one of {', '.join(METHODS)}.")
    kind: Any = METHODS[name]
    made: Method = kind(vlm, **options)
    return made
