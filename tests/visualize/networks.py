# SPDX-License-Identifier: Apache-2.0
"""Small networks in float64 with a layer to look into, and slow replicas of what is looked for there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.golden import LinearSegmenter

Array = NDArray[np.float64]

SIZES = {2: (8, 12), 3: (4, 8, 6)}


class TwoHalves(nn.Module):
    """``back(tanh(front(x)))``, the front halving the image and the back doubling it; neither linear nor symmetric."""

    def __init__(self, dims: int, classes: int = 2, seed: int = 0) -> None:
        super().__init__()
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[dims]
        transposed = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[dims]
        self.stem = nn.Sequential(convolution(1, 3, 3, padding=1), nn.ReLU(inplace=True))
        self.front = convolution(3, 4, 3, stride=2, padding=1)
        self.bend = nn.Tanh()
        self.back = transposed(4, classes, 2, stride=2)
        generator = torch.Generator().manual_seed(seed)
        self.double()
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.5

    def forward(self, image: Tensor) -> Tensor:
        return self.after(self.front(self.stem(image)))

    def after(self, activation: Tensor) -> Tensor:
        return self.back(self.bend(activation))


def looked_into(model: LinearSegmenter) -> nn.Sequential:
    """A linear segmenter behind a layer whose activation is the image itself."""
    return nn.Sequential(OrderedDict(features=nn.Identity(), head=model))


def image_of(dims: int, batch: int = 1, channels: int = 1, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, *SIZES[dims], generator=generator, dtype=torch.float64)


def mask_of(dims: int, batch: int | None = None, seed: int = 1) -> Tensor:
    shape = SIZES[dims] if batch is None else (batch, 1, *SIZES[dims])
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.3


def mean_logit(output: Tensor, mask: Tensor, class_idx: int) -> float:
    """S of one item ``(1, K, *spatial)``, by a loop."""
    logits = [float(output[(0, class_idx, *voxel)]) for voxel in np.ndindex(*mask.shape) if mask[voxel]]
    return sum(logits) / len(logits)


def slow_gradient(after: Callable[[Tensor], Tensor], activation: Tensor, mask: Tensor, class_idx: int) -> Array:
    """dS/dA of one item by central differences, element by element."""
    gradient, step = np.zeros(activation.shape), 1e-5
    with torch.no_grad():
        for place in np.ndindex(*activation.shape):
            moved = [activation.clone(), activation.clone()]
            moved[0][place] -= step
            moved[1][place] += step
            low, high = (mean_logit(after(one), mask, class_idx) for one in moved)
            gradient[place] = (high - low) / (2 * step)
    return gradient


def slow_min_max(array: Array) -> Array:
    low, high = min(array.flat), max(array.flat)
    return np.array([(value - low) / (high - low) for value in array.flat]).reshape(array.shape)


def enlarged(array: Array, size: tuple[int, ...]) -> Array:
    """Linear interpolation along each axis, voxel centres at ``(i + 1/2) * scale - 1/2``, held at the border."""
    for axis, length in enumerate(size):
        have = array.shape[axis]
        at = np.clip((np.arange(length) + 0.5) * have / length - 0.5, 0, have - 1)
        low = np.minimum(np.floor(at).astype(int), have - 1)
        share = (at - low).reshape([-1 if k == axis else 1 for k in range(array.ndim)])
        array = array.take(low, axis) * (1 - share) + array.take(np.minimum(low + 1, have - 1), axis) * share
    return array


@contextmanager
def left_alone(network: nn.Module, image: Tensor) -> Iterator[None]:
    """What a visualizer must leave as it found it: hooks, gradients, modes, weights, and the caller's image."""
    network.train()
    next(iter(network.children())).eval()  # as a frozen part of a network in training
    modes = [module.training for module in network.modules()]
    weights = [parameter.clone() for parameter in network.parameters()]
    wanted = [parameter.requires_grad for parameter in network.parameters()]
    before = image.clone()
    yield
    for module in network.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks
    assert all(parameter.grad is None for parameter in network.parameters())
    assert [parameter.requires_grad for parameter in network.parameters()] == wanted
    assert all(torch.equal(*pair) for pair in zip(weights, network.parameters(), strict=True))
    assert [module.training for module in network.modules()] == modes
    assert not image.requires_grad
    assert image.grad is None
    assert torch.equal(image, before)


class Dictionary(nn.Module):
    """torchvision's way of answering."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        answer = self.network(image)
        return {"out": answer, "aux": F.relu(answer)}
