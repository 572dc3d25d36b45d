# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor

from monai_causal.visualize.normalise import normalise, on_image
from tests.visualize.networks import slow_min_max


def test_each_map_by_itself() -> None:
    maps = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = np.stack([np.stack([slow_min_max(one.numpy()) for one in item]) for item in maps])
    np.testing.assert_allclose(normalise(maps).numpy(), expected, rtol=0, atol=1e-15)


def test_no_epsilon_even_for_tiny_differences() -> None:
    tiny = torch.tensor([[[[0.0, 1e-12], [2e-12, 4e-12]]]], dtype=torch.float64)
    torch.testing.assert_close(normalise(tiny).flatten(), torch.tensor([0, 0.25, 0.5, 1], dtype=torch.float64))


def test_a_constant_map_is_zero() -> None:
    assert torch.equal(normalise(torch.full((1, 1, 3, 3), 7.0)), torch.zeros(1, 1, 3, 3))


def test_a_map_takes_the_images_affine_and_precision() -> None:
    image = MetaTensor(torch.rand(1, 1, 2, 2), affine=torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0])))
    placed = on_image(torch.ones(1, 1, 2, 2, dtype=torch.float64), image)
    assert isinstance(placed, MetaTensor)
    assert torch.equal(placed.affine, image.affine)
    assert placed.dtype == torch.float32
    assert type(on_image(placed, torch.rand(1, 1, 2, 2).half())) is torch.Tensor
    assert on_image(placed, torch.rand(1, 1, 2, 2).half()).dtype == torch.float32
    assert on_image(placed, torch.rand(1, 1, 2, 2).double()).dtype == torch.float64
