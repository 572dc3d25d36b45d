# SPDX-License-Identifier: Apache-2.0
"""Shapley values by weighted least squares (Lundberg & Lee 2017, Theorem 2), whatever the game."""

from __future__ import annotations

from math import comb

import numpy as np
import torch
from torch import Tensor

from monai_causal.intervene.draws import draw_generator

__all__ = ["coalitions", "shapley_values"]


def coalitions(players: int, most: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Coalitions other than none and all, bool ``(n, players)``, and their weights ``(n,)``.

    All of them with the Shapley kernel ``(P - 1) / (C(P, s) s (P - s))``, where those are no more than ``most``; else
    ``most`` drawn from the kernel, each followed by its complement, with weight 1.
    """
    if 2**players - 2 <= most:
        numbers = torch.arange(1, 2**players - 1)[:, None]
        every = (numbers >> torch.arange(players)) % 2 == 1
        sizes = every.sum(1).tolist()
        kernel = [(players - 1) / (comb(players, size) * size * (players - size)) for size in sizes]
        return every, torch.tensor(kernel, dtype=torch.float64)
    size_weights = 1 / (np.arange(1, players) * np.arange(players - 1, 0, -1))
    rows = torch.zeros(most, players, dtype=torch.bool)
    for number in range(0, most, 2):
        generator = draw_generator(seed, number, -1)  # a draw that no fill makes
        size = 1 + generator.choice(players - 1, p=size_weights / size_weights.sum())
        rows[number, torch.from_numpy(generator.permutation(players)[:size])] = True
        rows[number + 1 : number + 2] = ~rows[number]
    return rows, torch.ones(most, dtype=torch.float64)


def shapley_values(members: Tensor, worth: Tensor, weights: Tensor, whole: float) -> Tensor:
    """``argmin_phi sum_z w_z (u_z - sum_i phi_i z_i)^2`` under ``sum_i phi_i = whole`` (efficiency), ``(players,)``.

    Args:
        members: bool ``(n, players)``, the coalitions z.
        worth: ``(n,)``, their worth u; that of the empty one is 0.
        weights: ``(n,)``.
        whole: the worth of all players together.
    """
    z, last = members[:, :-1].double(), members[:, -1:].double()
    root = weights.sqrt()[:, None]
    solution = torch.linalg.lstsq(root * (z - last), root * (worth[:, None] - last * whole), driver="gelsd")
    if int(solution.rank) < z.shape[1]:
        raise ValueError(
            f"{len(members)} coalitions do not tell {members.shape[1]} regions apart: raise n_samples, or take fewer "
            "regions."
        )
    values = solution.solution[:, 0]
    return torch.cat([values, (whole - values.sum())[None]])
