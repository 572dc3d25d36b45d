# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray
from torch import Tensor

from monai_causal.intervene import (
    Region,
    Regions,
    box_regions,
    grid_regions,
    label_regions,
    mask_regions,
    superpixel_regions,
)

Kind = Callable[[Any], Any]
"""Makes masks, labels or images of one kind of tensor or array."""


def voxel_mask(region: Region, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The region's voxels in an image of this shape, one at a time."""
    mask = np.zeros(shape, dtype=bool)
    for voxel in product(*(range(start, stop) for start, stop in region.box)):
        inner = tuple(at - start for at, (start, _) in zip(voxel, region.box, strict=True))
        mask[voxel] = region.mask is None or bool(region.mask[inner])
    return mask


def times_covered(regions: Regions) -> NDArray[np.int64]:
    return sum((voxel_mask(region, regions.spatial_shape).astype(int) for region in regions), start=np.zeros(1, int))


def overlapping() -> Regions:
    """Three regions of a 4 x 5 image: a box, one with a mask, and one of a single voxel that lies in both."""
    cross = torch.tensor([[False, True, False], [True, True, True], [False, True, False]])
    return Regions(
        (4, 5), (Region(7, ((0, 2), (0, 4))), Region(3, ((1, 4), (1, 4)), mask=cross), Region(9, ((1, 2), (2, 3))))
    )


# --- the grid


def test_grid_by_hand() -> None:
    """5 x 7 in patches of 2 x 3, in raster order; what is left over at the far border is kept."""
    regions = grid_regions((5, 7), (2, 3))
    assert [region.box for region in regions] == [
        (rows, columns) for rows in ((0, 2), (2, 4), (4, 5)) for columns in ((0, 3), (3, 6), (6, 7))
    ]
    assert regions.ids == tuple(range(9))
    assert regions.sizes == (6, 6, 2, 6, 6, 2, 3, 3, 1)
    assert regions.names == tuple("012345678")
    assert regions.spatial_shape == (5, 7)
    assert all(region.mask is None for region in regions)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((5, 7), {"patch_size": 3}),
        ((8, 8), {"patch_size": 4}),
        ((4, 6), {"patch_size": 100}),
        ((7, 5, 6), {"patch_size": (2, 5, 4)}),
        ((9, 13), {"cells": 4}),
        ((7, 7, 5), {"cells": (7, 2, 1)}),
        ((9, 8, 7), {"patch_mm": 3.0, "affine": np.diag([1.0, 0.5, 7.0, 1.0])}),
        (torch.Size([6, 4]), {"patch_size": np.int64(4)}),
    ],
)
def test_grid_covers_every_voxel_once(shape: tuple[int, ...], options: dict) -> None:
    np.testing.assert_array_equal(times_covered(grid_regions(shape, **options)), np.ones(tuple(shape)))


def test_one_patch_size_is_that_of_every_axis() -> None:
    assert [r.box for r in grid_regions((8, 4, 4), 4)] == [((0, 4), (0, 4), (0, 4)), ((4, 8), (0, 4), (0, 4))]
    assert [r.box for r in grid_regions((4, 6), 3.0)] == [r.box for r in grid_regions((4, 6), (3, 3))]


