# SPDX-License-Identifier: Apache-2.0
"""Two grids of one image, and the way between them: as it was stored, and as the network sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from monai_causal.intervene.regions import plain

__all__ = ["Grid", "affine_of", "resample"]


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxels ``shape`` whose indices ``affine`` (4, 4) takes to a world that the other grid shares."""

    shape: tuple[int, ...]
    affine: NDArray[np.float64]

    def same_as(self, other: Grid) -> bool:
        return self.shape == other.shape and np.allclose(self.affine, other.affine, atol=1e-6)


def affine_of(image: Tensor) -> NDArray[np.float64]:
    """The affine (4, 4) of one image; the identity where it has none."""
    if not isinstance(image, MetaTensor):
        return np.eye(4)
    own = image.affine[0] if image.affine.ndim == 3 else image.affine
    return np.asarray(to_affine_nd(3, own.double().cpu().numpy()))


def resample(values: Tensor, source: Grid, target: Grid, smooth: bool = False) -> Tensor:
    """``values`` (*spatial) of one grid on another; 0 beyond the first one's voxels.

    Args:
        values: on ``source``.
        source: where they are.
        target: where they go.
        smooth: interpolate linearly; otherwise each voxel takes the value of the one that it lies in, so that masks
            stay masks and the effect of a region stays that effect.

    Example:
        >>> fine, coarse = Grid((4,), np.eye(4)), Grid((2,), np.diag([2.0, 1, 1, 1]))
        >>> resample(torch.tensor([0.0, 1, 2, 3]), fine, coarse)
        tensor([0., 2.])
    """
    if source.same_as(target):
        return plain(values)
    axes = values.ndim
    between = np.linalg.inv(source.affine) @ target.affine
    way = (between[:axes, :axes], between[:axes, 3], target.shape)
    array = plain(values).cpu().numpy()
    numbers = array.astype(np.float64)
    nearest = ndimage.affine_transform(numbers, *way, order=0, mode="grid-constant")
    if not smooth:
        return torch.from_numpy(nearest.astype(array.dtype))
    # Half a voxel at the border lies beyond the outermost centres: it takes the border's value, not a blend with 0.
    linear = ndimage.affine_transform(numbers, *way, order=1, mode="nearest")
    inside = ndimage.affine_transform(np.ones_like(numbers), *way, order=0, mode="grid-constant")
    return torch.from_numpy((linear * inside).astype(array.dtype))
