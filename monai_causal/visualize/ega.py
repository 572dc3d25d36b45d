# SPDX-License-Identifier: Apache-2.0
"""Element-wise gradient attribution (EGA): Seg-XRes-CAM, Hasany et al. 2023."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from monai_causal.intervene.regions import per_axis
from monai_causal.intervene.scores import Activation
from monai_causal.visualize.gradients import LayerGradient
from monai_causal.visualize.normalise import normalise
from monai_causal.visualize.target import Target, TargetVisualizer

__all__ = ["EGA", "elementwise", "pooled"]


def elementwise(activation: Tensor, gradient: Tensor) -> Tensor:
    """``ReLU(sum_k dS/dA_k * A_k)``: twice ``(B, K, *layer)`` to ``(B, 1, *layer)``."""
    return (gradient * activation).sum(1, keepdim=True).relu()


def pooled(gradient: Tensor, window: int | Sequence[int], mode: Literal["max", "mean"] = "max") -> Tensor:
    """A gradient ``(B, K, *layer)`` pooled in windows beside each other, each voxel getting its window's value; at the
    far border windows are cut off."""
    axes = gradient.ndim - 2
    edges = per_axis(window, axes, "pool")
    pools: Any = {"max": (F.max_pool1d, F.max_pool2d, F.max_pool3d), "mean": (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)}
    coarse = pools[mode][axes - 1](gradient, edges, stride=edges, ceil_mode=True)
    for axis, edge in enumerate(edges, start=2):
        coarse = coarse.repeat_interleave(edge, axis).narrow(axis, 0, gradient.shape[axis])
    return coarse


class EGA(TargetVisualizer):
    """Element-wise gradient attribution: :func:`elementwise` at one layer, S being the mean logit of the class inside
    the mask; up-sampled (bi- or trilinear), then min-max to [0, 1].

    Args:
        network: a module.
        target_layers: the layer, see :class:`LayerGradient`; ``None``: the deepest.
        pool: edge of Seg-XRes-CAM's pooling window over the gradient, in voxels of the layer; ``None``: no pooling.
        pool_mode: ``"max"`` or ``"mean"``.
        activation: only for a mask that is left to the network; the gradient is that of the raw output.
        options: ``inferer`` (a ``SlidingWindowInferer``), ``device``.

    Example:
        >>> import torch
        >>> ega = EGA(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1)), target_layers="0")
        >>> ega(torch.rand(1, 1, 16, 16), class_idx=1, mask=torch.ones(16, 16)).shape
        torch.Size([1, 1, 16, 16])
    """

    def __init__(
        self,
        network: nn.Module,
        target_layers: str | Sequence[str] | None = None,
        *,
        pool: int | Sequence[int] | None = None,
        pool_mode: Literal["max", "mean"] = "max",
        activation: Activation = "auto",
        **options: Any,
    ) -> None:
        super().__init__(network, activation, **options)
        if pool_mode not in ("max", "mean"):
            raise ValueError(f"pool_mode={pool_mode!r}: choose 'max' or 'mean'.")
        self.gradients = LayerGradient(network, target_layers, self.evaluator.inferer, self.evaluator.device)
        self.pool, self.pool_mode = pool, pool_mode

    def compute_map(self, image: Tensor, targets: Sequence[Target]) -> Tensor:
        return normalise(self.gradients.maps(image, targets, self._combine))

    def _combine(self, activation: Tensor, gradient: Tensor) -> Tensor:
        if self.pool is not None:
            gradient = pooled(gradient, self.pool, self.pool_mode)
        return elementwise(activation, gradient)