def test_cells_differ_by_one_voxel_at_most() -> None:
    """224 divides by 14; 10 in 4 cells is 2, 3, 2, 3."""
    assert {region.shape for region in grid_regions((224, 224), cells=14)} == {(16, 16)}
    assert [region.box[0] for region in grid_regions((10, 3), cells=(4, 1))] == [(0, 2), (2, 5), (5, 7), (7, 10)]
    for length, cells in [(23, 7), (14, 14), (100, 3)]:
        edges = [region.box[0] for region in grid_regions((length, 1), cells=(cells, 1))]
        assert len(edges) == cells
        assert {stop - start for start, stop in edges} <= {length // cells, -(-length // cells)}


def oblique_affine(spacing: tuple[float, float, float]) -> NDArray[np.float64]:
    """Voxels of this size, turned about two axes, the last two axes swapped and one flipped."""
    a, b = 0.4, -0.7
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    axes = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ tilt @ axes @ np.diag(spacing)
    affine[:3, 3] = (-30, 12, 5)
    return affine


def test_millimetres_through_an_oblique_anisotropic_affine() -> None:
    """10 mm are 20 voxels of 0.5 mm, 12 of 0.8 (12.5 rounds to even), 2 of 5 mm; 7 mm are 9 of 0.8 and 1 of 5."""
    affine = oblique_affine((0.5, 0.8, 5.0))
    assert grid_regions((40, 40, 8), patch_mm=10, affine=affine)[0].shape == (20, 12, 2)
    assert grid_regions((40, 40, 8), patch_mm=7, affine=affine)[0].shape == (14, 9, 1)
    assert grid_regions((40, 40, 8), patch_mm=(1, 2, 30), affine=torch.from_numpy(affine))[0].shape == (2, 2, 6)


def test_a_patch_finer_than_a_voxel_is_one_voxel() -> None:
    assert grid_regions((4, 4, 4), patch_mm=0.1, affine=oblique_affine((1, 2, 3)))[0].shape == (1, 1, 1)


@pytest.mark.parametrize("size", [3, 4])
def test_millimetres_of_a_picture_take_its_first_two_axes(size: int) -> None:
    affine = np.eye(size)
    affine[:2, :2] = [[0, 2.0], [-4.0, 0]]  # axis 0 runs along world axis 1, 4 mm a voxel
    assert grid_regions((10, 10), patch_mm=8, affine=affine)[0].shape == (2, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "say how large a patch is in one way"),
        ({"patch_size": 2, "cells": 2}, "say how large a patch is in one way"),
        ({"patch_size": 0}, "patch_size=0: a patch has at least one voxel"),
        ({"patch_size": (2, -1)}, r"patch_size=\(2, -1\): a patch has at least one voxel"),
        ({"patch_size": (2, 2, 2)}, r"patch_size=\(2, 2, 2\): give one whole number, or one for each of the 2"),
        ({"patch_size": 2.5}, "patch_size=2.5: give one whole number"),
        ({"cells": 9}, "cells=9: an axis of 6 voxels has between 1 and 6 cells"),
        ({"cells": 0}, "cells=0: an axis of 6 voxels has between 1 and 6 cells"),
        ({"cells": (2,)}, r"cells=\(2,\): give one whole number"),
        ({"patch_mm": 2.0}, "patch_mm needs the image's affine"),
        ({"patch_mm": 0, "affine": np.eye(4)}, r"patch_mm=0 with voxels of \[1.0, 1.0\] mm: all must be positive"),
        ({"patch_mm": 2, "affine": np.diag([1.0, 0, 1, 1])}, r"voxels of \[1.0, 0.0\] mm: all must be positive"),
        ({"patch_mm": (1, 2, 3), "affine": np.eye(4)}, r"patch_mm=\(1, 2, 3\): give one number, or one for each of"),
        ({"patch_mm": 2, "affine": np.eye(4)[None]}, r"an affine of shape \(1, 4, 4\): give one matrix"),
        ({"patch_mm": 2, "affine": np.eye(2)}, r"an affine of shape \(2, 2\): give one matrix"),
    ],
)
def test_a_grid_that_cannot_be(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grid_regions((6, 8), **options)


# --- boxes, masks, labels


def test_boxes_keep_their_order_and_may_overlap() -> None:
    boxes = [((2, 5), (0, 4)), ((0, 3), (1, 2))]
    regions = box_regions((5, 4), iter(boxes))
    assert [region.box for region in regions] == boxes
    assert regions.ids == (0, 1)
    assert regions.sizes == (12, 3)
    assert times_covered(regions).max() == 2


@pytest.mark.parametrize(
    "kind",
    [torch.tensor, np.array, lambda masks: MetaTensor(torch.tensor(masks)), lambda masks: list(map(np.array, masks))],
)
def test_masks_by_hand(kind: Kind) -> None:
    """Each mask gets the smallest box around it, and no mask of its own where it fills that box."""
    masks = [
        [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0]],
        [[0, 0, 0, 0.5], [0, 0.9, 0, 0], [0.6, 0, 0, 0]],  # a half is not above a half
    ]
    regions = mask_regions(kind(masks))
    assert regions.spatial_shape == (3, 4)
    assert regions.ids == (0, 1)
    assert regions[0].box == ((1, 3), (1, 3))
    assert regions[0].mask is None
    assert regions[1].box == ((1, 3), (0, 2))
    assert regions[1].mask is not None
    assert type(regions[1].mask) is Tensor
    assert regions[1].mask.tolist() == [[False, True], [True, False]]


