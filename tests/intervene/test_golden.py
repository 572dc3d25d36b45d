# SPDX-License-Identifier: Apache-2.0
"""On networks whose effects are known on paper, every execution finds them: for every fill and kind of region."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from monai.data.utils import compute_importance_map
from monai.inferers import SlidingWindowInferer
from numpy.typing import NDArray

from monai_causal.intervene import (
    BlurFill,
    ConstantFill,
    DonorPatchFill,
    Evaluator,
    Fill,
    InpaintFill,
    MaskedMeanLogit,
    MeanFill,
    Region,
    Regions,
    RoIDice,
    grid_regions,
)
from tests.golden import LinearSegmenter, PlantedContext
from tests.intervene.replicas import Array, do, region_mask, voxels

SEED = 11
DRAWS = 3
SIZES = {2: (9, 11), 3: (6, 5, 7)}
EXECUTIONS = ["dense", "dense-4", "windows", "incremental", "incremental-4"]

# The fills, each with what it puts where: (image, region, draw) -> replacement image, both (C, *spatial).
Replica = Callable[[Array, Region, int], Array]


def scramble(state: int) -> int:
    """SplitMix64's finaliser, from its publication."""
    state = (state + 0x9E3779B97F4A7C15) % 2**64
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ state >> 27) * 0x94D049BB133111EB % 2**64
    return state ^ state >> 31


def drawn(bound: int, region: Region, draw: int, stream: int = 0) -> int:
    state = 0
    for coordinate in (SEED, region.id, draw, stream):
        state = scramble(state ^ coordinate)
    return state * bound // 2**64


def blurred(image: Array, sigma: float) -> Array:
    """Gaussian blur by explicit sums; what lies outside is the nearest voxel; the kernel ends at four sigma."""
    radius = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    for axis in range(1, image.ndim):
        length = image.shape[axis]
        taps = [np.clip(np.arange(length) + step, 0, length - 1) for step in range(-radius, radius + 1)]
        image = sum(weight * image.take(tap, axis) for weight, tap in zip(weights, taps, strict=True))
    return image


def harmonic(image: Array, region: Region) -> Array:
    """Every voxel of the region the mean of its face neighbours inside the image: one dense linear system."""
    size = image.shape[1:]
    inside = list(voxels(region))
    number = {voxel: row for row, voxel in enumerate(inside)}
    filled = image.copy()
    for channel in filled:
        system, right = np.zeros((len(inside), len(inside))), np.zeros(len(inside))
        for voxel, row in number.items():
            for axis in range(len(size)):
                for step in (-1, 1):
                    neighbour = tuple(at + step * (k == axis) for k, at in enumerate(voxel))
                    if not 0 <= neighbour[axis] < size[axis]:
                        continue
                    system[row, row] += 1
                    if neighbour in number:
                        system[row, number[neighbour]] -= 1
                    else:
                        right[row] += channel[neighbour]
        for voxel, value in zip(inside, np.linalg.solve(system, right), strict=True):
            channel[voxel] = value
    return filled


def texture_place(region: Region, size: tuple[int, ...], draw: int) -> tuple[list[int], bool]:
    """Where a drawn texture begins, and whether that is beside the region: on one drawn axis, if any has room."""
    spans = list(zip(region.box, size, strict=True))
    starts = [drawn(n - (stop - start) + 1, region, draw, 1 + k) for k, ((start, stop), n) in enumerate(spans)]
    beside = [
        [at for at in range(n - (stop - start) + 1) if at + stop - start <= start or at >= stop]
        for (start, stop), n in spans
    ]
    axes = [axis for axis, places in enumerate(beside) if places]
    if axes:
        axis = axes[drawn(len(axes), region, draw)]
        starts[axis] = beside[axis][drawn(len(beside[axis]), region, draw, 1 + axis)]
    return starts, bool(axes)


