# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch
import torch.nn.functional as F

from monai_causal.networks.blocks.patches import ChannelNorm, OverlappingPatches, PatchExpanding


def test_the_norm_is_over_the_channels_of_each_pixel() -> None:
    torch.manual_seed(0)
    norm = ChannelNorm(5)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    x = torch.randn(2, 5, 3, 4)
    for i in range(3):
        for j in range(4):
            expected = F.layer_norm(x[:, :, i, j], (5,), norm.weight, norm.bias)
            torch.testing.assert_close(norm(x)[:, :, i, j], expected)


def test_overlapping_patches_halve_the_map() -> None:
    patches = OverlappingPatches(3, 8)
    x = torch.randn(2, 3, 6, 10)
    found = patches(x)
    assert found.shape == (2, 8, 3, 5)
    corner = F.conv2d(x[:, :, 1:4, 3:6], patches[0].weight, patches[0].bias)[:, :, 0, 0]
    torch.testing.assert_close(found[:, :, 1, 2], F.layer_norm(corner, (8,)))


def test_a_token_becomes_its_own_square_of_finer_ones() -> None:
    """The channels are dealt out row by row."""
    torch.manual_seed(0)
    expand = PatchExpanding(6, 4, scale=3)
    tokens = torch.randn(2, 2, 5, 6)
    found = expand(tokens)
    assert found.shape == (2, 6, 15, 4)
    dealt = tokens[:, 1, 3] @ expand.expand.weight.T
    for row in range(3):
        for column in range(3):
            part = dealt[:, (3 * row + column) * 4 : (3 * row + column + 1) * 4]
            torch.testing.assert_close(found[:, 3 + row, 9 + column], F.layer_norm(part, (4,)))
