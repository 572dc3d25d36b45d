# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from torch import nn

from monai_causal.networks.blocks.kan import KANLinear, TokenizedKAN, b_splines


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_splines_are_scipys(order: int) -> None:
    knots = np.linspace(-2, 2.5, 10)
    x = np.linspace(-3, 3, 61) + 0.003
    expected = np.stack(
        [BSpline.basis_element(knots[k : k + order + 2], extrapolate=False)(x) for k in range(9 - order)], axis=-1
    )
    found = b_splines(torch.from_numpy(x), torch.from_numpy(knots), order)
    np.testing.assert_allclose(found, np.nan_to_num(expected), rtol=0, atol=1e-12)


def test_splines_of_a_layer_sum_to_one_on_its_grid() -> None:
    layer = KANLinear(1, 1)
    x = torch.linspace(-1, 0.999, 50)
    torch.testing.assert_close(b_splines(x, layer.knots, 3).sum(-1), torch.ones(50))


def test_the_layer_is_the_slow_one() -> None:
    """Every weight is a function of its own."""
    torch.manual_seed(0)
    layer = KANLinear(3, 2, intervals=4, order=2).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    knots = np.linspace(-2, 2, 9)
    found, base, scale = (part.detach().numpy() for part in (layer(x), layer.base, layer.scale))
    for token in range(5):
        for out in range(2):
            expected = 0.0
            for i in range(3):
                value = float(x[token, i])
                spline = BSpline(knots, layer.coefficients[out, i].detach().numpy(), 2, extrapolate=False)
                inside = (
                    float(spline(value)) if knots[2] <= value < knots[-3] else _partial(layer, out, i, value, knots)
                )
                smooth = value / (1 + np.exp(-value))
                expected += base[out, i] * smooth + scale[out, i] * inside
            np.testing.assert_allclose(found[token, out], expected, rtol=0, atol=1e-12)


def _partial(layer: KANLinear, out: int, i: int, value: float, knots: np.ndarray) -> float:
    """Outside of the grid but among the knots, where not all splines overlap and scipy has no value."""
    bases = [BSpline.basis_element(knots[k : k + 4], extrapolate=False)(value) for k in range(6)]
    return float(np.nan_to_num(bases) @ layer.coefficients[out, i].detach().numpy())


def test_a_function_can_be_learnt_that_a_linear_layer_cannot() -> None:
    """sin(3 x) on [-1, 1], by least squares: cubic splines on five intervals come near, a line does not."""
    layer = KANLinear(1, 1).double()
    x = torch.linspace(-1, 0.999, 200, dtype=torch.float64)[:, None]
    with torch.no_grad():
        layer.base.zero_()
        layer.scale.fill_(1)
        wanted = torch.sin(3 * x)
        solution = torch.linalg.lstsq(b_splines(x[:, 0], layer.knots.double(), 3), wanted).solution
        layer.coefficients.copy_(solution.T[None])
        line = x * torch.linalg.lstsq(x, wanted).solution
        assert (layer(x) - wanted).abs().max() < 0.005
        assert (line - wanted).abs().max() > 0.5


def test_the_number_of_parameters() -> None:
    """Ten per weight (eight coefficients, the smooth part, the scale), as in the study's count of U-KAN."""
    assert sum(parameter.numel() for parameter in KANLinear(7, 5).parameters()) == 10 * 35
    block = TokenizedKAN(6)
    assert sum(parameter.numel() for parameter in block.parameters()) == 3 * (10 * 36 + 9 * 6 + 6 + 12) + 12


def test_a_block_adds_to_what_came_in() -> None:
    torch.manual_seed(0)
    block = TokenizedKAN(4).eval()
    tokens = torch.randn(2, 4, 6, 5)
    x = block.norm(tokens)
    for layer, around in zip(block.layers, block.around, strict=True):
        mixed = torch.stack([layer(pixel) for pixel in x.flatten(2).unbind(2)], dim=2).view(x.shape)
        x = around(mixed)
    torch.testing.assert_close(block(tokens), tokens + x)
    assert isinstance(block.around[0][1], nn.BatchNorm2d)