def test_masks_in_three_dimensions_may_overlap_and_come_back_voxel_by_voxel() -> None:
    masks = torch.rand(5, 4, 6, 5, generator=torch.Generator().manual_seed(0)) < 0.1
    regions = mask_regions(masks)
    np.testing.assert_array_equal(times_covered(regions), masks.sum(0))
    assert times_covered(regions).max() > 1
    for region, mask in zip(regions, masks, strict=True):
        np.testing.assert_array_equal(voxel_mask(region, (4, 6, 5)), mask)
        assert region.size == int(mask.sum())
        rows = mask.nonzero()
        assert region.box == tuple((int(a.min()), int(a.max()) + 1) for a in rows.T)


@pytest.mark.parametrize("kind", [np.array, torch.tensor, lambda m: MetaTensor(torch.tensor(m).float())])
def test_labels_by_hand(kind: Kind) -> None:
    """Ids are the labels, in rising order; negative and sparse ones are labels like others, 0 is background."""
    labels = kind([[-3, -3, 0, 400], [-3, 7, 0, 400], [0, 0, 7, 0]])
    regions = label_regions(labels, names={7: "liver", -3: "spleen", 8: "absent"})
    assert regions.ids == (-3, 7, 400)
    assert regions.names == ("spleen", "liver", "400")
    assert [region.box for region in regions] == [((0, 2), (0, 2)), ((1, 3), (1, 3)), ((0, 2), (3, 4))]
    assert regions.sizes == (3, 2, 2)
    assert regions[0].mask is not None
    assert regions[0].mask.tolist() == [[True, True], [True, False]]
    assert regions[2].mask is None


@pytest.mark.parametrize(("background", "ids"), [(0, (-2, 5)), (5, (-2, 0)), (None, (-2, 0, 5)), (99, (-2, 0, 5))])
def test_background_is_no_region(background: int | None, ids: tuple[int, ...]) -> None:
    assert label_regions(np.array([[0, 5], [-2, 5]]), background=background).ids == ids


def test_labels_far_apart_are_not_counted_through() -> None:
    """Hashes as labels: a list over all numbers between them would not fit into memory."""
    far = 2**62
    labels = np.array([[-far, 0, far], [far, 0, far - 1]])
    regions = label_regions(labels)
    assert regions.ids == (-far, far - 1, far)
    for region in regions:
        np.testing.assert_array_equal(voxel_mask(region, (2, 3)), labels == region.id)


