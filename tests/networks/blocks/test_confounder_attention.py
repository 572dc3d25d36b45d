# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import erf
from torch import nn

from monai_causal.networks.blocks.confounder_attention import MARGINALISATIONS, ConfounderAttention

Array = NDArray[np.float64]
WIDTH, HEADS, CELLS, CONFOUNDERS = 8, 2, 5, 3
UNIFORM = (1 / 3, 1 / 3, 1 / 3)
UNEVEN = (0.6, 0.3, 0.1)


def network(marginalisation: Any, depth: int = 1) -> ConfounderAttention:
    """With biases and norms away from their beginnings."""
    torch.manual_seed(3)
    made = ConfounderAttention(WIDTH, depth, marginalisation, heads=HEADS).double()
    with torch.no_grad():
        for values in made.parameters():
            values.add_(0.3 * torch.randn_like(values))
    return made


def drawn(*shape: int) -> Array:
    return np.random.default_rng(len(shape)).normal(size=shape)


def of(module: nn.Module, name: str) -> Array:
    found: Array = getattr(module, name).detach().numpy()
    return found


def normalised(x: Array, layer: nn.Module) -> Array:
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * of(layer, "weight") + of(layer, "bias")


def projected(x: Array, layer: nn.Module) -> Array:
    return x @ of(layer, "weight").T + of(layer, "bias")


def attended(queries: Array, keys: Array, layer: nn.Module, prior: Sequence[float] | None = None) -> Array:
    """Head by head, query by query, key by key; a prior weighs each confounder M P(z) times."""
    weight, bias, size = of(layer, "in_proj_weight"), of(layer, "in_proj_bias"), WIDTH // HEADS
    out = np.zeros_like(queries)
    for head in range(HEADS):
        rows = slice(head * size, (head + 1) * size)
        q, k, v = (
            source @ weight[part * WIDTH :][rows].T + bias[part * WIDTH :][rows]
            for part, source in enumerate((queries, keys, keys))
        )
        for query in range(len(queries)):
            scores = [math.exp(sum(q[query] * k[key]) / math.sqrt(size)) for key in range(len(keys))]
            for key, score in enumerate(scores):
                share = score / sum(scores) * (1 if prior is None else prior[key] * len(keys))
                out[query, rows] += share * v[key]
    return projected(out, layer.out_proj)


def replica(cells: Array, dictionary: Array, prior: Sequence[float], made: ConfounderAttention) -> Array:
    """One image through all blocks; with the exact marginalisation, under one confounder."""
    for block in made.blocks:
        x = normalised(cells, block.norm_among)
        cells = cells + attended(x, x, block.among)
        x = normalised(cells, block.norm_cells)
        if made.marginalisation == "self":
            cells = cells + attended(x, x, block.confounders)
        else:
            z = normalised(dictionary, block.norm_dictionary)
            if made.marginalisation == "exact":
                modulation = projected(z, block.modulation)
                cells = cells + x * modulation[:WIDTH] + modulation[WIDTH:]
            else:
                weights = prior if made.marginalisation == "prior" else None
                cells = cells + attended(x, z, block.confounders, weights)
        hidden = projected(normalised(cells, block.norm_forward), block.forward_layer[0])
        cells = cells + projected(hidden * (1 + erf(hidden / math.sqrt(2))) / 2, block.forward_layer[2])
    return cells


def through(made: ConfounderAttention, cells: Array, dictionary: Array, prior: Sequence[float]) -> Array:
    with torch.no_grad():
        found: Array = made(*(torch.tensor(one, dtype=torch.float64) for one in (cells, dictionary, prior))).numpy()
    return found


