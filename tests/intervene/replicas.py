# SPDX-License-Identifier: Apache-2.0
"""The engine over again, slowly and without it: one voxel, one item, one forward at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from monai_causal.intervene import Region, Regions

Array = NDArray[np.float64]


def voxels(region: Region) -> Iterator[tuple[int, ...]]:
    """The voxels of a region, one by one."""
    for voxel in product(*(range(start, stop) for start, stop in region.box)):
        inner = tuple(at - start for at, (start, _) in zip(voxel, region.box, strict=True))
        if region.mask is None or bool(region.mask[inner]):
            yield voxel


def region_mask(region: Region, size: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(size, dtype=bool)
    for voxel in voxels(region):
        mask[voxel] = True
    return mask


def do(image: Array, region: Region, replacement: Array) -> Array:
    """``image`` (C, *spatial) with the region taken from ``replacement`` (C, *spatial)."""
    intervened = image.copy()
    first, last = region.channels or (0, len(image))
    for channel in range(first, last):
        for voxel in voxels(region):
            intervened[(channel, *voxel)] = replacement[(channel, *voxel)]
    return intervened


def effects_one_by_one(
    network: Callable[[Tensor], Any],
    image: Tensor,
    regions: Regions,
    fill: float,
    score: Callable[[Tensor], Tensor],
) -> Tensor:
    """Effects ``(regions, ...)`` of putting one number there: a plain loop, one forward of one item each."""
    with torch.no_grad():
        before = score(network(image.clone()))
        rows = []
        for region in regions:
            intervened = do(image[0].numpy(), region, np.full(image[0].shape, fill))
            rows.append(score(network(torch.as_tensor(intervened, dtype=image.dtype)[None])) - before)
    return torch.cat(rows)


class Counting(nn.Module):
    """A network that notes the size of every batch that it is really run on."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.batches: list[int] = []

    def forward(self, image: Tensor, *others: Any) -> Any:
        if not torch.compiler.is_exporting():
            self.batches.append(len(image))
        return self.network(image, *others)
