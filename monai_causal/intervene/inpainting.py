# SPDX-License-Identifier: Apache-2.0
"""A fill that looks like the rest of the image, without learned weights.

The region is closed by the smoothest surface that meets its surroundings (the harmonic extension: every voxel is the
mean of its neighbours), and the fine texture of another place of the same image is laid on top, no stronger than the
texture around the region. What is left is a region in which nothing happens, rather than a grey hole. None of the
region's own voxels comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import linalg
from torch import Tensor

from monai_causal.intervene.draws import draw_integer
from monai_causal.intervene.fills import Fill, Replacement, column
from monai_causal.intervene.regions import Region, Regions, coverage

__all__ = ["Extension", "InpaintFill", "harmonic_extension"]

Extension = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Fills the unknown voxels of ``(C, *spatial)``; the others stay."""

_DIRECT_SOLVE_LIMIT = 5_000  # unknowns; beyond it a factorisation in 3-D is slower and larger than its use is worth
_SOLVERS_KEPT = 8  # a line of patches across the image meets four geometries at most
_SURFACES_KEPT = 64  # the draws of a region follow each other
_RIM = 4  # voxels around a region whose contrast limits its texture
_NORMAL = 1.4826  # a normal distribution's standard deviation, in its median absolute values


class InpaintFill(Fill):
    """Harmonic extension of the surroundings plus texture from elsewhere in the image.

    The texture of a draw is that of a box of the region's shape beside the region. Its values are cut at twice the
    (robust) standard deviation of the texture around the region, lest it brings edges, highlights or lettering along.
    A region that leaves no room beside it takes what it can from around it and stays smooth elsewhere.

    Args:
        texture: how much of the drawn texture to add; 0 leaves the smooth surface, which does not vary between draws.
        texture_sigma: what counts as texture: the image minus its Gaussian blur of this many voxels.
    """

    def __init__(self, texture: float = 1.0, texture_sigma: float = 1.5) -> None:
        if texture < 0 or texture_sigma <= 0:
            raise ValueError(
                f"InpaintFill(texture={texture}, texture_sigma={texture_sigma}): the amount is 0 or more, the width "
                "above 0."
            )
        self.texture = texture
        self.texture_sigma = texture_sigma

    @property
    def distinct_draws(self) -> int | None:
        return None if self.texture > 0 else 1

    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        array = image.detach().cpu().double().numpy()
        for region in regions:
            if region.size == int(np.prod(array.shape[1:])):
                raise ValueError(
                    f"InpaintFill: region {region.id} covers the whole image and leaves nothing to extend."
                )
        blurred = ndimage.gaussian_filter(array, (0.0, *(self.texture_sigma,) * (array.ndim - 1)), mode="nearest")
        residual = array - blurred
        texture_of = torch.from_numpy(self.texture * residual).to(image)

        # Patches of a grid share their geometry, hence one factorisation serves them all.
        @lru_cache(maxsize=_SOLVERS_KEPT)
        def solver(shape: tuple[int, ...], unknown: bytes) -> Extension:
            return harmonic_extension(np.frombuffer(unknown, dtype=bool).reshape(shape))

        @lru_cache(maxsize=_SURFACES_KEPT)
        def surface_and_limit(region: Region) -> tuple[Tensor, Tensor]:
            around, own, inner = _surroundings(array, region, 1)
            surface = solver(own.shape, own.tobytes())(around)[(slice(None), *inner)]
            rim, own, _ = _surroundings(residual, region, _RIM)
            limit = 2 * self.texture * _NORMAL * np.median(np.abs(rim[:, ~own]), axis=1)
            return torch.from_numpy(surface).to(image), column(torch.from_numpy(limit), image)

        def replacement(region: Region, draw: int) -> Tensor:
            surface, limit = surface_and_limit(region)
            if self.texture > 0:
                surface = surface + _texture(texture_of, region, seed, draw).clamp(-limit, limit)
            return surface[region.channel_index]

        return replacement


def _texture(residual: Tensor, region: Region, seed: int, draw: int) -> Tensor:
    """The residual of a drawn box of the region's shape: beside the region where there is room on an axis, else
    anywhere, but without the region's own voxels."""
    rooms = [length - size + 1 for length, size in zip(residual.shape[1:], region.shape, strict=True)]
    starts = [draw_integer(room, seed, region.id, draw, stream=1 + axis) for axis, room in enumerate(rooms)]
    beside = [
        [*range(start - size + 1), *range(stop, room)]
        for (start, stop), size, room in zip(region.box, region.shape, rooms, strict=True)
    ]
    axes = [axis for axis, places in enumerate(beside) if places]
    if axes:
        axis = axes[draw_integer(len(axes), seed, region.id, draw)]
        starts[axis] = beside[axis][draw_integer(len(beside[axis]), seed, region.id, draw, stream=1 + axis)]
    place = tuple(slice(start, start + size) for start, size in zip(starts, region.shape, strict=True))
    texture = residual[(slice(None), *place)]
    if not axes:
        texture = texture.masked_fill(coverage(region, residual.shape[1:])[place].to(residual.device), 0.0)
    return texture


def _surroundings(
    array: NDArray[np.float64], region: Region, width: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_], tuple[slice, ...]]:
    """The region's box with ``width`` voxels around it, as far as the image goes: the array there, which voxels are the
    region's, and where its box is."""
    outer = tuple(
        slice(max(0, start - width), min(length, stop + width))
        for (start, stop), length in zip(region.box, array.shape[1:], strict=True)
    )
    inner = tuple(slice(start - s.start, stop - s.start) for (start, stop), s in zip(region.box, outer, strict=True))
    around = array[(slice(None), *outer)]
    own = np.zeros(around.shape[1:], dtype=bool)
    own[inner] = True if region.mask is None else region.mask.cpu().numpy()
    return around, own, inner


def harmonic_extension(unknown: NDArray[np.bool_]) -> Extension:
    """A solver that fills the ``unknown`` voxels (bool, ``*spatial``) of ``(C, *spatial)`` arrays harmonically.

    Every unknown voxel becomes the mean of its face neighbours; the array's own border is insulated.
    """
    numbers = np.arange(unknown.size).reshape(unknown.shape)
    pairs = [
        (numbers.take(range(length - 1), axis).ravel(), numbers.take(range(1, length), axis).ravel())
        for axis, length in enumerate(unknown.shape)
    ]
    first, second = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    ones = np.ones(len(first))
    adjacency = sparse.coo_matrix((ones, (first, second)), shape=(unknown.size, unknown.size))
    adjacency = (adjacency + adjacency.T).tocsr()
    laplacian = (sparse.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency).tocsr()
    inside = np.flatnonzero(unknown.ravel())
    outside = np.flatnonzero(~unknown.ravel())
    system = laplacian[inside][:, inside].tocsc()
    coupling = laplacian[inside][:, outside]
    solve: Extension
    if len(inside) <= _DIRECT_SOLVE_LIMIT:
        solve = linalg.splu(system).solve
    else:

        def solve(right: NDArray[np.float64]) -> NDArray[np.float64]:
            return linalg.cg(system, right, rtol=1e-8)[0]

    def extend(array: NDArray[np.float64]) -> NDArray[np.float64]:
        filled = array.reshape(len(array), -1).copy()
        for channel in filled:
            channel[inside] = solve(-(coupling @ channel[outside]))
        return filled.reshape(array.shape)

    return extend
