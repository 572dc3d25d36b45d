# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_causal.intervene import grid_regions
from monai_causal.visualize.refined_grid import boundary, refined_grid
from tests.intervene.replicas import region_mask


def slow_boundary(mask: np.ndarray) -> np.ndarray:
    """A voxel any of whose neighbours, corners included, is of the other kind."""
    edge = np.zeros_like(mask)
    for voxel in np.ndindex(*mask.shape):
        around = tuple(slice(max(at - 1, 0), at + 2) for at in voxel)
        edge[voxel] = mask[around].any() and not mask[around].all()
    return edge


@pytest.mark.parametrize("shape", [(13, 17), (7, 9, 6)])
def test_cells_on_the_boundary_are_parted_and_the_image_stays_covered_once(shape: tuple[int, ...]) -> None:
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[tuple(slice(0, length // 3) for length in shape)] = True
    edge = slow_boundary(mask.numpy())
    assert np.array_equal(boundary(mask).numpy(), edge)
    regions, scale = refined_grid(mask, 3, 2)
    covered = sum(region_mask(region, shape).astype(int) for region in regions)
    assert (covered == 1).all()
    assert len(set(regions.ids)) == len(regions)
    coarse = [region_mask(cell, shape) for cell in grid_regions(shape, cells=3)]
    parts = dict.fromkeys(range(len(coarse)), 0)
    for region, factor in zip(regions, scale.tolist(), strict=True):
        own = region_mask(region, shape)
        (number,) = [k for k, cell in enumerate(coarse) if (own & cell).any()]
        assert factor == pytest.approx(coarse[number].sum() / own.sum())
        parts[number] += 1
    for number, cell in enumerate(coarse):
        assert parts[number] == (2 ** len(shape) if (cell & edge).any() else 1)
    assert {1, 2 ** len(shape)} == set(parts.values())


def test_no_part_is_smaller_than_a_voxel() -> None:
    mask = torch.ones(4, 4, dtype=torch.bool)
    mask[0, 0] = False
    regions, _ = refined_grid(mask, cells=2, refine=5)
    assert regions.sizes == (1, 1, 1, 1, 4, 4, 4)
