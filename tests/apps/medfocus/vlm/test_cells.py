# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from monai_causal.apps.medfocus.vlm.cells import PixelMap, Sheet

WHOLE = PixelMap((8, 12), (Sheet((2, 3), ((0, 8), (0, 12))),))
CROPPED = PixelMap((7, 11), (Sheet((3, 2), ((1.25, 5.5), (-2.0, 9.3))),))
TILED = PixelMap(
    (7, 11),
    (Sheet((2, 2), ((0, 7), (0, 5.5))), Sheet((2, 2), ((0, 7), (5.5, 11))), Sheet((3, 3), ((0, 7), (0, 11)))),
)
FINE = 40
"""Points per pixel and axis of the replica; the boxes above have their edges between them."""


def shares(cells: PixelMap) -> torch.Tensor:
    """(cells, height, width): how much of each pixel lies in each cell, by counting points on a fine lattice."""
    height, width = cells.size
    y = (torch.arange(height * FINE, dtype=torch.float64) + 0.5) / FINE
    x = (torch.arange(width * FINE, dtype=torch.float64) + 0.5) / FINE
    found = []
    for (top, bottom), (left, right) in cells.boxes.tolist():
        inside = ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))[None]
        found.append(F.avg_pool2d(inside.double()[None, None], FINE)[0, 0])
    return torch.stack(found)


def test_cells_are_counted_row_by_row_and_sheet_by_sheet() -> None:
    assert len(WHOLE) == 6
    assert WHOLE.boxes[4].tolist() == [[4, 8], [4, 8]]
    assert len(TILED) == 17
    assert TILED.boxes[5].tolist() == [[0, 3.5], [8.25, 11]]
    torch.testing.assert_close(TILED.boxes[16], torch.tensor([[14 / 3, 7], [22 / 3, 11]], dtype=torch.float64))


@pytest.mark.parametrize("cells", [WHOLE, CROPPED, TILED])
def test_to_cells_is_the_mean_over_the_cell(cells: PixelMap) -> None:
    image = torch.rand((2, *cells.size), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    share = shares(cells)
    expected = torch.einsum("bhw,chw->bc", image, share) / share.sum((1, 2))
    torch.testing.assert_close(cells.to_cells(image), expected, rtol=0, atol=0.02)
    torch.testing.assert_close(cells.to_cells(torch.ones(cells.size)), torch.ones(len(cells)))


@pytest.mark.parametrize("cells", [WHOLE, CROPPED, TILED])
def test_to_pixels_is_the_mean_over_the_cells_of_a_pixel(cells: PixelMap) -> None:
    values = torch.rand((2, len(cells)), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    share = shares(cells)
    weight = share.sum(0)
    expected = torch.einsum("bc,chw->bhw", values, share) / weight.clamp(min=1e-9)
    torch.testing.assert_close(cells.to_pixels(values), expected, rtol=0, atol=0.03)
    torch.testing.assert_close(cells.seen(), seen(cells))
    constant = cells.to_pixels(torch.full((len(cells),), 3.0))
    assert torch.equal((constant - 3).abs() < 1e-5, cells.seen() > 0)


def seen(cells: PixelMap) -> torch.Tensor:
    if cells is not CROPPED:
        return torch.ones(cells.size)
    rows, columns = torch.zeros(7), torch.zeros(11)
    rows[1:6] = torch.tensor([0.75, 1, 1, 1, 0.5])
    columns[:10] = torch.tensor([1.0] * 9 + [0.3])
    return rows[:, None] * columns


def test_smooth_is_linear_interpolation_between_the_cells_centres() -> None:
    values = torch.rand(6, dtype=torch.float64)
    expected = F.interpolate(values.reshape(1, 1, 2, 3), size=(8, 12), mode="bilinear")[0, 0]
    torch.testing.assert_close(WHOLE.to_pixels(values, smooth=True), expected)
    inside = CROPPED.to_pixels(torch.ones(6), smooth=True)
    assert inside[0].max() == inside[6].max() == inside[:, 10].max() == 0
    assert torch.equal(inside[2:5, :9], torch.ones(3, 9))


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="5 values for 6 cells"):
        WHOLE.to_pixels(torch.zeros(5))
    with pytest.raises(ValueError, match=r"the map is \(12, 8\), the picture of these cells \(8, 12\)"):
        WHOLE.to_cells(torch.zeros(12, 8))
    with pytest.raises(ValueError, match=r"not \(0, 3\)"):
        Sheet((0, 3), ((0, 8), (0, 12)))
    with pytest.raises(ValueError, match="above 0"):
        Sheet((1, 3), ((8, 8), (0, 12)))
