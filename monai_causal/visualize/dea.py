# SPDX-License-Identifier: Apache-2.0
"""Dual-evidence attribution (DEA, Eq. 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from monai_causal.intervene.scores import Activation
from monai_causal.visualize.ega import EGA
from monai_causal.visualize.ria import RIA
from monai_causal.visualize.target import Target, TargetVisualizer

__all__ = ["DEA", "dual_evidence"]


def dual_evidence(gradient: Tensor, intervention: Tensor, alpha: float = 0.65, beta: float = 0.35) -> Tensor:
    """``alpha A_g (1 + beta A_r) + (1 - alpha) A_r`` (Eq. 2), of maps in [0, 1]: between 0 and ``1 + alpha beta``."""
    return alpha * gradient * (1 + beta * intervention) + (1 - alpha) * intervention


class DEA(TargetVisualizer):
    """Dual-evidence attribution: gradient evidence (EGA) where an intervention (RIA) agrees, plus what the intervention
    alone supports: :func:`dual_evidence` of the two min-max normalised maps, not normalised again.

    A map costs what RIA costs, and one forward and backward.

    Args:
        network: a module.
        target_layers: the gradient's layer, see :class:`LayerGradient`; ``None``: the deepest.
        grid: RIA's cells per axis.
        alpha, beta: the balance between the two kinds of evidence, and the weight of their agreement.
        activation: logits to probabilities.
        ega, ria: further arguments of :class:`EGA` and :class:`RIA`, such as ``{"pool": 2}``, ``{"refine": 2}``.
        options: further arguments of :class:`Evaluator`: ``inferer``, ``execution``, ``batch_size``, ``device`` ...

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
        >>> DEA(network, target_layers="0", grid=4)(torch.rand(1, 1, 16, 16), 1, torch.ones(16, 16)).shape
        torch.Size([1, 1, 16, 16])
    """

    def __init__(
        self,
        network: nn.Module,
        target_layers: str | Sequence[str] | None = None,
        grid: int | Sequence[int] = 14,
        alpha: float = 0.65,
        beta: float = 0.35,
        *,
        activation: Activation = "auto",
        ega: dict[str, Any] | None = None,
        ria: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(network, activation, **options)
        if not 0 <= alpha <= 1 or beta < 0:
            raise ValueError(f"alpha={alpha}, beta={beta}: alpha lies between 0 and 1, beta is at least 0.")
        self.ega = EGA(network, target_layers, activation=activation, **(ega or {}), **options)
        self.ria = RIA(network, grid, activation=activation, **(ria or {}), **options)
        if self.ria.signed:
            raise ValueError("signed=True: Eq. 2 takes a map in [0, 1]; ask RIA(..., signed=True) itself.")
        self.alpha, self.beta = alpha, beta

    def compute_map(self, image: Tensor, targets: Sequence[Target]) -> Tensor:
        gradient = self.ega.compute_map(image, targets)
        intervention = self.ria.compute_map(image, targets).to(gradient.device)
        return dual_evidence(gradient, intervention, self.alpha, self.beta)
