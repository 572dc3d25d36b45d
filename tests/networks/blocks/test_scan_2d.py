# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_causal.networks.blocks.scan_2d import Scan2D, VisualStateSpaceBlock, four_sequences, one_map


def test_the_four_ways_through_a_map() -> None:
    image = torch.tensor([[1.0, 2, 3], [4, 5, 6]])[None, None]
    expected = [[1, 2, 3, 4, 5, 6], [1, 4, 2, 5, 3, 6], [6, 5, 4, 3, 2, 1], [6, 3, 5, 2, 4, 1]]
    assert four_sequences(image)[0, :, 0].tolist() == expected


def test_each_place_gets_its_four_values_back() -> None:
    image = torch.randn(2, 3, 4, 5)
    weights = torch.tensor([1.0, 10, 100, 1000])[:, None, None]
    torch.testing.assert_close(one_map(four_sequences(image) * weights, 4, 5), 1111 * image)


def slow(layer: Scan2D, image: Tensor) -> Tensor:
    """Pixel by pixel, each direction by its own list of places."""
    height, width = image.shape[1:3]
    rows = [(i, j) for i in range(height) for j in range(width)]
    columns = [(i, j) for j in range(width) for i in range(height)]
    inside = layer.enter.out_features // 2
    entered = image @ layer.enter.weight.T
    x, gate = entered[..., :inside], entered[..., inside:]
    x = F.silu(layer.convolution(x.permute(0, 3, 1, 2)))
    total = torch.zeros_like(x)
    scan = layer.scan
    rank, states = scan.sizes[:2]
    for direction, places in enumerate((rows, columns, rows[::-1], columns[::-1])):
        own = slice(direction * inside, (direction + 1) * inside)
        decay = -torch.exp(scan.log_decay[own])
        state = torch.zeros(len(image), inside, states, dtype=image.dtype)
        for i, j in places:
            u = x[:, :, i, j]
            read = u @ scan.read[direction].T
            step = F.softplus(read[:, :rank] @ scan.step[direction].T + scan.step_bias[direction])[..., None]
            state = torch.exp(step * decay) * state + step * u[..., None] * read[:, None, rank : rank + states]
            total[:, :, i, j] += (state * read[:, None, rank + states :]).sum(-1) + scan.skip[own] * u
    normed = layer.norm(total.permute(0, 2, 3, 1))
    return (normed * F.silu(gate)) @ layer.leave.weight.T


def test_the_scan_is_the_slow_one() -> None:
    torch.manual_seed(0)
    layer = Scan2D(width=4, states=3).double()
    with torch.no_grad():
        layer.scan.skip.normal_()
        layer.scan.log_decay.normal_()
        image = torch.randn(2, 7, 12, 4, dtype=torch.float64)
        torch.testing.assert_close(layer(image), slow(layer, image), rtol=0, atol=1e-12)


def test_a_block_adds_to_what_came_in() -> None:
    torch.manual_seed(0)
    block = VisualStateSpaceBlock(width=4, states=2).double()
    image = torch.randn(1, 5, 5, 4, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(block(image) - image, block.scan(block.norm(image)))


def test_a_pixel_is_felt_most_along_its_row_and_its_column() -> None:
    """States that live for a few pixels: the four scans pass a change on along its own row and column, and to others
    only at the far end of a line."""
    torch.manual_seed(0)
    layer = Scan2D(width=8, states=4).double()
    with torch.no_grad():
        layer.convolution.weight.zero_()
        layer.convolution.weight[:, :, 1, 1] = 1  # no neighbours by convolution
        layer.scan.step_bias.fill_(0.0)  # steps of about 0.7, so states fall to a half and less
        image = torch.randn(1, 33, 33, 8, dtype=torch.float64)
        changed = image.clone()
        changed[:, 16, 16] += 1
        felt = (layer(changed) - layer(image)).abs().sum(-1)[0]
    cross = torch.zeros(33, 33, dtype=torch.bool)
    cross[16], cross[:, 16] = True, True
    near = torch.zeros(33, 33, dtype=torch.bool)
    near[12:21, 12:21] = True
    assert felt[cross & near].min() > 1000 * felt[~cross & near].max()