@pytest.mark.parametrize("prior", [UNIFORM, UNEVEN])
@pytest.mark.parametrize("marginalisation", ["attention", "prior", "self"])
def test_a_block_once_more_by_loops(marginalisation: str, prior: Sequence[float]) -> None:
    """Eq. 8, and its two variants."""
    made, cells, dictionary = network(marginalisation), drawn(2, CELLS, WIDTH), drawn(CONFOUNDERS, WIDTH)
    expected = [replica(image, dictionary, prior, made) for image in cells]
    np.testing.assert_allclose(through(made, cells, dictionary, prior), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("prior", [UNIFORM, UNEVEN])
def test_the_exact_marginalisation_is_the_mean_under_every_confounder_weighed_by_the_prior(
    prior: Sequence[float],
) -> None:
    """Eq. 7, through two blocks: the mean is taken at the end, not in between."""
    made, cells, dictionary = network("exact", depth=2), drawn(2, CELLS, WIDTH), drawn(CONFOUNDERS, WIDTH)
    expected = np.zeros_like(cells)
    for image in range(2):
        for z, weight in zip(dictionary, prior, strict=True):
            expected[image] += weight * replica(cells[image], z, prior, made)
    np.testing.assert_allclose(through(made, cells, dictionary, prior), expected, rtol=1e-10, atol=1e-12)


def test_a_uniform_prior_changes_nothing_and_another_one_does() -> None:
    plain, weighed = network("attention", depth=2), network("prior", depth=2)
    weighed.load_state_dict(plain.state_dict())
    cells, dictionary = drawn(2, CELLS, WIDTH), drawn(CONFOUNDERS, WIDTH)
    expected = through(plain, cells, dictionary, UNIFORM)
    np.testing.assert_allclose(through(weighed, cells, dictionary, UNIFORM), expected, rtol=1e-10, atol=1e-12)
    assert np.abs(through(weighed, cells, dictionary, UNEVEN) - expected).max() > 1e-3
    np.testing.assert_array_equal(through(plain, cells, dictionary, UNEVEN), expected)


@pytest.mark.parametrize("marginalisation", ["attention", "prior", "exact"])
def test_the_order_of_the_confounders_does_not_matter(marginalisation: str) -> None:
    made, cells, dictionary = network(marginalisation), drawn(2, CELLS, WIDTH), drawn(CONFOUNDERS, WIDTH)
    found = through(made, cells, dictionary, UNEVEN)
    np.testing.assert_allclose(through(made, cells, dictionary[::-1].copy(), UNEVEN[::-1]), found, atol=1e-12)


def test_attention_to_one_confounder_adds_the_same_to_every_cell() -> None:
    """Why Eq. 7 cannot be had with Eq. 8's attention."""
    block = network("attention").blocks[0]
    x, z = torch.tensor(drawn(2, CELLS, WIDTH)), torch.tensor(drawn(1, WIDTH))
    added = block._intervene(x, z, torch.ones(1, dtype=torch.float64))
    torch.testing.assert_close(added, added[:1, :1].expand_as(added))


@pytest.mark.parametrize("marginalisation", MARGINALISATIONS)
def test_every_parameter_is_used(marginalisation: str) -> None:
    made = network(marginalisation, depth=2)
    inputs = (drawn(2, CELLS, WIDTH), drawn(CONFOUNDERS, WIDTH), UNEVEN)
    made(*(torch.tensor(one, dtype=torch.float64) for one in inputs)).square().sum().backward()
    assert all(one.grad is not None and one.grad.abs().max() > 0 for one in made.parameters())


def test_parameters_grow_by_the_step_of_table_5_with_every_layer() -> None:
    """12.4, 18.6, 24.9, 31.2 and 37.5 million; what stands beside the layers cannot be told from the paper."""
    with torch.device("meta"):
        counts = [sum(one.numel() for one in ConfounderAttention(768, depth).parameters()) for depth in range(1, 6)]
    steps = np.diff(counts)
    assert (steps == steps[0]).all()
    assert counts[0] == steps[0]
    slope = np.polyfit(range(1, 6), [12.4e6, 18.6e6, 24.9e6, 31.2e6, 37.5e6], 1)[0]
    assert steps[0] == pytest.approx(slope, rel=0.05)


def test_the_control_without_a_dictionary_has_almost_as_many_parameters() -> None:
    """All but the norm of the dictionary, in every layer."""
    with torch.device("meta"):
        counts = [
            sum(one.numel() for one in ConfounderAttention(768, 3, kind).parameters()) for kind in ("attention", "self")
        ]
    assert counts[0] - counts[1] == 3 * 2 * 768


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"marginalisation": "mean"}, "marginalisation='mean': choose 'attention', 'prior', 'exact', 'self'"),
        ({"depth": 0}, "depth=0: give at least one layer"),
        ({"heads": 3}, "heads=3: the width 8 cannot be divided by it"),
        ({"heads": 0}, "heads=0: the width 8 cannot be divided by it"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ConfounderAttention(8, **options)
