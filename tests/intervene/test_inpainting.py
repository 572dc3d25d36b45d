# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_causal.intervene import InpaintFill, Region, Regions, box_regions, grid_regions, inpainting, mask_regions
from monai_causal.intervene.draws import draw_integer
from monai_causal.intervene.inpainting import harmonic_extension

Array = NDArray[np.float64]


def image_of(shape: tuple[int, ...], channels: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(channels, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def own_voxels(region: Region, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    own = np.zeros(shape, dtype=bool)
    own[tuple(slice(*span) for span in region.box)] = True if region.mask is None else region.mask.numpy()
    return own


def neighbours(voxel: tuple[int, ...], shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Face neighbours inside the image."""
    for axis, length in enumerate(shape):
        for step in (-1, 1):
            if 0 <= voxel[axis] + step < length:
                yield tuple(at + step * (k == axis) for k, at in enumerate(voxel))


def harmonic(channel: Array, own: NDArray[np.bool_]) -> Array:
    """Every voxel of ``own`` the mean of its neighbours: one dense linear system."""
    voxels = list(map(tuple, np.argwhere(own)))
    number = {voxel: row for row, voxel in enumerate(voxels)}
    system, right = np.zeros((len(voxels), len(voxels))), np.zeros(len(voxels))
    for voxel, row in number.items():
        for neighbour in neighbours(voxel, own.shape):
            system[row, row] += 1
            if neighbour in number:
                system[row, number[neighbour]] -= 1
            else:
                right[row] += channel[neighbour]
    filled = channel.copy()
    filled[own] = np.linalg.solve(system, right)
    return filled


def blurred(channel: Array, sigma: float) -> Array:
    """Gaussian blur by explicit sums; outside lies the nearest voxel, the kernel ends at four sigma."""
    radius = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    for axis, length in enumerate(channel.shape):
        channel = sum(
            weight * channel.take(np.clip(np.arange(length) + step, 0, length - 1), axis)
            for weight, step in zip(weights, range(-radius, radius + 1), strict=True)
        )
    return channel


def texture_start(region: Region, shape: tuple[int, ...], seed: int, draw: int) -> tuple[list[int], bool]:
    """Where the box of the texture begins, and whether it lies beside the region: drawn anywhere, then on one of the
    axes that have room drawn again among the places before and behind the region."""
    starts = [
        draw_integer(length - (b - a) + 1, seed, region.id, draw, 1 + axis)
        for axis, (length, (a, b)) in enumerate(zip(shape, region.box, strict=True))
    ]
    room = {
        axis: [s for s in range(length - (b - a) + 1) if s + (b - a) <= a or s >= b]
        for axis, (length, (a, b)) in enumerate(zip(shape, region.box, strict=True))
    }
    room = {axis: places for axis, places in room.items() if places}
    if room:
        axis = list(room)[draw_integer(len(room), seed, region.id, draw, 0)]
        starts[axis] = room[axis][draw_integer(len(room[axis]), seed, region.id, draw, 1 + axis)]
    return starts, bool(room)


def inpainted(
    image: Array, region: Region, seed: int, draw: int, texture: float = 1.0, sigma: float = 1.5, rim: int = 4
) -> Array:
    """``InpaintFill`` over again: the image with the region filled, voxel by voxel."""
    shape = image.shape[1:]
    own = own_voxels(region, shape)
    starts, beside = texture_start(region, shape, seed, draw)
    around = np.zeros(shape, dtype=bool)
    around[tuple(slice(max(a - rim, 0), b + rim) for a, b in region.box)] = True
    first, last = region.channels or (0, len(image))
    filled = image.copy()
    for channel in range(first, last):
        residual = image[channel] - blurred(image[channel], sigma)
        limit = 2 * 1.4826 * np.median(np.abs(residual[around & ~own]))
        surface = harmonic(image[channel], own)
        for voxel in map(tuple, np.argwhere(own)):
            source = tuple(v - a + s for v, (a, _), s in zip(voxel, region.box, starts, strict=True))
            grain = 0.0 if not beside and own[source] else min(max(residual[source], -limit), limit)
            filled[(channel, *voxel)] = surface[voxel] + texture * grain
    return filled


def fill_all(image: Tensor, regions: Regions, fill: InpaintFill, seed: int = 0, draw: int = 0) -> list[Tensor]:
    """The image with each of the regions filled, one at a time."""
    replacement = fill.prepare(image, regions, seed)
    filled = []
    for region in regions:
        changed = image.clone()
        region.write(changed[region.index], replacement(region, draw))
        filled.append(changed)
    return filled


def some_regions(shape: tuple[int, ...]) -> Regions:
    """Inside, at the border, in a corner, with a mask, of one channel, and one that leaves no room beside it."""
    inner = tuple((2, 5) for _ in shape)
    mask = torch.rand([3] * len(shape), generator=torch.Generator().manual_seed(6)) < 0.6
    wide = tuple((1, length - 1) for length in shape)
    holes = torch.rand([length - 2 for length in shape], generator=torch.Generator().manual_seed(7)) < 0.7
    return Regions(
        shape,
        (
            Region(0, inner),
            Region(1, tuple((0, 2) if axis == 0 else (3, 5) for axis in range(len(shape)))),
            Region(2, tuple((length - 2, length) for length in shape)),
            Region(3, inner, mask),
            Region(4, inner, channels=(1, 2)),
            Region(5, wide),
            Region(6, wide, holes),
        ),
    )


# --- the surface


@pytest.mark.parametrize("shape", [(6, 7), (4, 5, 6)])
@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
def test_every_unknown_voxel_is_the_mean_of_its_neighbours(shape: tuple[int, ...], density: float) -> None:
    """At the array's border of those that there are; known voxels stay as they are."""
    unknown = np.random.default_rng(1).random(shape) < density
    array = np.random.default_rng(2).normal(size=(2, *shape))
    extended = harmonic_extension(unknown)(array)
    np.testing.assert_array_equal(extended[:, ~unknown], array[:, ~unknown])
    for channel in extended:
        for voxel in map(tuple, np.argwhere(unknown)):
            mean = np.mean([channel[n] for n in neighbours(voxel, shape)])
            assert channel[voxel] == pytest.approx(mean, abs=1e-12)


def test_the_surface_by_hand() -> None:
    """Between 1 and 4 lie 2 and 3; at the border there is one neighbour only."""
    unknown = np.array([[False, True, True, False, True]])
    assert harmonic_extension(unknown)(np.array([[[1.0, 9, 9, 4, 9]]])).tolist() == [
        [[pytest.approx(v) for v in (1, 2, 3, 4, 4)]]
    ]


@pytest.mark.parametrize("shape", [(14, 15), (9, 10, 11)])
def test_a_ramp_is_continued_exactly(shape: tuple[int, ...]) -> None:
    """A plane is harmonic: away from the border nothing changes, whatever the shape of the region."""
    grid = np.meshgrid(*map(np.arange, shape), indexing="ij")
    ramp = torch.from_numpy(sum((axis + 2.0) * at for axis, at in enumerate(grid)) - 7.0)[None]
    box = tuple((2, length - 2) for length in shape)
    mask = torch.rand([length - 4 for length in shape], generator=torch.Generator().manual_seed(0)) < 0.5
    regions = Regions(shape, (Region(0, box), Region(1, box, mask), Region(2, tuple((1, 3) for _ in shape))))
    noisy = ramp + 100 * image_of(shape, 1)
    for region in regions:
        # What the region held is noise, and nothing of it may come back.
        image = torch.where(torch.from_numpy(own_voxels(region, shape)), noisy, ramp)
        (filled,) = fill_all(image, Regions(shape, (region,)), InpaintFill(texture=0))
        torch.testing.assert_close(filled, ramp, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(9, 11), (6, 7, 8)])
def test_the_surface_is_the_slow_one(shape: tuple[int, ...]) -> None:
    image = image_of(shape)
    for region, filled in zip(
        some_regions(shape), fill_all(image, some_regions(shape), InpaintFill(texture=0)), strict=True
    ):
        expected = inpainted(image.numpy(), region, 0, 0, texture=0)
        np.testing.assert_allclose(filled, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(30, 31), (11, 12, 13)])
def test_large_regions_are_solved_as_small_ones_are(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a size the system is iterated instead of factorised."""
    image = image_of(shape)
    regions = some_regions(shape)
    direct = fill_all(image, regions, InpaintFill(texture=0))
    monkeypatch.setattr(inpainting, "_DIRECT_SOLVE_LIMIT", 0)
    monkeypatch.setattr(inpainting.linalg, "splu", None)  # would fail where it is still used
    for one, other in zip(direct, fill_all(image, regions, InpaintFill(texture=0)), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_patches_of_a_grid_share_their_factorisation(monkeypatch: pytest.MonkeyPatch) -> None:
    """5 x 6 patches and two draws: inside, four borders and four corners are nine systems."""
    made = []
    original = inpainting.harmonic_extension
    monkeypatch.setattr(
        inpainting, "harmonic_extension", lambda unknown: made.append(unknown.shape) or original(unknown)
    )
    image = image_of((15, 18), 1)
    replacement = InpaintFill().prepare(image, grid_regions((15, 18), 3), 0)
    for region in grid_regions((15, 18), 3):
        for draw in range(2):
            replacement(region, draw)
    assert set(made) == {(5, 5), (4, 5), (5, 4), (4, 4)}
    assert len(made) < 2 * 9


# --- the texture


@pytest.mark.parametrize("shape", [(9, 11), (6, 7, 8)])
@pytest.mark.parametrize("options", [{}, {"texture": 0.5, "texture_sigma": 2.5}])
def test_the_fill_is_the_slow_one(shape: tuple[int, ...], options: dict[str, float]) -> None:
    image = image_of(shape)
    regions = some_regions(shape)
    for draw in range(3):
        for region, filled in zip(regions, fill_all(image, regions, InpaintFill(**options), 3, draw), strict=True):
            expected = inpainted(
                image.numpy(), region, 3, draw, options.get("texture", 1.0), options.get("texture_sigma", 1.5)
            )
            np.testing.assert_allclose(filled, expected, rtol=0, atol=1e-10)


def test_nothing_but_the_region_changes() -> None:
    shape = (9, 11)
    image = image_of(shape)
    for region, filled in zip(some_regions(shape), fill_all(image, some_regions(shape), InpaintFill()), strict=True):
        changed = torch.zeros(2, *shape, dtype=torch.bool)
        changed[region.channel_index] = torch.from_numpy(own_voxels(region, shape))
        assert torch.equal(filled[~changed], image[~changed])
        assert (filled[changed] != image[changed]).all()


@pytest.mark.parametrize(
    "box", [((10, 30), (12, 32)), ((0, 20), (20, 40)), ((4, 38), (2, 36)), ((0, 40), (0, 26))], ids=str
)
@pytest.mark.parametrize("masked", [False, True])
def test_what_the_region_held_does_not_come_back(box: tuple[tuple[int, int], ...], masked: bool) -> None:
    """The inside of the region, further from its border than the blur reaches, may hold anything; even where the region
    leaves no room beside it."""
    image = image_of((40, 40), 1)
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(40), indexing="ij")
    (a, b), (c, d) = box
    mask = (rows - (a + b) / 2).abs() / (b - a) + (columns - (c + d) / 2).abs() / (d - c) < 0.8
    regions = Regions((40, 40), (Region(0, box, mask[a:b, c:d] if masked else None),))
    own = torch.from_numpy(own_voxels(regions[0], (40, 40)))
    near_outside = torch.nn.functional.max_pool2d((~own).float()[None], 13, stride=1, padding=6)[0] > 0
    other = torch.where(~near_outside, 1000 * image, image)
    assert not torch.equal(other, image)
    fill = InpaintFill(texture_sigma=1.5)  # its blur reaches 6 voxels
    for draw in range(30):
        one, two = (fill.prepare(i, regions, 0)(regions[0], draw) for i in (image, other))
        assert torch.equal(
            torch.as_tensor(one)[:, regions[0].mask if masked else ...],
            torch.as_tensor(two)[:, regions[0].mask if masked else ...],
        )


def test_the_texture_varies_between_draws_and_lies_beside_the_region_wherever_there_is_room() -> None:
    """A region of 4 x 4 in the middle of 12 x 12 leaves room on both axes."""
    region = Region(0, ((4, 8), (4, 8)))
    found = [texture_start(region, (12, 12), 0, draw) for draw in range(200)]
    assert all(beside for _, beside in found)
    for (row, column), _ in found:
        assert row in (0, 8) or column in (0, 8)
    assert {row in (0, 8) for (row, _), _ in found} == {True, False}
    replacement = InpaintFill().prepare(image_of((12, 12), 1), Regions((12, 12), (region,)), 0)
    answers = {tuple(torch.as_tensor(replacement(region, draw)).flatten().tolist()) for draw in range(200)}
    assert len(answers) == len({tuple(start) for start, _ in found}) > 20


def test_edges_and_highlights_are_not_carried_along() -> None:
    """Fine grain around the region, writing elsewhere: the fill stays as fine as its surroundings."""
    image = 0.01 * image_of((40, 40), 1)
    image[:, 25:, ::3] += 5.0
    regions = box_regions((40, 40), [((5, 13), (5, 13))])
    fill = InpaintFill()
    smooth = torch.as_tensor(InpaintFill(texture=0).prepare(image, regions, 0)(regions[0], 0))
    residual = image[0].numpy() - blurred(image[0].numpy(), 1.5)
    around = residual[1:17, 1:17].copy()
    around[4:12, 4:12] = np.nan
    limit = 2 * 1.4826 * np.nanmedian(np.abs(around))
    reached = []
    for draw in range(40):
        grain = (torch.as_tensor(fill.prepare(image, regions, 0)(regions[0], draw)) - smooth).abs().max()
        assert grain <= limit + 1e-12
        reached.append(float(grain) > 0.999 * limit)
    assert any(reached)  # the writing was drawn, and cut


def test_draws_belong_to_seed_region_and_draw() -> None:
    image = image_of((20, 20))
    regions = grid_regions((20, 20), 6)
    first = InpaintFill().prepare(image, regions, 4)
    table = {(region.id, draw): first(region, draw) for region in regions for draw in range(3)}
    again = InpaintFill().prepare(image, regions.subset([9, 2, 15]), 4)
    for draw in (2, 0, 1):
        for region in regions.subset([9, 2, 15]):
            assert torch.equal(torch.as_tensor(again(region, draw)), torch.as_tensor(table[region.id, draw]))
    other = InpaintFill().prepare(image, regions, 5)
    assert not any(
        torch.equal(torch.as_tensor(other(region, 0)), torch.as_tensor(table[region.id, 0])) for region in regions
    )


def test_regions_that_share_an_id_are_not_confused() -> None:
    """Sets of regions may be put together by hand."""
    image = image_of((8, 8))
    regions = Regions((8, 8), (Region(0, ((0, 2), (0, 2))), Region(0, ((4, 6), (4, 6)))))
    replacement = InpaintFill(texture=0).prepare(image, regions, 0)
    for region in regions:
        alone = InpaintFill(texture=0).prepare(image, Regions((8, 8), (region,)), 0)
        assert torch.equal(torch.as_tensor(replacement(region, 0)), torch.as_tensor(alone(region, 0)))


@pytest.mark.parametrize(
    "regions",
    [
        grid_regions((4, 5), 9),
        mask_regions(torch.ones(1, 4, 5)),
        box_regions((4, 5), [((0, 1), (0, 1)), ((0, 4), (0, 5))]),
    ],
)
def test_a_region_that_is_the_whole_image_leaves_nothing_to_extend(regions: Regions) -> None:
    with pytest.raises(ValueError, match=rf"InpaintFill: region {len(regions) - 1} covers the whole image"):
        InpaintFill().prepare(image_of((4, 5)), regions, 0)


@pytest.mark.parametrize("options", [{"texture": -1.0}, {"texture_sigma": 0.0}])
def test_options_that_cannot_be(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"InpaintFill\(texture=.*: the amount is 0 or more, the width above 0"):
        InpaintFill(**options)
