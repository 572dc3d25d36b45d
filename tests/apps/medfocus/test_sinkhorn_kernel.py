# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from monai_causal.apps.medfocus import sinkhorn_kernel
from monai_causal.apps.medfocus.sinkhorn_kernel import gaussian, log_kernel


def dense(log_values, width):
    """Every pair of cells, in logarithms: what no overflow or underflow can touch."""
    rows, columns = log_values.shape
    index = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).double()
    squares = ((index[:, None] - index[None]) ** 2).sum(-1)
    return torch.logsumexp(log_values.flatten()[:, None] - squares / width, dim=0).view(rows, columns)


@pytest.mark.parametrize("width", [400.0, 3.0, 0.05, 0.001])
def test_equals_the_dense_sum_whatever_the_width(width):
    generator = torch.Generator().manual_seed(0)
    values = 50 * torch.randn(2, 11, 13, generator=generator, dtype=torch.float64)
    values[0, :, :5] = -torch.inf
    values[1, 3] = -torch.inf
    found = log_kernel(values, torch.full((2,), width, dtype=torch.float64))
    for item in range(2):
        torch.testing.assert_close(found[item], dense(values[item], width), rtol=1e-12, atol=1e-11)


def test_sums_that_underflow_are_taken_again_term_by_term(monkeypatch):
    values = torch.full((1, 1, 40), -torch.inf, dtype=torch.float64)
    values[0, 0, 0] = 0.0
    width = torch.tensor([0.5], dtype=torch.float64)
    exact = -(torch.arange(40, dtype=torch.float64) ** 2) / 0.5
    torch.testing.assert_close(log_kernel(values, width)[0, 0], exact)
    monkeypatch.setattr(sinkhorn_kernel, "_TILE_RANGE", 1e9)  # one tile for the whole row, where the far end underflows
    torch.testing.assert_close(log_kernel(values, width)[0, 0], exact)
    monkeypatch.setattr(sinkhorn_kernel, "LEAST", 0.0)
    assert torch.isneginf(log_kernel(values, width)[0, 0]).any()


def test_nothing_stays_nothing():
    empty = torch.full((1, 4, 5), -torch.inf, dtype=torch.float64)
    assert torch.isneginf(log_kernel(empty, torch.ones(1, dtype=torch.float64))).all()


def test_several_fields_share_their_items_width():
    values = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    width = torch.tensor([2.0, 7.0], dtype=torch.float64)
    together = log_kernel(values, width)
    for channel in range(3):
        torch.testing.assert_close(together[:, channel], log_kernel(values[:, channel], width))


def test_gaussian_is_the_kernel_of_the_logarithms():
    values = torch.rand(1, 7, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    width = torch.tensor([9.0], dtype=torch.float64)
    kernel = gaussian(7, width)
    torch.testing.assert_close(log_kernel(values.log(), width).exp(), kernel @ values @ kernel)
