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
            check_box(region.box, self.spatial_shape, f"region {region.id}")
            if region.mask is not None and (region.mask.dtype != torch.bool or region.mask.shape != region.shape):
                raise ValueError(
                    f"the mask of region {region.id} is {region.mask.dtype} {tuple(region.mask.shape)}: it must be "
                    f"torch.bool and of the box's shape {region.shape}."
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
        """Some of the regions, in the order of ``indices``: positions in this set, or one bool per region. Identities
        are kept."""
        return replace(self, items=tuple(self.items[i] for i in positions(indices, len(self))))

    def touches(self, other: Regions | Region | Box | Tensor | np.ndarray) -> Tensor:
        """Which regions share a voxel with ``other`` (regions, a region, a box or a mask): bool ``(regions,)``."""
        covered = coverage(other, self.spatial_shape)
        return torch.tensor([bool(region.within(covered).any()) for region in self.items])

    def to_map(self, values: Tensor, background: float = 0.0) -> Tensor:
        """Paint ``values`` ``(..., regions)`` over their regions: ``(..., *spatial)``.

        Where regions overlap a voxel gets the mean of theirs; where there is none, ``background``.
        """
        values = torch.as_tensor(values)
        if values.ndim == 0 or values.shape[-1] != len(self):
            raise ValueError(
                f"values of shape {tuple(values.shape)} for {len(self)} regions: the last axis has one per region."
            )
        if not values.is_floating_point():  # decisions, ranks
            values = values.to(torch.get_default_dtype())
        total = values.new_zeros((*values.shape[:-1], *self.spatial_shape))
        count = torch.zeros(self.spatial_shape, dtype=torch.int32, device=values.device)
        for row, region in enumerate(self.items):
            box: Any = region.index[1:]
            inside: Any = ... if region.mask is None else (..., region.mask.to(values.device))
            value = values[..., row]
            # Indexed, not multiplied, by the mask: a value that is not a number stays where it belongs.
            total[(..., *box)][inside] += value[(..., *(None,) * (len(box) if region.mask is None else 1))]
            count[box][inside] += 1
        return torch.where(count > 0, total / count.clamp(min=1), torch.full_like(total, background))

    def to(self, device: torch.device) -> Regions:
        return replace(self, items=tuple(region.to(device) for region in self.items))


def positions(indices: Iterable[int], count: int) -> list[int]:
    """Positions among ``count`` regions, from positions or from one bool per region."""
    chosen = torch.as_tensor(indices if isinstance(indices, Tensor | np.ndarray) else list(indices))
    if chosen.dtype == torch.bool:
        if len(chosen) != count:
            raise ValueError(f"{len(chosen)} bools for {count} regions: give one per region, or positions.")
        chosen = chosen.nonzero().flatten()
    return chosen.tolist()


def coverage(where: Regions | Region | Box | Tensor | np.ndarray, spatial_shape: Sequence[int]) -> Tensor:
    """A bool mask ``(*spatial)`` of ``where``: regions, one region, a box, or a mask with leading axes of 1."""
    spatial_shape = tuple(int(length) for length in spatial_shape)
    if isinstance(where, Tensor | np.ndarray):
        mask = without_leading_axes(plain(where), spatial_shape, "a mask").cpu()
        return mask if mask.dtype == torch.bool else mask > 0.5
    mask = torch.zeros(spatial_shape, dtype=torch.bool)
    if isinstance(where, Regions | Region):
        for region in where if isinstance(where, Regions) else (where,):
            mask[region.index[1:]] |= True if region.mask is None else region.mask.cpu()
    else:
        check_box(where, spatial_shape, "the box")
        mask[tuple(slice(start, stop) for start, stop in where)] = True
    return mask


def check_box(box: Box, spatial_shape: Sequence[int], name: str) -> None:
    """Raise unless ``box`` has one axis per spatial axis, holds a voxel, and lies in the image."""
    if len(box) != len(spatial_shape):
        raise ValueError(
            f"{name} has {len(box)} axes, the image {len(spatial_shape)} (shape {tuple(spatial_shape)}): give one "
            "(start, stop) per spatial axis."
        )
    for axis, ((start, stop), length) in enumerate(zip(box, spatial_shape, strict=True)):
        if start >= stop:
            raise ValueError(f"{name} is empty: [{start}, {stop}) on axis {axis}; boxes are half-open.")
        if start < 0 or stop > length:
            raise ValueError(f"{name} leaves the image: [{start}, {stop}) on axis {axis} of {length} voxels.")


def plain(values: Tensor | np.ndarray) -> Tensor:
    """The values as a plain tensor; what is computed from a MetaTensor is one too, and many times slower."""
    return torch.as_tensor(values).as_subclass(Tensor)


def without_leading_axes(volume: Tensor, spatial_shape: tuple[int, ...], name: str) -> Tensor:
    """``volume`` (1, ..., *spatial) as ``(*spatial)``."""
    extra = volume.ndim - len(spatial_shape)
    if extra < 0 or volume.shape[extra:] != spatial_shape or any(length != 1 for length in volume.shape[:extra]):
        raise ValueError(f"{name} of shape {tuple(volume.shape)} does not fit an image of shape {spatial_shape}.")
    return volume.reshape(spatial_shape)


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
    stack = [plain(mask) for mask in masks]
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
    array = plain(labels).cpu().numpy()
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.rint(array))).all():
        raise ValueError("a label map holds whole numbers; threshold a probability map or use mask_regions.")
    array = array.astype(np.int64)
    lowest, highest = int(array.min()), int(array.max())
    if highest - lowest < array.size:
        known, numbers = np.arange(lowest, highest + 1), array - lowest
    else:  # a few labels far apart, such as hashes: not to be counted through
        known, numbers = np.unique(array, return_inverse=True)
    items = []
    for label, box in zip(known.tolist(), ndimage.find_objects(numbers.reshape(array.shape) + 1), strict=True):
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
        image: what to follow the edges of; SLIC min-max scales it first. Of four axes the first is taken for a batch
            where it is 1 and the second could be the channels of a picture (1 or 3), else for the channels of a volume.
        n_regions: about how many; SLIC decides.
        compactness: higher is squarer.
        sigma: smoothing before, in voxels.
    """
    segmentation = require("skimage.segmentation")
    array = plain(image).detach().cpu().double().numpy()
    if array.ndim == 5 or (array.ndim == 4 and array.shape[0] == 1 and array.shape[1] in (1, 3)):
        array = array[0]
    labels = segmentation.slic(
        array, n_segments=n_regions, compactness=compactness, sigma=sigma, channel_axis=0, start_label=0
    )
    return label_regions(labels, background=None)


def per_axis(value: int | Sequence[int], axes: int, name: str) -> tuple[int, ...]:
    """One number per spatial axis from one number or a sequence of them."""
    values = tuple(value) if isinstance(value, Iterable) else (value,) * axes
    if len(values) != axes or any(int(v) != v for v in values):
        raise ValueError(f"{name}={value}: give one whole number, or one for each of the {axes} spatial axes.")
    return tuple(int(v) for v in values)


def _masked_region(id: int, covered: Tensor) -> Region:
    box = bounding_box(covered)
    mask = covered[tuple(slice(start, stop) for start, stop in box)]
    return Region(id, box, None if bool(mask.all()) else mask)


def _millimetres_to_voxels(
    patch_mm: float | Sequence[float], affine: np.ndarray | Tensor, axes: int
) -> tuple[int, ...]:
    matrix = np.asarray(affine, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) <= axes:
        raise ValueError(f"an affine of shape {matrix.shape}: give one matrix, (d + 1, d + 1) or (4, 4).")
    spacing = np.linalg.norm(matrix[:-1, :-1], axis=0)[:axes]
    edges = np.asarray(patch_mm, dtype=np.float64)
    if edges.shape not in ((), (axes,)):
        raise ValueError(f"patch_mm={patch_mm}: give one number, or one for each of the {axes} spatial axes.")
    edges = np.broadcast_to(edges, (axes,))
    if np.any(edges <= 0) or np.any(spacing <= 0):
        raise ValueError(f"patch_mm={patch_mm} with voxels of {spacing.tolist()} mm: all must be positive.")
    return tuple(int(n) for n in np.maximum(1, np.rint(edges / spacing)))
