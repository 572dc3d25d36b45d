# SPDX-License-Identifier: Apache-2.0
"""A fill that looks like the rest of the image, without learned weights.

The region is closed by the smoothest surface that meets its surroundings (the harmonic extension: every voxel is the
mean of its neighbours), and the fine texture of another place of the same image is laid on top. What is left is a
region in which nothing happens, rather than a grey hole.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage, sparse
from scipy.sparse import linalg
from torch import Tensor

from monai_causal.intervene.draws import draw_integer
from monai_causal.intervene.fills import Fill, Replacement
from monai_causal.intervene.regions import Region, Regions

__all__ = ["InpaintFill", "harmonic_extension"]

_DIRECT_SOLVE_LIMIT = 20_000  # unknowns; beyond it a factorisation in 3-D costs more memory than the image
_PLACES_TRIED = 8


class InpaintFill(Fill):
    """Harmonic extension of the surroundings plus texture from elsewhere in the image.

    Args:
        texture: how much of the drawn texture to add; 0 leaves the smooth surface, which does not vary between draws.
        texture_sigma: what counts as texture: the image minus its Gaussian blur of this many voxels.
    """

    def __init__(self, texture: float = 1.0, texture_sigma: float = 2.0) -> None:
        self.texture = texture
        self.texture_sigma = texture_sigma

    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        array = image.detach().cpu().numpy().astype(np.float64)
        for region in regions:
            if region.size == int(np.prod(array.shape[1:])):
                raise ValueError(
                    f"InpaintFill: region {region.id} covers the whole image and leaves nothing to extend."
                )
        blurred = ndimage.gaussian_filter(array, (0.0, *(self.texture_sigma,) * (array.ndim - 1)), mode="nearest")
        residual = torch.from_numpy(self.texture * (array - blurred)).to(image)
        solvers: dict[tuple, Callable[[np.ndarray], np.ndarray]] = {}
        surfaces: dict[int, Tensor] = {}

        def replacement(region: Region, draw: int) -> Tensor:
            if region.id not in surfaces:
                surfaces[region.id] = torch.from_numpy(_surface(array, region, solvers)).to(image)
            surface = surfaces[region.id]
            if self.texture != 0:
                surface = surface + residual[self._place(region, array.shape[1:], seed, draw)]
            return surface[region.channel_index]

        return replacement

    @staticmethod
    def _place(region: Region, spatial_shape: tuple[int, ...], seed: int, draw: int) -> tuple[slice, ...]:
        """Where the texture comes from: a box of the region's shape, beside the region where there is room."""
        place: tuple[slice, ...] = ()
        for attempt in range(_PLACES_TRIED):
            starts = [
                draw_integer(length - size + 1, seed, region.id, draw, stream=attempt * len(spatial_shape) + axis)
                for axis, (length, size) in enumerate(zip(spatial_shape, region.shape, strict=True))
            ]
            place = tuple(slice(start, start + size) for start, size in zip(starts, region.shape, strict=True))
            apart = (
                start >= stop_other or start + size <= start_other
                for start, size, (start_other, stop_other) in zip(starts, region.shape, region.box, strict=True)
            )
            if any(apart):
                break
        return (slice(None), *place)


def _surface(array: np.ndarray, region: Region, solvers: dict[tuple, Callable[[np.ndarray], np.ndarray]]) -> np.ndarray:
    """The harmonic surface over the region's box ``(C, *region.shape)``; outside a mask it is the image itself."""
    outer = tuple(
        slice(max(0, start - 1), min(length, stop + 1))
        for (start, stop), length in zip(region.box, array.shape[1:], strict=True)
    )
    inner = tuple(slice(start - s.start, stop - s.start) for (start, stop), s in zip(region.box, outer, strict=True))
    around = array[(slice(None), *outer)]
    unknown = np.zeros(around.shape[1:], dtype=bool)
    unknown[inner] = True if region.mask is None else region.mask.cpu().numpy()
    # Patches of a grid share their geometry, hence one factorisation serves them all.
    key = (unknown.shape, unknown.tobytes())
    if key not in solvers:
        solvers[key] = harmonic_extension(unknown)
    return solvers[key](around)[(slice(None), *inner)]


def harmonic_extension(unknown: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
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
    solve: Callable[[np.ndarray], np.ndarray]
    if len(inside) <= _DIRECT_SOLVE_LIMIT:
        solve = linalg.splu(system).solve
    else:

        def solve(right: np.ndarray) -> np.ndarray:
            return linalg.cg(system, right, rtol=1e-8)[0]

    def extend(array: np.ndarray) -> np.ndarray:
        filled = array.reshape(len(array), -1).copy()
        for channel in filled:
            channel[inside] = solve(-(coupling @ channel[outside]))
        return filled.reshape(array.shape)

    return extend