def inpainted(image: Array, region: Region, draw: int, texture: float) -> Array:
    """The harmonic surface, and the residual of another place, cut at twice the spread of the residual around."""
    filled, residual, size = harmonic(image, region), image - blurred(image, 1.5), image.shape[1:]
    own = set(voxels(region))
    rim = [
        voxel
        for voxel in np.ndindex(*size)
        if voxel not in own and all(a - 4 <= at < b + 4 for at, (a, b) in zip(voxel, region.box, strict=True))
    ]
    starts, beside = texture_place(region, size, draw)
    for channel, values in zip(filled, residual, strict=True):
        limit = 2 * 1.4826 * float(np.median([abs(values[voxel]) for voxel in rim]))
        for voxel in own:
            there = tuple(v - a + start for v, (a, _), start in zip(voxel, region.box, starts, strict=True))
            if beside or there not in own:
                channel[voxel] += texture * min(max(values[there], -limit), limit)
    return filled


def from_donor(bank: Array, image: Array, region: Region, draw: int) -> Array:
    donor = bank[drawn(len(bank), region, draw)]
    rooms = [length - (stop - start) + 1 for length, (start, stop) in zip(donor.shape[1:], region.box, strict=True)]
    starts = [drawn(room, region, draw, axis + 1) for axis, room in enumerate(rooms)]
    filled = image.copy()
    for voxel in voxels(region):
        at = (a - start + begin for a, (start, _), begin in zip(voxel, region.box, starts, strict=True))
        filled[(slice(None), *voxel)] = donor[(slice(None), *at)]
    return filled


def region_mean(image: Array, region: Region, draw: int) -> Array:
    filled = np.empty_like(image)
    for channel, values in zip(filled, image, strict=True):
        channel[...] = np.mean([values[voxel] for voxel in voxels(region)])
    return filled


def noise(image: Array, region: Region, draw: int) -> Array:
    generator = np.random.default_rng([SEED, region.id, draw])
    filled = image.copy()
    first, last = region.channels or (0, len(image))
    inside = (slice(first, last), *(slice(*span) for span in region.box))
    filled[inside] = image[inside] * generator.random(filled[inside].shape)
    return filled


def cases(size: tuple[int, ...], channels: int) -> dict[str, tuple[Fill | Callable | float, Replica]]:
    column = (channels, *(1,) * len(size))
    constants = [0.25 * k - 0.5 for k in range(channels)]
    bank = np.random.default_rng(3).random((4, channels, *(length + 2 for length in size)))
    return {
        "number": (-0.75, lambda image, region, draw: np.full_like(image, -0.75)),
        "constant per channel": (
            ConstantFill(constants),
            lambda image, region, draw: np.zeros_like(image) + np.reshape(constants, column),
        ),
        "mean per channel": (
            MeanFill(),
            lambda image, region, draw: np.zeros_like(image) + np.reshape([c.mean() for c in image], column),
        ),
        "mean of image": (MeanFill("image"), lambda image, region, draw: np.full_like(image, image.mean())),
        "mean of region": (MeanFill("region"), region_mean),
        "blur": (BlurFill(1.5), lambda image, region, draw: blurred(image, 1.5)),
        "donor": (
            DonorPatchFill(torch.from_numpy(bank)),
            lambda image, region, draw: from_donor(bank, image, region, draw),
        ),
        "inpaint": (InpaintFill(), lambda image, region, draw: inpainted(image, region, draw, 1.0)),
        "inpaint without texture": (
            InpaintFill(texture=0),
            lambda image, region, draw: inpainted(image, region, draw, 0.0),
        ),
        "callable": (
            lambda original, region, generator: original * torch.from_numpy(generator.random(original.shape)),
            noise,
        ),
    }


FILLS = list(cases((4, 4), 1))


