# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from monai_causal.networks.blocks.unpooling import pool_with_places, unpool


@pytest.mark.parametrize("shape", [(6, 8), (4, 2, 6)])
@pytest.mark.parametrize("values", ["all different", "many equal", "all equal"])
def test_it_is_torchs_own(shape: tuple[int, ...], values: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, *shape)
    if values != "all different":
        x = F.relu(x.round()) if values == "many equal" else torch.zeros_like(x)
    pool = {2: F.max_pool2d, 3: F.max_pool3d}[len(shape)]
    back = {2: F.max_unpool2d, 3: F.max_unpool3d}[len(shape)]
    expected, indices = pool(x, 2, return_indices=True)
    pooled, places = pool_with_places(x)
    assert torch.equal(pooled, expected)
    decoded = torch.randn_like(pooled)
    assert torch.equal(unpool(decoded, places), back(decoded, indices, 2))


def test_gradients_go_through_the_values_alone() -> None:
    x = torch.randn(1, 1, 4, 4, requires_grad=True)
    pooled, places = pool_with_places(x)
    assert not places.requires_grad
    unpool(pooled, places).sum().backward()
    assert torch.equal(x.grad, places)
