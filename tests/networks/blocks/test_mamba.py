# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch
import torch.nn.functional as F

from monai_causal.networks.blocks.mamba import Mamba


def test_the_number_of_parameters_is_mambas_own() -> None:
    """For width d, inside e = 2d, 16 states, a convolution of 4 and rank d / 16."""
    d, e, n, r = 64, 128, 16, 4
    expected = d * 2 * e + (4 * e + e) + e * (r + 2 * n) + (r * e + e) + e * n + e + e * d
    assert sum(parameter.numel() for parameter in Mamba(d).parameters()) == expected


def test_a_token_sees_those_before_it_alone() -> None:
    torch.manual_seed(0)
    layer = Mamba(width=6, states=3).double()
    tokens = torch.randn(1, 100, 6, dtype=torch.float64)
    changed = tokens.clone()
    changed[:, 40] += 1
    with torch.no_grad():
        felt = (layer(changed) - layer(tokens)).abs().amax(-1)[0]
    assert torch.equal(felt[:40], torch.zeros(40, dtype=torch.float64))
    assert felt[40:].min() > 0


def test_the_layer_is_the_slow_one() -> None:
    torch.manual_seed(0)
    layer = Mamba(width=4, states=2, kernel=3).double()
    tokens = torch.randn(2, 11, 4, dtype=torch.float64)
    with torch.no_grad():
        entered = tokens @ layer.enter.weight.T
        x, gate = entered[..., :8], entered[..., 8:]
        convolved = torch.zeros_like(x)
        for t in range(11):
            for tap in range(3):
                if t - 2 + tap >= 0:
                    convolved[:, t] += layer.convolution.weight[:, 0, tap] * x[:, t - 2 + tap]
        x = F.silu(convolved + layer.convolution.bias)
        scanned = layer.scan(x.transpose(1, 2)[:, None])[:, 0].transpose(1, 2)
        expected = (scanned * gate * torch.sigmoid(gate)) @ layer.leave.weight.T
        torch.testing.assert_close(layer(tokens), expected, rtol=0, atol=1e-12)