def test_labels_partition_a_volume() -> None:
    labels = np.random.default_rng(0).integers(-1, 3, size=(4, 5, 3))
    regions = label_regions(labels, background=None)
    np.testing.assert_array_equal(times_covered(regions), np.ones((4, 5, 3)))
    for region in regions:
        np.testing.assert_array_equal(voxel_mask(region, (4, 5, 3)), labels == region.id)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: box_regions((4, 4), [((0, 2), (0, 2)), ((1, 5), (0, 2))]),
            r"region 1 leaves the image: \[1, 5\) on ax",
        ),
        (
            lambda: box_regions((4, 4), [((0, 2), (-1, 2))]),
            r"region 0 leaves the image: \[-1, 2\) on axis 1 of 4 voxels",
        ),
        (
            lambda: box_regions((4, 4), [((0, 2), (3, 3))]),
            r"region 0 is empty: \[3, 3\) on axis 1; boxes are half-open",
        ),
        (lambda: box_regions((4, 4), [((0, 2), (3, 1))]), "region 0 is empty"),
        (lambda: box_regions((4, 4), [((0, 2),)]), r"region 0 has 1 axes, the image 2 \(shape \(4, 4\)\)"),
        (lambda: box_regions((4, 4), []), "there are no regions"),
        (lambda: mask_regions([]), "there are no regions"),
        (lambda: mask_regions(torch.stack([torch.ones(3, 3), torch.zeros(3, 3)])), "region 1 is empty: its mask holds"),
        (lambda: mask_regions([torch.ones(3, 3), torch.ones(3, 4)]), r"shape \(3, 4\) does not fit .* shape \(3, 3\)"),
        (lambda: label_regions(np.array([[0.5, 1]])), "a label map holds whole numbers; threshold a probability map"),
        (lambda: label_regions(np.array([[np.nan, 1]])), "a label map holds whole numbers"),
        (lambda: label_regions(np.array([[np.inf, 1]])), "a label map holds whole numbers"),
        (lambda: label_regions(np.zeros((3, 3), dtype=int)), "there are no regions"),
        (
            lambda: Regions((4,), (Region(5, ((0, 2),), torch.zeros(2, dtype=torch.bool)),)),
            "region 5 is empty: its mask",
        ),
        (
            lambda: Regions((4,), (Region(5, ((0, 2),), torch.ones(3, dtype=torch.bool)),)),
            r"mask of region 5 .* \(3,\)",
        ),
        (
            lambda: Regions((4,), (Region(5, ((0, 2),), torch.ones(2)),)),
            r"mask of region 5 is torch.float32 .* torch.bool",
        ),
    ],
)
def test_regions_that_cannot_be(make: Callable[[], Regions], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# --- superpixels


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("kind", [lambda x: x, lambda x: x.numpy(), MetaTensor])
def test_superpixels_follow_the_edges(batched: bool, kind: Kind) -> None:
    """Two flat halves, the edge off the middle: no superpixel lies on both sides of it."""
    image = torch.zeros(1, 24, 30)
    image[:, :, 11:] = 1.0
    regions = superpixel_regions(kind(image[None] if batched else image), 12, compactness=0.01, sigma=0.0)
    assert regions.spatial_shape == (24, 30)
    assert len(regions) > 4
    np.testing.assert_array_equal(times_covered(regions), np.ones((24, 30)))
    for region in regions:
        assert len(torch.unique(region.within(image[0]))) == 1


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("batched", [False, True])
def test_supervoxels_follow_the_edges(channels: int, batched: bool) -> None:
    volume = torch.zeros(channels, 10, 12, 14)
    volume[-1, 4:] = 5.0
    regions = superpixel_regions(volume[None] if batched else volume, 10, compactness=0.01, sigma=0.0)
    assert regions.spatial_shape == (10, 12, 14)
    assert len(regions) > 4
    np.testing.assert_array_equal(times_covered(regions), np.ones((10, 12, 14)))
    for region in regions:
        assert len(torch.unique(region.within(volume[-1]))) == 1


def test_superpixels_do_not_depend_on_the_image_s_scale_and_more_may_be_asked_for() -> None:
    image = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(1))
    few, again, many = (superpixel_regions(i, n) for i, n in ((image, 6), (40 * image - 1000, 6), (image, 40)))
    assert [r.box for r in few] == [r.box for r in again]
    assert len(many) > 2 * len(few)


def test_superpixels_of_a_constant_image_are_there() -> None:
    regions = superpixel_regions(torch.full((1, 16, 16), 3.0), 4)
    assert len(regions) > 1
    np.testing.assert_array_equal(times_covered(regions), np.ones((16, 16)))


# --- what a region and a set of them can do


def test_a_region_by_hand() -> None:
    mask = torch.tensor([[True, False, True], [False, True, False]])
    region = Region(4, ((1, 3), (2, 5)), mask, channels=(1, 3))
    assert region.shape == (2, 3)
    assert region.size == 3
    assert region.index == (slice(1, 3), slice(1, 3), slice(2, 5))
    assert Region(4, ((1, 3), (2, 5))).index == (slice(None), slice(1, 3), slice(2, 5))
    volume = torch.arange(24).reshape(4, 6)
    assert region.within(volume).tolist() == [8, 10, 15]
    assert Region(4, ((1, 3), (2, 5))).within(volume).tolist() == [8, 9, 10, 14, 15, 16]


