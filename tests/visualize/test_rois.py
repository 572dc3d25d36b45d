# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from monai_causal.visualize.rois import boundary_roi, component_roi, find_roi, tile_rois


def blob(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """A ball somewhere and some specks."""
    rng = np.random.default_rng(seed)
    centre = [rng.uniform(0.3, 0.7) * n for n in shape]
    away = sum((axis - c) ** 2 for axis, c in zip(np.indices(shape), centre, strict=True))
    return torch.from_numpy((away < (min(shape) / 4) ** 2) | (rng.random(shape) < 0.01))


@pytest.mark.parametrize(
    ("shape", "size", "step"), [((30, 41), 9, 1), ((32, 40), (8, 16), 8), ((12, 10, 11), 4, (2, 1, 3)), ((20, 6), 8, 4)]
)
@pytest.mark.parametrize("seed", range(3))
def test_the_box_filled_nearest_to_a_half(shape: tuple[int, ...], size: Any, step: Any, seed: int) -> None:
    mask = blob(shape, seed)
    edges = [min(e, n) for e, n in zip(size if isinstance(size, tuple) else [size] * len(shape), shape, strict=True)]
    steps = step if isinstance(step, tuple) else [step] * len(shape)
    best: tuple[float, Any] = (2.0, None)
    for corner in product(*(range(0, n - e + 1, s) for n, e, s in zip(shape, edges, steps, strict=True))):
        box = tuple((start, start + edge) for start, edge in zip(corner, edges, strict=True))
        share = float(mask[tuple(slice(*span) for span in box)].double().mean())
        if abs(share - 0.5) < best[0] - 1e-12:
            best = abs(share - 0.5), box
    assert boundary_roi(mask, size, step) == best[1]


def test_the_largest_component_alone() -> None:
    mask = torch.zeros(9, 9, dtype=torch.bool)
    mask[0, :3] = mask[4:6, 4:7] = mask[8, 8] = True
    expected = torch.zeros_like(mask)
    expected[4:6, 4:7] = True
    assert torch.equal(component_roi(mask), expected)


def test_every_third_tile_with_foreground() -> None:
    mask = torch.zeros(16, 24, dtype=torch.bool)
    mask[5, :] = mask[15, 2] = True
    tiles = tile_rois(mask, 4)
    assert [tile.box for tile in tiles][:2] == [((4, 8), (0, 4)), ((4, 8), (4, 8))]
    assert len(tiles) == 7
    assert tiles[6].box == ((12, 16), (0, 4))
    assert tile_rois(mask, 4, every=3).ids == tiles.ids[::3]


def test_a_roi_that_is_given_is_kept() -> None:
    box, mask = ((1, 3), (2, 6)), torch.eye(6).bool()
    never: Any = None
    assert find_roi(box, (6, 6), never, 4, 2) == box
    assert torch.equal(torch.as_tensor(find_roi(mask.float()[None] * 0.7, (6, 6), never, 4, 2)), mask)
    assert find_roi("boundary", (32, 32), lambda: blob((32, 32)), 8, 8) == boundary_roi(blob((32, 32)), 8, 8)
    found = find_roi("component", (32, 32), lambda: blob((32, 32)), 8, 8)
    assert torch.equal(torch.as_tensor(found), component_roi(blob((32, 32))))


@pytest.mark.parametrize(
    ("roi", "message"),
    [
        ("middle", "roi='middle': give a box"),
        (torch.zeros(6, 6), "the RoI is empty: its mask holds no voxel"),
        (((0, 7), (0, 2)), r"leaves the image: \[0, 7\) on axis 0"),
        (((0, 2),), "has 1 axes, the image 2"),
        (torch.ones(5, 6), r"\(5, 6\)"),
        ("boundary", "is empty: there is no object to put a RoI on"),
        ("component", "is empty: there is no object to put a RoI on"),
    ],
)
def test_rois_that_cannot_be(roi: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_roi(roi, (6, 6), lambda: torch.zeros(6, 6, dtype=torch.bool), 2, 2)


def test_no_tiles_of_nothing() -> None:
    with pytest.raises(ValueError, match="is empty"):
        tile_rois(torch.zeros(8, 8, dtype=torch.bool), 4)
    with pytest.raises(ValueError, match="every=0"):
        tile_rois(torch.ones(8, 8, dtype=torch.bool), 4, every=0)
