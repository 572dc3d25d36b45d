# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.golden import LinearSegmenter

# size, in_channels, out_channels, kernel_size
CASES = [
    ((7, 9), 1, 1, 3),
    ((6, 8), 3, 3, (5, 3)),
    ((5, 6, 4), 1, 1, 3),
    ((6, 5, 7), 2, 2, (1, 3, 5)),
]


@pytest.fixture(params=[(case, seed) for case in CASES for seed in range(3)], ids=lambda p: f"{p[0]}-seed{p[1]}")
def setting(request):
    """A model, an image, a fill, a mask and one of the classes."""
    (size, in_channels, out_channels, kernel_size), seed = request.param
    channels = {"in_channels": in_channels, "out_channels": out_channels}
    model = LinearSegmenter(seed, spatial_dims=len(size), kernel_size=kernel_size, **channels)
    generator = torch.Generator().manual_seed(100 + seed)
    image, fill = torch.rand((2, in_channels, *size), generator=generator, dtype=torch.float64)
    mask = torch.rand(size, generator=generator) < 0.3
    return model, image, fill, mask, seed % out_channels


def regions_of(size, seed=0):
    """Dense and sparse regions: inner and bordering boxes, corners, scattered voxels, everything."""
    generator = np.random.default_rng(seed)
    for box in (
        tuple(slice(0, 3) for _ in size),
        tuple(slice(n // 2, n) for n in size),
        tuple(slice(2, 4) for _ in size),
        tuple(slice(0, 1) for _ in size),
        tuple(slice(n - 1, n) for n in size),
        tuple(slice(None) for _ in size),
    ):
        region = np.zeros(size, dtype=bool)
        region[box] = True
        yield region
    yield generator.random(size) < 0.1
    yield generator.random(size) < 0.6


def test_effect_is_the_difference_of_two_runs(setting):
    model, image, fill, mask, class_idx = setting
    for region in regions_of(image.shape[1:]):
        intervened = torch.where(torch.as_tensor(region), fill, image)
        before, after = model.score(torch.stack([image, intervened]), mask, class_idx)
        assert model.effect(image, fill, region, mask, class_idx) == pytest.approx(float(after - before), abs=1e-12)


def test_effect_is_not_zero_where_the_kernel_reaches_the_mask(setting):
    model, image, fill, mask, class_idx = setting
    region = np.asarray(mask)
    assert abs(model.effect(image, fill, region, mask, class_idx)) > 1e-3


def test_effects_over_a_partition_sum_to_the_whole_change(setting):
    model, image, fill, mask, class_idx = setting
    part = np.random.default_rng(1).integers(0, 5, size=image.shape[1:])
    total = sum(model.effect(image, fill, part == number, mask, class_idx) for number in range(5))
    before, after = model.score(torch.stack([image, fill]), mask, class_idx)
    assert total == pytest.approx(float(after - before), abs=1e-12)


def test_gradient_is_what_autograd_finds(setting):
    model, image, _, mask, class_idx = setting
    leaf = image[None].clone().requires_grad_()
    model.score(leaf, mask, class_idx).backward()
    np.testing.assert_allclose(model.gradient(mask, class_idx), leaf.grad[0].numpy(), rtol=0, atol=1e-12)


def test_by_hand():
    """logit(p) = 2 x[p] + 3 x[p + 1] + 1 over the first two of three pixels: s = (2.75 + 4.5) / 2."""
    model = LinearSegmenter()
    model.convolution.weight.zero_()
    model.convolution.weight[0, 0, 1, 1:] = torch.tensor([2.0, 3.0])
    model.convolution.bias.fill_(1.0)
    image = [[[0.5, 0.25, 1.0]]]
    mask = [[True, True, False]]
    assert model.score(torch.tensor([image], dtype=torch.float64), mask).item() == 3.625
    np.testing.assert_array_equal(model.gradient(mask), [[[1.0, 2.5, 1.5]]])
    # without the middle pixel s is (2 + 4) / 2: it supported the score, so its effect is negative
    assert model.effect(image, [[[0.0, 0.0, 0.0]]], [[False, True, False]], mask) == 3.0 - 3.625
    assert model.effect(image, [[[1.0, 1.0, 1.0]]], [[False, True, False]], mask) == 5.5 - 3.625


def test_score_is_one_number_per_image_of_a_batch():
    model = LinearSegmenter(3, in_channels=2, out_channels=2)
    images = torch.rand((4, 2, 6, 7), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mask = torch.zeros(6, 7, dtype=torch.bool)
    mask[1:3, 2:5] = True
    expected = model.convolution(images)[:, 1, 1:3, 2:5].mean(dim=(1, 2))
    torch.testing.assert_close(model.score(images, mask, class_idx=1), expected, rtol=0, atol=1e-14)


def test_weights_belong_to_the_seed_and_are_frozen():
    first, again, other = LinearSegmenter(5), LinearSegmenter(5), LinearSegmenter(6)
    assert torch.equal(first.convolution.weight, again.convolution.weight)
    assert torch.equal(first.convolution.bias, again.convolution.bias)
    assert not torch.equal(first.convolution.weight, other.convolution.weight)
    assert not any(parameter.requires_grad for parameter in first.parameters())
