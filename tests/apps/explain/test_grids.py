# SPDX-License-Identifier: Apache-2.0
"""From grid to grid through the world, against arithmetic done voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_causal.apps.explain.grids import Grid, resample

FINE = Grid((6, 8, 5), np.array([[0, 1.5, 0, -20], [-2.0, 0, 0, 60], [0, 0, 3.0, 10], [0, 0, 0, 1]]))
COARSE = Grid((4, 5, 7), np.array([[3.1, 0, 0, -21], [0, 2.7, 0, 49.3], [0, 0, 2.0, 9], [0, 0, 0, 1]]))


def test_each_voxel_takes_the_value_of_the_one_it_lies_in() -> None:
    values = torch.rand(FINE.shape, generator=torch.Generator().manual_seed(0))
    found = resample(values, FINE, COARSE)
    beyond = 0
    for index in np.ndindex(*COARSE.shape):
        place = np.linalg.solve(FINE.affine, COARSE.affine @ [*index, 1])[:3].round().astype(int)
        inside = all(0 <= i < n for i, n in zip(place, FINE.shape, strict=True))
        beyond += not inside
        assert float(found[index]) == (float(values[tuple(place)]) if inside else 0.0)
    assert 0 < beyond < found.numel()


@pytest.mark.parametrize("axes", [2, 3])
def test_smooth_maps_are_interpolated_and_do_not_fade_at_the_border(axes: int) -> None:
    half = np.diag([0.5] * axes + [1.0] * (4 - axes))
    half[:axes, 3] = -0.25  # twice as fine over the same extent
    coarse, fine = Grid((4,) * axes, np.eye(4)), Grid((8,) * axes, half)
    ramp = torch.arange(4, dtype=torch.float64).reshape(4, *(1,) * (axes - 1)).expand(*coarse.shape)
    expected = torch.tensor([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3], dtype=torch.float64)
    found = resample(ramp, coarse, fine, smooth=True)
    torch.testing.assert_close(found, expected.reshape(8, *(1,) * (axes - 1)).expand(*fine.shape))
    steps = ramp.repeat_interleave(2, 0)
    for axis in range(1, axes):
        steps = steps.repeat_interleave(2, axis)
    assert torch.equal(resample(ramp.to(torch.uint8), coarse, fine), steps.to(torch.uint8))
