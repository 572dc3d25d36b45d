# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from monai_causal.networks.blocks.tokenized_mlp import TokenizedMLP, shifted


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("channels", [5, 12])
def test_groups_of_channels_are_shifted_by_up_to_two(axis: int, channels: int) -> None:
    x = torch.randn(2, channels, 6, 7)
    found = shifted(x, axis)
    for channel in range(channels):
        group = next(k for k, part in enumerate(np.array_split(range(channels), 5)) if channel in part)
        for i in range(x.shape[2 + axis]):
            source = i - (group - 2)
            inside = 0 <= source < x.shape[2 + axis]
            expected = x[:, channel].select(1 + axis, source) if inside else torch.zeros(2, x.shape[3 - axis])
            assert torch.equal(found[:, channel].select(1 + axis, i), expected)


def test_a_block_is_its_parts_in_the_papers_order() -> None:
    torch.manual_seed(0)
    block = TokenizedMLP(10).double()
    tokens = torch.randn(2, 10, 8, 9, dtype=torch.float64)
    with torch.no_grad():
        x = F.layer_norm(tokens.permute(0, 2, 3, 1), (10,), block.norm.weight, block.norm.bias).permute(0, 3, 1, 2)
        x = torch.einsum("oc,bchw->bohw", block.across.weight[:, :, 0, 0], shifted(x, 1))
        x = F.gelu(block.around(x + block.across.bias[:, None, None]))
        x = torch.einsum("oc,bchw->bohw", block.down.weight[:, :, 0, 0], shifted(x, 0))
        torch.testing.assert_close(block(tokens), tokens + x + block.down.bias[:, None, None])


def test_a_token_reaches_three_places_at_most() -> None:
    """Two by a shift and one by the convolution, on each axis; nothing comes round from the other side."""
    torch.manual_seed(0)
    block = TokenizedMLP(10).double()
    tokens = torch.randn(1, 10, 12, 12, dtype=torch.float64)
    changed = tokens.clone()
    changed[:, 0, 1, 6] += 1  # not all channels alike: the norm would take that away
    with torch.no_grad():
        felt = (block(changed) - block(tokens)).abs().amax((0, 1)) > 0
    expected = torch.zeros(12, 12, dtype=torch.bool)
    expected[:5, 3:10] = True
    assert torch.equal(felt, expected)


def test_too_few_channels() -> None:
    with pytest.raises(ValueError, match="width=4: channels are shifted in five groups, give at least 5"):
        TokenizedMLP(4)
