# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_causal.metrics import pointing_game
from tests.metrics.replicas import inside, ranked


@pytest.mark.parametrize("size", [(6, 7), (3, 5, 4)])
@pytest.mark.parametrize("tolerance", [0, 1, 1.5])
def test_agrees_with_the_slow_one(size: tuple[int, ...], tolerance: float) -> None:
    generator = torch.Generator().manual_seed(0)
    heat = torch.randint(0, 20, (40, 1, *size), generator=generator).double()
    mask = torch.rand(40, 1, *size, generator=generator) < 0.1
    mask[:, 0].flatten(1)[:, -1] = True
    expected = []
    for one, where in zip(heat[:, 0].numpy(), mask[:, 0].numpy(), strict=True):
        highest = ranked(one, np.ndindex(*size))[0]
        reach = [sum((a - b) ** 2 for a, b in zip(highest, voxel, strict=True)) ** 0.5 for voxel in inside(where)]
        expected.append(float(min(reach) <= tolerance))
    assert pointing_game(heat, mask, tolerance).tolist() == expected
    assert 0 < sum(expected) < 40
    assert [pointing_game(heat[k : k + 1], mask[k], tolerance) for k in range(40)] == expected


def test_of_equals_the_lower_flat_index_points() -> None:
    heat = torch.zeros(1, 1, 3, 3)
    heat[0, 0, 0, 2] = heat[0, 0, 1, 0] = 1
    first, second = torch.zeros(3, 3), torch.zeros(3, 3)
    first[0, 2] = second[1, 0] = 1
    assert pointing_game(heat, first) == 1
    assert pointing_game(heat, second) == 0
    # A constant map points at the first voxel.
    assert pointing_game(torch.ones(1, 1, 3, 3), second) == 0
    assert pointing_game(torch.ones(1, 1, 3, 3), second, tolerance=1) == 1


def test_the_tolerance_is_a_euclidean_distance_and_holds_its_end() -> None:
    heat, mask = torch.zeros(1, 1, 9, 9), torch.zeros(9, 9)
    heat[0, 0, 1, 1] = mask[4, 5] = 1
    assert pointing_game(heat, mask, tolerance=5) == 1
    assert pointing_game(heat, mask, tolerance=4.99) == 0


def test_floor_and_ceiling() -> None:
    """A map of the mask always hits; a random one hits with the mask's share of the image."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(8, 8)
    mask[2:6, 1:5] = 1
    heat = torch.rand(2000, 1, 8, 8, generator=generator)
    masks = mask.expand(2000, 1, 8, 8)
    assert pointing_game(mask[None, None], mask) == 1
    hits = pointing_game(heat, masks)
    assert float(hits.mean()) == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 2000) ** 0.5)
    assert set(pointing_game(heat + 2 * mask, masks).tolist()) == {1.0}


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="tolerance=-1: a distance in voxels, 0 or more"):
        pointing_game(torch.ones(1, 1, 3, 3), torch.ones(3, 3), -1)
    with pytest.raises(ValueError, match="the mask of item 0 is empty"):
        pointing_game(torch.ones(1, 1, 3, 3), torch.zeros(3, 3))
