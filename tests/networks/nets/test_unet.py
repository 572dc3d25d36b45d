# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from monai_causal.networks.nets import UNet

Array = NDArray[np.float64]


def convolution(x: Array, layer: nn.Module) -> Array:
    """(C, *spatial) -> (K, *spatial), zeros outside: a sum over the taps of the kernel."""
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    half = [size // 2 for size in weight.shape[2:]]
    padded = np.pad(x, [(0, 0), *((h, h) for h in half)])
    out = np.zeros((len(weight), *x.shape[1:])) + bias.reshape(-1, *(1,) * len(half))
    for tap in product(*(range(size) for size in weight.shape[2:])):
        window = padded[(slice(None), *(slice(t, t + length) for t, length in zip(tap, x.shape[1:], strict=True)))]
        out += np.tensordot(weight[(..., *tap)], window, axes=1)
    return out


def normalisation(x: Array, layer: nn.Module) -> Array:
    column = (-1, *(1,) * (x.ndim - 1))
    mean, variance, scale, shift = (
        value.detach().numpy().reshape(column)
        for value in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * scale + shift


def double_convolution(x: Array, layers: Sequence[nn.Module]) -> Array:
    for first in (0, 3):
        x = np.maximum(normalisation(convolution(x, layers[first]), layers[first + 1]), 0)
    return x


def halved(x: Array) -> Array:
    for axis in range(1, x.ndim):
        x = np.maximum(x.take(range(0, x.shape[axis], 2), axis), x.take(range(1, x.shape[axis], 2), axis))
    return x


def doubled(x: Array) -> Array:
    """Linear interpolation with aligned corners, axis by axis; a single voxel is repeated."""
    for axis in range(1, x.ndim):
        length = x.shape[axis]
        places = np.linspace(0, length - 1, 2 * length)
        low = np.minimum(places.astype(int), max(length - 2, 0))
        share = (places - low).reshape(-1, *(1,) * (x.ndim - 1 - axis))
        x = x.take(low, axis) * (1 - share) + x.take(np.minimum(low + 1, length - 1), axis) * share
    return x


def forward(network: UNet, image: Array) -> Array:
    """The U-Net of the study once more: five stages down, four up, the skip in front of what comes from below."""
    skips = [double_convolution(image, network.stem)]
    for stage in network.down:
        skips.append(double_convolution(halved(skips[-1]), stage[1]))
    x = skips.pop()
    for stage in network.up:
        x = double_convolution(np.concatenate([skips.pop(), doubled(x)]), stage)
    return convolution(x, network.head)


def shaken(network: UNet) -> UNet:
    """Weights and running statistics away from their symmetric beginnings."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                module.running_mean.uniform_(-0.5, 0.5, generator=generator)
                module.running_var.uniform_(0.5, 2, generator=generator)
                module.weight.uniform_(0.5, 2, generator=generator)
                module.bias.uniform_(-0.5, 0.5, generator=generator)
    return network.double().eval()


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"in_channels": 2, "out_channels": 3, "widths": (4, 6, 5)}, (24, 16)),
        ({"in_channels": 1, "widths": (3, 4)}, (4, 12)),
        ({"in_channels": 1, "widths": (8,)}, (2, 6)),
        ({"spatial_dims": 3, "in_channels": 2, "out_channels": 2, "widths": (3, 4)}, (8, 12, 4)),
    ],
)
def test_the_forward_is_the_slow_one(options: dict, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = shaken(UNet(**options))
    images = torch.randn(2, options["in_channels"], *shape, dtype=torch.float64)
    with torch.no_grad():
        outputs = network(images)
    for image, output in zip(images, outputs, strict=True):
        expected = forward(network, image.numpy())
        assert expected.std() > 1e-3
        np.testing.assert_allclose(output, expected, rtol=0, atol=1e-12)


def count(spatial_dims: int, in_channels: int, out_channels: int, widths: Sequence[int]) -> int:
    """Parameters by the rule of the paper's network: a stage is two convolutions with bias, two norms of two each."""

    def stage(narrow: int, wide: int) -> int:
        taps = 3**spatial_dims
        return (taps * narrow + 1) * wide + (taps * wide + 1) * wide + 4 * wide

    down = stage(in_channels, widths[0]) + sum(map(stage, widths, [*widths[1:], widths[-1]]))
    up = sum(stage(2 * wide, narrow) for wide, narrow in zip(widths, [widths[0], *widths[:-1]], strict=True))
    return down + up + (widths[0] + 1) * out_channels


def test_the_number_of_parameters_is_that_of_the_study() -> None:
    assert sum(parameter.numel() for parameter in UNet().parameters()) == 13_395_329
    assert count(2, 3, 1, (64, 128, 256, 512)) == 13_395_329


@pytest.mark.parametrize(
    "options",
    [
        {"spatial_dims": 2, "in_channels": 1, "out_channels": 4, "widths": (8, 12, 20)},
        {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "widths": (4, 8, 16, 32)},
        {"spatial_dims": 3, "in_channels": 2, "out_channels": 1, "widths": (5,)},
    ],
)
def test_the_number_of_parameters(options: dict) -> None:
    assert sum(parameter.numel() for parameter in UNet(**options).parameters()) == count(**options)


def test_a_smaller_image_reaches_down_to_one_voxel() -> None:
    """The smallest image that fits is one voxel at the bottom, up-sampled from nothing but itself."""
    torch.manual_seed(0)
    network = shaken(UNet(in_channels=1, widths=(2, 3)))
    image = torch.randn(1, 1, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        np.testing.assert_allclose(network(image)[0], forward(network, image[0].numpy()), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({}, (30, 32), r"an image of \(30, 32\) does not fit: each axis must be a multiple of 4"),
        ({"widths": (2, 2, 2)}, (8, 12), r"an image of \(8, 12\) does not fit: each axis must be a multiple of 8"),
        ({"spatial_dims": 3}, (8, 8, 6), r"an image of \(8, 8, 6\) does not fit: each axis must be a multiple of 4"),
    ],
)
def test_an_image_that_cannot_be_halved_is_refused(options: dict, shape: tuple[int, ...], message: str) -> None:
    network = UNet(**{"in_channels": 1, "widths": (2, 2), **options})
    with pytest.raises(ValueError, match=message):
        network(torch.zeros(1, 1, *shape))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spatial_dims": 1}, "spatial_dims=1: the network is made for 2 or 3"),
        ({"widths": ()}, "widths is empty: name the channels of at least one level"),
    ],
)
def test_settings_that_cannot_be(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UNet(**options)
