# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_causal.metrics.ranking import descending, mask_of, top_voxels
from tests.metrics.replicas import inside, ranked


@pytest.mark.parametrize("shape", [(7, 6), (3, 4, 5)])
@pytest.mark.parametrize("seed", range(3))
def test_the_order_is_the_slow_one_with_many_ties(shape: tuple[int, ...], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    heat = torch.randint(0, 4, shape, generator=generator).double()
    expected = [np.ravel_multi_index(voxel, shape) for voxel in ranked(heat.numpy(), np.ndindex(*shape))]
    assert descending(heat).tolist() == expected
    within = torch.rand(shape, generator=generator) < 0.6
    for fraction in (0.01, 0.3, 1.0):
        count = max(1, round(fraction * int(within.sum())))
        expected_top = set(ranked(heat.numpy(), inside(within.numpy()))[:count])
        assert set(inside(top_voxels(heat, within, fraction).numpy())) == expected_top


@pytest.mark.parametrize(("size", "fraction", "count"), [(5, 0.5, 2), (7, 0.5, 4), (10, 0.01, 1), (10, 0.26, 3)])
def test_how_many_is_rounded_and_at_least_one(size: int, fraction: float, count: int) -> None:
    """A half is rounded to the even number: 2.5 to 2, 3.5 to 4."""
    within = torch.zeros(4, 5, dtype=torch.bool)
    within.view(-1)[:size] = True
    assert int(top_voxels(torch.rand(4, 5), within, fraction).sum()) == count


def test_a_constant_map_takes_the_first_voxels_of_the_region() -> None:
    within = torch.tensor([[0, 1, 0], [1, 1, 1]], dtype=torch.bool)
    assert top_voxels(torch.ones(2, 3), within, 0.5).tolist() == [[False, True, False], [True, False, False]]


def test_a_mask_of_flat_indices() -> None:
    assert mask_of(torch.tensor([0, 5]), (2, 3)).tolist() == [[True, False, False], [False, False, True]]
