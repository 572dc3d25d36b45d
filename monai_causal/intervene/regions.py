# SPDX-License-Identifier: Apache-2.0
"""Where to intervene: sets of regions of an n-dimensional image, which may overlap.

A :class:`Region` is a half-open box in array order, narrowed to a mask where it is no rectangle and to some channels
where it is not all of them. :class:`Regions` is an ordered set of them over one image shape. A region keeps its
``id`` in a subset, so that its random draws stay the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise, product
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from monai_causal.extras import require

__all__ = [
    "Box",
    "Region",
    "Regions",
    "box_regions",
    "grid_regions",
    "label_regions",
    "mask_regions",
    "superpixel_regions",
]

Box = tuple[tuple[int, int], ...]
"""Half-open ``((start, stop), ...)`` per spatial axis, in array order."""


@dataclass(frozen=True, eq=False)
class Region:
    """One region: ``box`` over the spatial axes, ``mask`` (bool, of the box's shape) where it is no rectangle,
    ``channels`` (half-open) where it does not take them all."""

    id: int
    box: Box
    mask: Tensor | None = None
    channels: tuple[int, int] | None = None
    name: str = ""

    @cached_property
    def channel_index(self) -> slice:
        """What to index the channel axis with."""
        return slice(None) if self.channels is None else slice(*self.channels)

    @cached_property
    def index(self) -> tuple[slice, ...]:
        """What to index a ``(C, *spatial)`` tensor with to see the region's box."""
        return (self.channel_index, *(slice(start, stop) for start, stop in self.box))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape of the box."""
        return tuple(stop - start for start, stop in self.box)

    @cached_property
    def size(self) -> int:
        """Number of voxels (of one channel)."""
        return int(np.prod(self.shape)) if self.mask is None else int(self.mask.sum())

    def within(self, volume: Tensor) -> Tensor:
        """The region's voxels of a ``(*spatial)`` tensor, flat."""
        values = volume[self.index[1:]]
        return values.reshape(-1) if self.mask is None else values[self.mask.to(volume.device)]

    def write(self, view: Tensor, replacement: Tensor | float) -> None:
        """Put ``replacement``, anything that broadcasts to ``view``, into ``view`` (C, *box shape) in place."""
        if self.mask is not None:
            replacement = torch.where(
                self.mask, torch.as_tensor(replacement, dtype=view.dtype, device=view.device), view
            )
        if isinstance(replacement, Tensor):
            view.copy_(replacement)
        else:
            view.fill_(replacement)

    def to(self, device: torch.device) -> Region:
        """The same region with its mask on ``device``."""
        return self if self.mask is None or self.mask.device == device else replace(self, mask=self.mask.to(device))


@dataclass(frozen=True, eq=False)
class Regions:
    """An ordered set of regions of one image shape; overlap is allowed.

    Example:
        >>> regions = grid_regions((224, 224), cells=14)
        >>> len(regions), regions[0].box, regions.subset([3, 5])[1].id
        (196, ((0, 16), (0, 16)), 5)
    """

    spatial_shape: tuple[int, ...]
    items: tuple[Region, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.items:
            raise ValueError("there are no regions: give at least one box, mask or label.")
        for region in self.items:
            if len(region.box) != len(self.spatial_shape):
                raise ValueError(
                    f"region {region.id} has {len(region.box)} axes, the image {len(self.spatial_shape)} "
                    f"(shape {self.spatial_shape}): give one (start, stop) per spatial axis."
                )
            for axis, ((start, stop), length) in enumerate(zip(region.box, self.spatial_shape, strict=True)):
                if start >= stop:
                    raise ValueError(
                        f"region {region.id} is empty: [{start}, {stop}) on axis {axis}; boxes are half-open."
                    )
                if start < 0 or stop > length:
                    raise ValueError(
                        f"region {region.id} leaves the image: [{start}, {stop}) on axis {axis} of {length} voxels."
                    )
            if region.size == 0:
                raise ValueError(f"region {region.id} is empty: its mask holds no voxel.")

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Region]:
        return iter(self.items)

    def __getitem__(self, row: int) -> Region:
        return self.items[row]

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(region.id for region in self.items)

    @property
    def names(self) -> tuple[str, ...]:
        """The regions' names; those without one go by their number."""
        return tuple(region.name or str(region.id) for region in self.items)

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(region.size for region in self.items)

    def subset(self, indices: Iterable[int]) -> Regions:
        """Some of the regions, in the order of ``indices`` (positions in this set). Identities are kept."""
        if isinstance(indices, Tensor) and indices.dtype == torch.bool:
            indices = indices.nonzero().flatten()
        return replace(self, items=tuple(self.items[int(i)] for i in indices))

    def touches(self, other: Regions | Region | Box | Tensor) -> Tensor:
        """Which regions share a voxel with ``other`` (regions, a region, a box or a mask): bool ``(regions,)``."""
        covered = coverage(other, self.spatial_shape)
        return torch.tensor([bool(region.within(covered).any()) for region in self.items])

    def to_map(self, values: Tensor, background: float = 0.0) -> Tensor:
        """Paint ``values`` ``(..., regions)`` over their regions: ``(..., *spatial)``.

        Where regions overlap a voxel gets the mean of theirs; where there is none, ``background``.
        """
        values = torch.as_tensor(values)
        if values.shape[-1] != len(self):
            raise ValueError(
                f"{values.shape[-1]} values for {len(self)} regions: the last axis must have one per region."
            )
        total = values.new_zeros((*values.shape[:-1], *self.spatial_shape))
        count = torch.zeros(self.spatial_shape, dtype=torch.int32, device=values.device)
        for row, region in enumerate(self.items):
            box: Any = region.index[1:]
            one = 1 if region.mask is None else region.mask.to(values.device)
            total[(..., *box)] += values[..., row].reshape(*values.shape[:-1], *(1,) * len(box)) * one
            count[box] += one
        return torch.where(count > 0, total / count.clamp(min=1), torch.full_like(total, background))

    def to(self, device: torch.device) -> Regions:
        return replace(self, items=tuple(region.to(device) for region in self.items))


def coverage(where: Regions | Region | Box | Tensor, spatial_shape: Sequence[int]) -> Tensor:
    """A bool mask ``(*spatial)`` of ``where``: regions, one region, a box, or a mask with leading axes of 1."""
    spatial_shape = tuple(int(length) for length in spatial_shape)
    if isinstance(where, Tensor):
        mask = torch.as_tensor(where)
        extra = mask.ndim - len(spatial_shape)
        if extra < 0 or tuple(mask.shape[extra:]) != spatial_shape or any(length != 1 for length in mask.shape[:extra]):
            raise ValueError(f"a mask of shape {tuple(mask.shape)} does not fit an image of shape {spatial_shape}.")
        return (
            (mask.reshape(spatial_shape) > 0.5).cpu() if mask.dtype != torch.bool else mask.reshape(spatial_shape).cpu()
        )
    if isinstance(where, Regions):
        regions: Iterable[Region] = where
    elif isinstance(where, Region):
        regions = (where,)
    else:
        regions = box_regions(spatial_shape, [where])
    mask = torch.zeros(spatial_shape, dtype=torch.bool)
    for region in regions:
        mask[region.index[1:]] |= True if region.mask is None else region.mask.cpu()
    return mask


def bounding_box(mask: Tensor) -> Box:
    """The smallest box around the voxels of a bool mask ``(*spatial)`` that holds at least one."""
    voxels = mask.nonzero()
    return tuple(
        (int(low), int(high) + 1) for low, high in zip(voxels.amin(0).tolist(), voxels.amax(0).tolist(), strict=True)
    )


def grid_regions(
    spatial_shape: Sequence[int],
    patch_size: int | Sequence[int] | None = None,
    *,
    cells: int | Sequence[int] | None = None,
    patch_mm: float | Sequence[float] | None = None,
    affine: np.ndarray | Tensor | None = None,
) -> Regions:
    """Tile the image. Partial patches at the far border are kept.

    Args:
        spatial_shape: the image's spatial shape.
        patch_size: edge of a patch in voxels, one number or one per axis; or
        cells: number of cells per axis (RIA's 14 x 14), whose sizes differ by one voxel at most; or
        patch_mm: edge of a patch in millimetres, turned into whole voxels (at least one) by ``affine``.
        affine: voxel to world, ``(d + 1, d + 1)`` or ``(4, 4)``; only with ``patch_mm``.
    """
    shape = tuple(int(length) for length in spatial_shape)
    if sum(option is not None for option in (patch_size, cells, patch_mm)) != 1:
        raise ValueError(
            "say how large a patch is in one way: patch_size (voxels), cells (per axis) or patch_mm (with affine)."
        )
    if cells is not None:
        counts = per_axis(cells, len(shape), "cells")
        for count, length in zip(counts, shape, strict=True):
            if not 1 <= count <= length:
                raise ValueError(f"cells={cells}: an axis of {length} voxels has between 1 and {length} cells.")
        edges = [[i * length // count for i in range(count + 1)] for count, length in zip(counts, shape, strict=True)]
    else:
        if patch_mm is not None:
            if affine is None:
                raise ValueError("patch_mm needs the image's affine to know how large a voxel is.")
            sizes = _millimetres_to_voxels(patch_mm, affine, len(shape))
        else:
            assert patch_size is not None
            sizes = per_axis(patch_size, len(shape), "patch_size")
        if min(sizes) < 1:
            raise ValueError(f"patch_size={patch_size}: a patch has at least one voxel per axis.")
        edges = [[*range(0, length, size), length] for size, length in zip(sizes, shape, strict=True)]
    boxes = product(*(list(pairwise(edge)) for edge in edges))
    return Regions(shape, tuple(Region(i, tuple(box)) for i, box in enumerate(boxes)))


def box_regions(spatial_shape: Sequence[int], boxes: Iterable[Box]) -> Regions:
    """Regions from half-open boxes ``((start, stop), ...)`` in array order."""
    shape = tuple(int(length) for length in spatial_shape)
    items = (tuple((int(start), int(stop)) for start, stop in box) for box in boxes)
    return Regions(shape, tuple(Region(i, box) for i, box in enumerate(items)))


def mask_regions(masks: Tensor | np.ndarray | Sequence[Tensor | np.ndarray]) -> Regions:
    """Regions from a stack of masks ``(regions, *spatial)``, which may overlap; a voxel above 0.5 belongs."""
    stack = [torch.as_tensor(mask) for mask in masks]
    shape = tuple(stack[0].shape) if stack else ()
    items = []
    for i, mask in enumerate(stack):
        covered = coverage(mask, shape)
        if not covered.any():
            raise ValueError(f"region {i} is empty: its mask holds no voxel.")
        items.append(_masked_region(i, covered))
    return Regions(shape, tuple(items))


def label_regions(
    labels: Tensor | np.ndarray, *, background: int | None = 0, names: dict[int, str] | None = None
) -> Regions:
    """One region per label of an integer label map ``(*spatial)``; the label is the region's ``id``.

    Args:
        labels: organs, superpixels, anything that numbers voxels.
        background: a label that is no region; ``None`` to keep all.
        names: what the labels are called.
    """
    array = np.asarray(torch.as_tensor(labels).cpu())
    if not np.array_equal(array, array.astype(np.int64)):
        raise ValueError("a label map holds whole numbers; threshold a probability map or use mask_regions.")
    array = array.astype(np.int64)
    lowest = int(array.min())
    items = []
    for offset, box in enumerate(ndimage.find_objects(array - lowest + 1)):
        label = offset + lowest
        if box is not None and label != background:
            mask = torch.from_numpy(array[box] == label)
            bounds = tuple((int(axis.start), int(axis.stop)) for axis in box)
            items.append(Region(label, bounds, None if bool(mask.all()) else mask, name=(names or {}).get(label, "")))
    return Regions(tuple(array.shape), tuple(items))


def superpixel_regions(
    image: Tensor | np.ndarray, n_regions: int = 200, *, compactness: float = 0.1, sigma: float = 1.0
) -> Regions:
    """SLIC superpixels or supervoxels of an image ``(C, *spatial)`` or ``(1, C, *spatial)``, 2-D or 3-D.

    Args:
        image: what to follow the edges of; it is min-max scaled first.
        n_regions: about how many; SLIC decides.
        compactness: higher is squarer.
        sigma: smoothing before, in voxels.
    """
    segmentation = require("skimage.segmentation")
    array = np.asarray(torch.as_tensor(image).cpu(), dtype=np.float64)
    if array.ndim == 5 or (array.ndim == 4 and array.shape[0] == 1 and array.shape[1] in (1, 3)):
        array = array[0]
    low, high = array.min(), array.max()
    array = (array - low) / (high - low) if high > low else np.zeros_like(array)
    labels = segmentation.slic(
        array, n_segments=n_regions, compactness=compactness, sigma=sigma, channel_axis=0, start_label=0
    )
    return label_regions(labels, background=None)


def per_axis(value: int | Sequence[int], axes: int, name: str) -> tuple[int, ...]:
    """One number per spatial axis from one number or a sequence of them."""
    values = (value,) * axes if isinstance(value, int | np.integer) else tuple(value)
    if len(values) != axes:
        raise ValueError(f"{name}={value}: give one number, or one for each of the {axes} spatial axes.")
    return tuple(int(v) for v in values)


def _masked_region(id: int, covered: Tensor) -> Region:
    box = bounding_box(covered)
    mask = covered[tuple(slice(start, stop) for start, stop in box)]
    return Region(id, box, None if bool(mask.all()) else mask)


def _millimetres_to_voxels(
    patch_mm: float | Sequence[float], affine: np.ndarray | Tensor, axes: int
) -> tuple[int, ...]:
    spacing = np.linalg.norm(np.asarray(affine, dtype=np.float64)[:-1, :-1], axis=0)[:axes]
    edges = np.broadcast_to(np.asarray(patch_mm, dtype=np.float64), (axes,))
    if np.any(edges <= 0) or np.any(spacing <= 0):
        raise ValueError(f"patch_mm={patch_mm} with voxels of {spacing.tolist()} mm: all must be positive.")
    return tuple(int(n) for n in np.maximum(1, np.rint(edges / spacing)))
