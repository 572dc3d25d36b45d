# SPDX-License-Identifier: Apache-2.0
"""Gradient-pooled attribution (GPA): Seg-Grad-CAM, Vinogradova et al. 2020."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from monai_causal.intervene.scores import Activation
from monai_causal.visualize.gradients import LayerGradient
from monai_causal.visualize.normalise import normalise
from monai_causal.visualize.target import Target, TargetVisualizer

__all__ = ["GPA", "gradient_pooled"]


def gradient_pooled(activation: Tensor, gradient: Tensor) -> Tensor:
    """``ReLU(sum_k w_k A_k)``, ``w_k`` the spatial mean of ``dS/dA_k``: to ``(B, 1, *layer)``."""
    weights = gradient.mean(tuple(range(2, gradient.ndim)), keepdim=True)
    return (weights * activation).sum(1, keepdim=True).relu()


class GPA(TargetVisualizer):
    """Gradient-pooled attribution: :func:`gradient_pooled` at one layer, S being the mean logit of the class inside the
    mask; up-sampled (bi- or trilinear), then min-max to [0, 1].

    Args:
        network: a module.
        target_layers: the layer, see :class:`LayerGradient`; ``None``: the deepest.
        activation: only for a mask that is left to the network; the gradient is that of the raw output.
        options: ``inferer`` (a ``SlidingWindowInferer``), ``device``.

    Example:
        >>> import torch
        >>> gpa = GPA(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1)), target_layers="0")
        >>> gpa(torch.rand(2, 1, 16, 16), class_idx=[0, 1], mask=torch.ones(16, 16)).shape
        torch.Size([2, 1, 16, 16])
    """

    def __init__(
        self,
        network: nn.Module,
        target_layers: str | Sequence[str] | None = None,
        *,
        activation: Activation = "auto",
        **options: Any,
    ) -> None:
        super().__init__(network, activation, **options)
        self.gradients = LayerGradient(network, target_layers, self.evaluator.inferer, self.evaluator.device)

    def compute_map(self, image: Tensor, targets: Sequence[Target]) -> Tensor:
        return normalise(self.gradients.maps(image, targets, gradient_pooled))