def some_regions(size: tuple[int, ...], kind: str, channels: int) -> Regions:
    if kind == "grid":
        return grid_regions(size, 3)
    boxes = [
        tuple((1, 4) for _ in size),
        tuple((2, 5) for _ in size),
        tuple((length - 2, length) for length in size),
        tuple((0, length - 1) for length in size),
    ]
    generator = torch.Generator().manual_seed(5)
    items = [Region(10 + k, box) for k, box in enumerate(boxes)]
    items += [
        Region(20 + k, box, mask=torch.rand([b - a for a, b in box], generator=generator) < density)
        for k, (box, density) in enumerate(zip(boxes, (0.5, 0.2, 0.8, 0.3), strict=True))
    ]
    items += [Region(30, boxes[1], channels=(channels - 1, channels))]
    return Regions(size, tuple(items))


@cache
def linear(dims: int) -> tuple[LinearSegmenter, Array, NDArray[np.bool_]]:
    """A model with 2 channels and 2 classes, an image (C, *spatial) and a mask."""
    kernel = {2: (3, 5), 3: (3, 1, 3)}[dims]
    model = LinearSegmenter(dims, spatial_dims=dims, in_channels=2, out_channels=2, kernel_size=kernel)
    generator = np.random.default_rng(dims)
    return model, generator.random((2, *SIZES[dims])), generator.random(SIZES[dims]) < 0.3


@cache
def planted(dims: int) -> tuple[PlantedContext, Array, tuple[tuple[int, int], ...], NDArray[np.bool_]]:
    """A model, an image, a RoI and a reference that the model did not make."""
    generator = np.random.default_rng(10 + dims)
    offset, roi = {2: ((2, -3), ((3, 8), (1, 7))), 3: ((1, -2, 2), ((1, 5), (0, 3), (2, 7)))}[dims]
    return PlantedContext(offset), generator.random((1, *SIZES[dims])), roi, generator.random(SIZES[dims]) < 0.4


@cache
def evaluator(which: str, dims: int, execution: str) -> Evaluator:
    """One for all tests of a network and an execution: a network is traced once."""
    network = (linear if which == "linear" else planted)(dims)[0]
    name, _, batch = execution.partition("-")
    inferer = SlidingWindowInferer(SIZES[dims], 1) if name == "windows" else None  # one window covers the image
    return Evaluator(network, batch_size=int(batch or 1), execution=name, seed=SEED, inferer=inferer)


@pytest.mark.parametrize("kind", ["grid", "sparse"])
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("dims", [2, 3])
def test_effects_on_a_linear_segmenter(dims: int, execution: str, fill: str, kind: str) -> None:
    model, image, mask = linear(dims)
    what, replica = cases(SIZES[dims], 2)[fill]
    regions = some_regions(SIZES[dims], kind, 2)
    score = MaskedMeanLogit(torch.from_numpy(mask), class_idx=1)
    effects = evaluator("linear", dims, execution)(torch.from_numpy(image)[None], regions, what, score, DRAWS)
    expected = [
        [
            model.effect(
                image, do(image, region, replica(image, region, draw)), region_mask(region, SIZES[dims]), mask, 1
            )
            for draw in range(DRAWS)
        ]
        for region in regions
    ]
    assert effects.record.execution == execution.partition("-")[0]
    assert effects.baseline == pytest.approx(float(model.score(torch.from_numpy(image)[None], mask, 1)), abs=1e-12)
    np.testing.assert_allclose(effects.values.numpy(), expected, rtol=0, atol=1e-12)
    assert np.abs(expected).max() > 1e-2


