# SPDX-License-Identifier: Apache-2.0
"""Kolmogorov-Arnold layers (Liu et al. 2024) and the tokenised block that U-KAN (Li et al. 2025) makes of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_causal.networks.blocks.patches import ChannelNorm

__all__ = ["KANLinear", "TokenizedKAN", "b_splines"]


def b_splines(x: Tensor, knots: Tensor, order: int) -> Tensor:
    """The B-splines of an order at ``x``, by the recursion of Cox and de Boor.

    Args:
        x: ``(...)``.
        knots: ``(n,)``, ascending.
        order: 0: steps, 3: cubic.

    Returns:
        ``(..., n - order - 1)``; all 0 for an ``x`` outside the knots.
    """
    x = x[..., None]
    splines = ((x >= knots[:-1]) & (x < knots[1:])).to(x.dtype)
    for k in range(1, order + 1):
        rising = (x - knots[: -k - 1]) / (knots[k:-1] - knots[: -k - 1])
        falling = (knots[k + 1 :] - x) / (knots[k + 1 :] - knots[1:-k])
        splines = rising * splines[..., :-1] + falling * splines[..., 1:]
    return splines


class KANLinear(nn.Module):
    """A linear layer whose weights are functions: each is ``w silu(x) + s spline(x)``.

    Args:
        in_features: of a token.
        out_features: of the result.
        intervals: of the grid on [-1, 1]; outside of it and ``order`` further ones only the first part is left.
        order: of the splines.

    Shape:
        ``(..., in_features) -> (..., out_features)``.
    """

    knots: Tensor

    def __init__(self, in_features: int, out_features: int, intervals: int = 5, order: int = 3) -> None:
        super().__init__()
        self.order = order
        self.register_buffer("knots", torch.arange(-order, intervals + order + 1) * (2 / intervals) - 1)
        self.base = nn.Parameter(torch.empty(out_features, in_features))
        self.scale = nn.Parameter(torch.empty(out_features, in_features))
        # A small noise: a network begins as if it had only the smooth part.
        coefficients = torch.randn(out_features, in_features, intervals + order) * (0.1 / intervals)
        self.coefficients = nn.Parameter(coefficients)
        for weight in (self.base, self.scale):
            nn.init.kaiming_uniform_(weight, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        splines = b_splines(x, self.knots.to(x.dtype), self.order)
        # Always a copy: an exported network views the flat form, and not every layout of what came before allows it.
        splines = splines.clone(memory_format=torch.contiguous_format).flatten(-2)
        curved = (self.coefficients * self.scale[..., None]).flatten(1)
        return F.linear(F.silu(x), self.base) + F.linear(splines, curved)


class TokenizedKAN(nn.Module):
    """A norm and three times (:class:`KANLinear`, depth-wise convolution, batch norm, ReLU), added to what came in.

    Args:
        width: channels of a token.

    Shape:
        ``(B, width, H, W)`` to the same.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.layers = nn.ModuleList(KANLinear(width, width) for _ in range(3))
        self.around = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, kernel_size=3, padding=1, groups=width),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            )
            for _ in range(3)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.norm(tokens)
        for layer, around in zip(self.layers, self.around, strict=True):
            x = around(layer(x.movedim(1, -1)).movedim(-1, 1))
        return tokens + x
