# SPDX-License-Identifier: Apache-2.0
"""What the metrics are held against: rankings, occlusions and scores written out voxel by voxel, in numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]
Voxel = tuple[int, ...]


def small_network(seed: int, spatial_dims: int, in_channels: int, out_channels: int) -> nn.Module:
    """Two convolutions and a bend, float64."""
    convolution = {2: nn.Conv2d, 3: nn.Conv3d}[spatial_dims]
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return nn.Sequential(
            convolution(in_channels, 5, 3, padding=1, dtype=torch.float64),
            nn.Tanh(),
            convolution(5, out_channels, 3, padding=1, dtype=torch.float64),
        )


def pointwise(weight: float, spatial_dims: int = 2) -> nn.Module:
    """Answers ``weight * x``, without a bias: what an occlusion does to the score can be read off the image."""
    convolution = {2: nn.Conv2d, 3: nn.Conv3d}[spatial_dims](1, 1, 1, bias=False, dtype=torch.float64)
    convolution.requires_grad_(False).weight.fill_(weight)
    return convolution


def ranked(heat: Array, voxels: Iterable[Voxel]) -> list[Voxel]:
    """Voxels from the highest heat down; the lower flat index first among equals."""
    return sorted(voxels, key=lambda voxel: (-float(heat[voxel]), int(np.ravel_multi_index(voxel, heat.shape))))


def inside(mask: NDArray[np.bool_]) -> list[Voxel]:
    return [voxel for voxel in np.ndindex(*mask.shape) if mask[voxel]]


def filled(image: Array, voxels: Iterable[Voxel], value: float | None = None) -> Array:
    """``image`` (C, *spatial) with some voxels replaced by the channel's mean, or by a value."""
    means = [channel.sum() / channel.size if value is None else value for channel in image]
    after = image.copy()
    for voxel in voxels:
        for channel, mean in enumerate(means):
            after[(channel, *voxel)] = mean
    return after


def probabilities(network: Callable[[Tensor], Tensor], image: Array, activation: str | None) -> Array:
    """``(K, *spatial)`` of one image (C, *spatial)."""
    with torch.no_grad():
        logits = network(torch.as_tensor(image)[None])[0].numpy()
    if activation is None:
        return logits
    if len(logits) == 1:
        return 1 / (1 + np.exp(-logits))
    return np.exp(logits) / np.exp(logits).sum(0)


def masked_mean(
    network: Callable[[Tensor], Tensor], image: Array, class_idx: int, mask: NDArray[np.bool_], activation: str | None
) -> float:
    """The mean probability of a class over a mask."""
    probability = probabilities(network, image, activation)[class_idx]
    return sum(float(probability[voxel]) for voxel in inside(mask)) / int(mask.sum())
