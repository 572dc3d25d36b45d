# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
from collections.abc import Callable
from math import comb

import numpy as np
import pytest
import torch

from monai_causal.visualize.shapley import coalitions, shapley_values


def by_orders(worth: Callable[[frozenset[int]], float], players: int) -> np.ndarray:
    """Shapley values from their definition: what a player adds, in the mean over all orders of joining."""
    orders = list(itertools.permutations(range(players)))
    values = np.zeros(players)
    for order in orders:
        for place, player in enumerate(order):
            values[player] += worth(frozenset(order[: place + 1])) - worth(frozenset(order[:place]))
    return values / len(orders)


def game(members: frozenset[int]) -> float:
    """Neither additive nor symmetric, nor a matter of pairs alone; nothing is worth nothing."""
    weights = [0.5, -1.0, 2.0, 0.25, 1.5]
    total = sum(weights[player] for player in members)
    return total**2 - (3.0 if {0, 1, 2} <= members else 0.0) + (1.0 if members & {1, 3, 4} else 0.0)


@pytest.mark.parametrize("players", [2, 3, 5])
def test_exact_by_all_coalitions(players: int) -> None:
    members, weights = coalitions(players, 2**players - 2)
    assert len({tuple(row.tolist()) for row in members}) == len(members) == 2**players - 2
    worth = torch.tensor([game(frozenset(row.nonzero().flatten().tolist())) for row in members], dtype=torch.float64)
    found = shapley_values(members, worth, weights, game(frozenset(range(players))))
    np.testing.assert_allclose(found.numpy(), by_orders(game, players), rtol=0, atol=1e-12)


def test_exact_on_an_additive_game_from_some_coalitions() -> None:
    players = 30
    each = torch.randn(players, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    members, weights = coalitions(players, 80)
    found = shapley_values(members, members.double() @ each, weights, float(each.sum()))
    torch.testing.assert_close(found, each, rtol=0, atol=1e-10)


def test_sampled_values_are_efficient_and_converge() -> None:
    players = 5
    expected = by_orders(game, players)
    errors = []
    for most in (16, 29):  # below 30, where all are known
        members, weights = coalitions(players, most, seed=1)
        worth = torch.tensor([game(frozenset(row.nonzero().flatten().tolist())) for row in members]).double()
        found = shapley_values(members, worth, weights, game(frozenset(range(players))))
        assert float(found.sum()) == pytest.approx(game(frozenset(range(players))), abs=1e-10)
        errors.append(np.abs(found.numpy() - expected).max())
    assert min(errors) < 1.0 < np.ptp(expected)


def test_drawn_coalitions_follow_the_kernel_in_pairs() -> None:
    players, most = 12, 4000
    members, weights = coalitions(players, most)
    assert torch.equal(members[0::2], ~members[1::2])
    assert torch.equal(weights, torch.ones(most, dtype=torch.float64))
    sizes = np.bincount(members.sum(1).numpy(), minlength=players + 1)
    # The kernel's weight of a size: that of one coalition times their number.
    kernel = np.array([comb(players, s) / (comb(players, s) * s * (players - s)) for s in range(1, players)])
    assert sizes[0] == sizes[players] == 0
    np.testing.assert_allclose(sizes[1:players] / most, kernel / kernel.sum(), atol=5 * 0.5 / 2000**0.5)
    np.testing.assert_allclose(members.double().mean(0).numpy(), 0.5, atol=1e-12)
    assert torch.equal(coalitions(players, 100)[0], members[:100])
    assert not torch.equal(coalitions(players, 100, seed=1)[0], members[:100])


def test_too_few_coalitions_are_an_error() -> None:
    members, weights = coalitions(20, 8)
    with pytest.raises(ValueError, match="8 coalitions do not tell 20 regions apart: raise n_samples"):
        shapley_values(members, torch.ones(8, dtype=torch.float64), weights, 1.0)