@pytest.mark.parametrize("kind", ["grid", "sparse"])
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("dims", [2, 3])
def test_effects_on_a_planted_context(dims: int, execution: str, fill: str, kind: str) -> None:
    model, image, roi, reference = planted(dims)
    what, replica = cases(SIZES[dims], 1)[fill]
    regions = some_regions(SIZES[dims], kind, 1)
    score = RoIDice(roi, torch.from_numpy(reference))
    effects = evaluator("planted", dims, execution)(torch.from_numpy(image)[None], regions, what, score, DRAWS)
    expected = [
        [
            model.dice_effect(image, replica(image, region, draw), region_mask(region, SIZES[dims]), roi, reference)
            for draw in range(DRAWS)
        ]
        for region in regions
    ]
    assert effects.baseline == pytest.approx(model.dice(image, roi, reference), abs=1e-12)
    np.testing.assert_allclose(effects.values.numpy(), expected, rtol=0, atol=1e-12)
    assert np.abs(expected).max() > 1


@pytest.mark.parametrize("dims", [2, 3])
def test_only_what_the_kernel_can_carry_to_the_roi_is_run(dims: int) -> None:
    """What meets the RoI grown by the kernel's half-widths, of whose taps the model uses one."""
    model, image, _, _ = planted(dims)
    # in the corner that reads from inside the image
    roi = tuple((n - 2, n) if d > 0 else (0, 2) for n, d in zip(SIZES[dims], model.offset, strict=True))
    reference = np.ones(SIZES[dims], dtype=bool)
    regions = grid_regions(SIZES[dims], 2)
    ask = evaluator("planted", dims, "incremental")
    score = RoIDice(roi, torch.from_numpy(reference))
    ask(torch.from_numpy(image)[None], regions.subset([0]), 0.0, score)  # traces
    effects = ask(torch.from_numpy(image)[None], regions, 0.9, score)
    near = tuple((a - abs(d), b + abs(d)) for (a, b), d in zip(roi, model.offset, strict=True))
    apart = [
        any(stop <= a or b <= start for (start, stop), (a, b) in zip(region.box, near, strict=True))
        for region in regions
    ]
    assert 0 < sum(apart) < len(regions)
    assert effects.record.untouched == sum(apart)
    assert effects.record.forwards == 1 + len(regions) - sum(apart)
    assert not effects.values[torch.tensor(apart)].any()
    assert effects.values.any()


@pytest.mark.parametrize("mode", ["constant", "gaussian"])
@pytest.mark.parametrize("dims", [2, 3])
def test_windows_have_a_closed_form_too(dims: int, mode: str) -> None:
    """A voxel's logit is the weighted mean over the windows that hold it, each zero-padded at its own border, so the
    gradient of the score is a sum over windows."""
    model, image, mask = linear(dims)
    size, window = SIZES[dims], {2: (5, 6), 3: (4, 5, 4)}[dims]
    weight_maps: list[tuple[tuple[slice, ...], Array]] = []

    def note(windows: torch.Tensor, slices: list[list[slice]]) -> torch.Tensor:
        weight_maps.extend((tuple(s[2:]), importance) for s in slices)
        return windows

    importance = compute_importance_map(window, mode=mode, dtype=torch.float64).numpy()
    options = {"roi_size": window, "sw_batch_size": 2, "overlap": 0.5, "mode": mode}
    SlidingWindowInferer(**options, with_coord=True)(torch.from_numpy(image)[None], note)
    total = np.zeros(size)
    for place, weights in weight_maps:
        total[place] += weights
    gradient = np.zeros_like(image)
    for place, weights in weight_maps:
        share = (mask / total)[place] * weights
        if share.any():
            gradient[(slice(None), *place)] += model.gradient(share, 1) * share.sum() / mask.sum()
    regions = some_regions(size, "sparse", 2)
    windows = Evaluator(model, inferer=SlidingWindowInferer(**options))(
        torch.from_numpy(image)[None], regions, -0.75, MaskedMeanLogit(torch.from_numpy(mask), class_idx=1)
    )
    expected = [((do(image, region, np.full_like(image, -0.75)) - image) * gradient).sum() for region in regions]
    assert windows.record.execution == "windows"
    assert len(weight_maps) > 4
    np.testing.assert_allclose(windows.ate.numpy(), expected, rtol=0, atol=1e-12)
