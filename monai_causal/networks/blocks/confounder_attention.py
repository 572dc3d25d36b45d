# SPDX-License-Identifier: Apache-2.0
"""Causal-driven representation learning (CDRL): cells that attend to a dictionary of confounders.

What the paper writes, ``A(F, Z) = Attn(F, Z)`` with queries from the cells and keys and values from the M confounders,
is almost the same vector for every cell: a mixture of M texts. So each sublayer adds to its input (with layer norms in
front of it), as in a transformer. And a softmax over confounders weighs them by how they resemble the cell, which is
conditioning; the back-door adjustment of Eq. 1 weighs them by P(z). ``marginalisation`` chooses:

``"attention"``
    the paper's Eq. 8: softmax over the confounders.
``"prior"``
    each confounder's attended value is weighed by P(z) too, before the sum.
``"exact"``
    Eq. 7 itself: A(F, z) modulates the cells by one confounder (scale and shift), the whole stack runs once for every
    z, and the results are averaged with P(z). Attention to a single confounder would be a constant.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

__all__ = ["ConfounderAttention", "Marginalisation"]

Marginalisation: TypeAlias = Literal["attention", "prior", "exact", "self"]
MARGINALISATIONS = ("attention", "prior", "exact", "self")


class ConfounderAttention(nn.Module):
    """L blocks: the cells among themselves, the confounders, a feed-forward layer.

    Args:
        width: d of cells and confounders. At d = 768 a block has 6.30 M parameters, the paper's step per layer.
        depth: L.
        marginalisation: see the module; ``"self"`` has the cells attend to themselves in place of the confounders: as
            many parameters (but for the dictionary's layer norm), no dictionary, for comparison.
        heads: of the attention; None: one for 64 channels.

    Shape:
        cells ``(B, N, d)``, dictionary ``(M, d)``, prior ``(M,)`` -> ``(B, N, d)``.
    """

    def __init__(
        self, width: int, depth: int = 3, marginalisation: Marginalisation = "attention", heads: int | None = None
    ) -> None:
        super().__init__()
        if marginalisation not in MARGINALISATIONS:
            raise ValueError(f"marginalisation={marginalisation!r}: choose {', '.join(map(repr, MARGINALISATIONS))}.")
        if depth < 1:
            raise ValueError(f"depth={depth}: give at least one layer.")
        heads = max(1, width // 64) if heads is None else heads
        if heads < 1 or width % heads:
            raise ValueError(f"heads={heads}: the width {width} cannot be divided by it.")
        self.marginalisation = marginalisation
        self.blocks = nn.ModuleList(_Block(width, heads, marginalisation) for _ in range(depth))

    def forward(self, cells: Tensor, dictionary: Tensor, prior: Tensor) -> Tensor:
        if self.marginalisation != "exact":
            return self._through(cells, dictionary, prior)
        under_each = [self._through(cells, one, prior) for one in dictionary.unbind(0)]
        return torch.einsum("mbnd,m->bnd", torch.stack(under_each), prior)

    def _through(self, cells: Tensor, dictionary: Tensor, prior: Tensor) -> Tensor:
        for block in self.blocks:
            cells = block(cells, dictionary, prior)
        return cells


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, marginalisation: Marginalisation) -> None:
        super().__init__()
        self.marginalisation = marginalisation
        self.norm_among = nn.LayerNorm(width)
        self.among = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm_cells = nn.LayerNorm(width)
        if marginalisation == "exact":
            self.modulation = nn.Linear(width, 2 * width)
        else:
            self.confounders = nn.MultiheadAttention(width, heads, batch_first=True)
        if marginalisation != "self":
            self.norm_dictionary = nn.LayerNorm(width)
        self.norm_forward = nn.LayerNorm(width)
        hidden = 4 * width // 3
        self.forward_layer = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, cells: Tensor, dictionary: Tensor, prior: Tensor) -> Tensor:
        x = self.norm_among(cells)
        cells = cells + self.among(x, x, x, need_weights=False)[0]
        cells = cells + self._intervene(self.norm_cells(cells), dictionary, prior)
        return cells + self.forward_layer(self.norm_forward(cells))

    def _intervene(self, x: Tensor, dictionary: Tensor, prior: Tensor) -> Tensor:
        if self.marginalisation == "self":
            return self.confounders(x, x, x, need_weights=False)[0]
        z = self.norm_dictionary(dictionary)
        if self.marginalisation == "exact":
            scale, shift = self.modulation(z).chunk(2, dim=-1)
            return x * scale + shift
        z = z.expand(x.shape[0], -1, -1)
        if self.marginalisation == "attention":
            return self.confounders(x, z, z, need_weights=False)[0]
        return self._weighed_by_prior(x, z, prior)

    def _weighed_by_prior(self, x: Tensor, z: Tensor, prior: Tensor) -> Tensor:
        attention = self.confounders
        width, heads = attention.embed_dim, attention.num_heads
        weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
        query, key, value = (
            nn.functional.linear(source, weight, bias).unflatten(-1, (heads, width // heads)).transpose(1, 2)
            for source, weight, bias in zip((x, z, z), weights, biases, strict=True)
        )
        attended = (query @ key.transpose(-2, -1) / (width // heads) ** 0.5).softmax(dim=-1)
        # M P(z): with a uniform prior this is attention itself, so that a prior changes it by what it knows alone.
        mixed = (attended * (prior * prior.shape[0])) @ value
        return attention.out_proj(mixed.transpose(1, 2).flatten(2))