REPLACEMENTS = {
    "number": -1.0,
    "numpy number": np.float32(-1.0),
    "per channel": torch.tensor([-1.0, -2.0, -3.0]).reshape(3, 1, 1),
    "full": -torch.arange(1.0, 19).reshape(3, 2, 3),
    "plane": -torch.arange(1.0, 7).reshape(2, 3),
    "other type": -torch.arange(1, 19, dtype=torch.float64).reshape(3, 2, 3),
}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", list(REPLACEMENTS))
def test_write_touches_its_region_only(kind: str, masked: bool) -> None:
    """In a view of a larger tensor; what it does not touch stays bit by bit, NaN payloads and negative zeros too."""
    mask = torch.tensor([[True, False, True], [False, True, False]]) if masked else None
    region = Region(0, ((1, 3), (2, 5)), mask)
    generator = torch.Generator().manual_seed(0)
    bits = torch.randint(-(2**31), 2**31 - 1, (2, 3, 4, 6), generator=generator, dtype=torch.int32)
    batch = bits.clone().view(torch.float32)
    replacement = REPLACEMENTS[kind]
    region.write(batch[1][region.index], replacement)
    full = torch.as_tensor(replacement).float().broadcast_to(3, 2, 3)
    after = batch.view(torch.int32)
    for item, channel, row, column in np.ndindex(2, 3, 4, 6):
        place = (item, channel, row, column)
        inside = item == 1 and 1 <= row < 3 and 2 <= column < 5
        if inside and (mask is None or mask[row - 1, column - 2]):
            assert batch[place] == full[channel, row - 1, column - 2]
        else:
            assert after[place] == bits[place]


def test_write_into_some_channels() -> None:
    image = torch.zeros(3, 2, 2)
    region = Region(0, ((0, 1), (0, 2)), channels=(1, 3))
    region.write(image[region.index], torch.tensor([5.0, 6.0]).reshape(2, 1, 1))
    assert image.tolist() == [[[0, 0], [0, 0]], [[5, 5], [0, 0]], [[6, 6], [0, 0]]]


def test_a_subset_keeps_identities() -> None:
    regions = label_regions(np.array([[-5, 2, 9, 40]]))
    assert regions.subset([2, 0]).ids == (9, -5)
    assert regions.subset(i for i in (3,)).ids == (40,)
    assert regions.subset(torch.tensor([1, 3])).ids == (2, 40)
    assert regions.subset([-1]).ids == (40,)
    picked = regions.subset([3, 1])
    assert picked[0] is regions[3]
    assert picked.spatial_shape == (1, 4)
    assert picked.subset([1]).ids == (2,)


@pytest.mark.parametrize("kind", [torch.tensor, np.array, list])
def test_a_subset_by_decision(kind: Kind) -> None:
    regions = label_regions(np.array([[-5, 2, 9, 40]]))
    assert regions.subset(kind([True, False, False, True])).ids == (-5, 40)
    with pytest.raises(ValueError, match="3 bools for 4 regions"):
        regions.subset(kind([True, False, False]))


def test_an_empty_subset_is_refused() -> None:
    with pytest.raises(ValueError, match="there are no regions"):
        grid_regions((4, 4), 2).subset([])


def test_touches_shares_a_voxel() -> None:
    """Boxes that only share a border, or a bounding box only, do not touch."""
    regions = overlapping()
    corner = torch.zeros(4, 5, dtype=torch.bool)
    corner[1, 1] = True  # in the first region; in the box of the second, not in its mask
    assert regions.touches(corner).tolist() == [True, False, False]
    assert regions.touches(corner.float()[None, None]).tolist() == [True, False, False]
    assert regions.touches(corner.numpy()).tolist() == [True, False, False]
    assert regions.touches(MetaTensor(corner)).tolist() == [True, False, False]
    assert regions.touches(((2, 4), (0, 2))).tolist() == [False, True, False]
    assert regions.touches(((0, 4), (4, 5))).tolist() == [False, False, False]
    assert regions.touches(regions[2]).tolist() == [True, True, True]
    assert regions.touches(Region(0, ((1, 3), (1, 2)), torch.tensor([[True], [False]]))).tolist() == [
        True,
        False,
        False,
    ]
    assert regions.touches(regions.subset([1, 2])).tolist() == [True, True, True]
    assert regions.touches(torch.zeros(4, 5)).tolist() == [False, False, False]


def test_touches_by_slow_comparison() -> None:
    generator = torch.Generator().manual_seed(3)
    regions = mask_regions(torch.rand(12, 4, 5, 3, generator=generator) < 0.06)
    others = mask_regions(torch.rand(3, 4, 5, 3, generator=generator) < 0.06)
    union = times_covered(others) > 0
    expected = [bool((voxel_mask(region, (4, 5, 3)) & union).any()) for region in regions]
    assert 0 < sum(expected) < 12
    assert regions.touches(others).tolist() == expected


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (((0, 5), (0, 5)), r"the box leaves the image: \[0, 5\) on axis 0 of 4"),
        (((0, 2),), "the box has 1 axes, the image 2"),
        (((2, 2), (0, 1)), "the box is empty"),
        (torch.ones(5, 4), r"a mask of shape \(5, 4\) does not fit an image of shape \(4, 5\)"),
        (torch.ones(2, 4, 5), r"a mask of shape \(2, 4, 5\) does not fit"),
        (torch.ones(5), r"a mask of shape \(5,\) does not fit"),
    ],
)
def test_touches_refuses_what_does_not_fit(other: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overlapping().touches(other)


# --- maps


def test_a_map_by_hand() -> None:
    """Where regions overlap a voxel gets the mean of theirs; where there is none, the background."""
    painted = overlapping().to_map(torch.tensor([1.0, 3.0, 8.0]), background=-1.0)
    assert painted.tolist() == [
        [1, 1, 1, 1, -1],
        [1, 1, (1 + 3 + 8) / 3, 1, -1],
        [-1, 3, 3, 3, -1],
        [-1, -1, 3, -1, -1],
    ]


def test_a_map_is_the_slow_one() -> None:
    generator = torch.Generator().manual_seed(2)
    regions = mask_regions(torch.rand(6, 3, 4, 5, generator=generator) < 0.3)
    values = torch.randn(2, 3, 6, generator=generator, dtype=torch.float64)
    expected = np.full((2, 3, 3, 4, 5), 0.25)
    for voxel in np.ndindex(3, 4, 5):
        rows = [row for row, region in enumerate(regions) if voxel_mask(region, (3, 4, 5))[voxel]]
        if rows:
            expected[(..., *voxel)] = values[..., rows].numpy().mean(-1)
    painted = regions.to_map(values, background=0.25)
    assert painted.dtype == torch.float64
    np.testing.assert_allclose(painted, expected, rtol=0, atol=1e-15)


def test_a_value_that_is_not_a_number_stays_in_its_region() -> None:
    diagonal = torch.eye(2, dtype=torch.bool)
    painted = mask_regions(torch.stack([diagonal, ~diagonal])).to_map(torch.tensor([torch.nan, 2.0]))
    assert painted[~diagonal].tolist() == [2.0, 2.0]
    assert painted[diagonal].isnan().all()
    alone = mask_regions(diagonal[None]).to_map(torch.tensor([torch.inf]), background=-1.0)
    assert alone.tolist() == [[torch.inf, -1.0], [-1.0, torch.inf]]


def test_decisions_and_ranks_can_be_painted() -> None:
    regions = box_regions((1, 4), [((0, 1), (0, 2)), ((0, 1), (1, 3))])
    assert regions.to_map(torch.tensor([True, False])).tolist() == [[1.0, 0.5, 0.0, 0.0]]
    assert regions.to_map(torch.tensor([1, 2]), background=0.5).tolist() == [[1.0, 1.5, 2.0, 0.5]]


def test_regions_may_be_limited_to_channels_and_paint_all_the_same() -> None:
    regions = Regions((1, 2), (Region(0, ((0, 1), (0, 1)), channels=(1, 2)),))
    assert regions.to_map(torch.tensor([2.0])).tolist() == [[2.0, 0.0]]


@pytest.mark.parametrize("values", [torch.ones(2), torch.ones(3, 2), torch.tensor(1.0)])
def test_a_map_needs_a_value_per_region(values: Tensor) -> None:
    with pytest.raises(ValueError, match=r"values of shape .* for 3 regions: the last axis has one per region"):
        overlapping().to_map(values)
