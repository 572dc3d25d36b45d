# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from scipy import ndimage
from torch import Tensor

from monai_causal.intervene import (
    BlurFill,
    CallableFill,
    ConstantFill,
    DonorPatchFill,
    Fill,
    InpaintFill,
    MeanFill,
    Region,
    Regions,
    box_regions,
    grid_regions,
    mask_regions,
)
from monai_causal.intervene.draws import draw_generator, draw_integer
from monai_causal.intervene.fills import as_fill

SHAPES = [(9, 11), (5, 6, 7)]


def image_of(shape: tuple[int, ...], channels: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(channels, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some_regions(shape: tuple[int, ...]) -> Regions:
    """Boxes inside and at the border, masks, and a box of the second and third channel only."""
    inner = tuple((1, 4) for _ in shape)
    corner = tuple((length - 2, length) for length in shape)
    mask = torch.rand([3] * len(shape), generator=torch.Generator().manual_seed(4)) < 0.5
    return Regions(
        shape,
        (
            Region(0, inner),
            Region(12, corner),
            Region(5, inner, mask),
            Region(7, inner, channels=(1, 3)),
            Region(8, inner, mask, channels=(2, 3)),
        ),
    )


def do(image: Tensor, region: Region, replacement: Tensor | float) -> Tensor:
    changed = image.clone()
    region.write(changed[region.index], replacement)
    return changed


def written(image: Tensor, region: Region, replacement: Tensor | float) -> Tensor:
    """What of a replacement arrives in the region: flat, channel by channel."""
    return torch.stack([region.within(channel) for channel in do(image, region, replacement)[region.channel_index]])


def slow_do(image: Tensor, region: Region, replacement: np.ndarray) -> np.ndarray:
    """``replacement`` (C, *spatial) inside the region and its channels, the image elsewhere, voxel by voxel."""
    changed = image.numpy().copy()
    first, last = region.channels or (0, len(image))
    for voxel in np.ndindex(*region.shape):
        if region.mask is None or region.mask[voxel]:
            place = tuple(at + start for at, (start, _) in zip(voxel, region.box, strict=True))
            changed[(slice(first, last), *place)] = replacement[(slice(first, last), *place)]
    return changed


# --- constants


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "value", [0.1, 3, np.float32(0.5), torch.tensor(-2.0), (0.1, -0.3, 7), np.arange(3.0), torch.tensor([0.25, 1, 2])]
)
def test_constant(shape: tuple[int, ...], value: Any) -> None:
    """Exactly the number given, in the image's precision."""
    image = image_of(shape)
    everywhere = np.zeros(tuple(image.shape)) + np.asarray(value, dtype=np.float64).reshape(-1, *(1,) * len(shape))
    regions = some_regions(shape)
    replacement = ConstantFill(value).prepare(image, regions, 0)
    for region in regions:
        np.testing.assert_array_equal(do(image, region, replacement(region, 0)), slow_do(image, region, everywhere))


def test_the_default_constant_is_zero() -> None:
    image = image_of((4, 4), 1)
    regions = box_regions((4, 4), [((0, 4), (0, 2))])
    filled = do(image, regions[0], ConstantFill().prepare(image, regions, 0)(regions[0], 0))
    assert not filled[:, :, :2].any()
    assert torch.equal(filled[:, :, 2:], image[:, :, 2:])


@pytest.mark.parametrize("value", [[1.0, 2.0], [1.0], [], [[1.0, 2.0, 3.0]]])
def test_constants_are_counted(value: list) -> None:
    with pytest.raises(ValueError, match=r"ConstantFill\(.*\): give one value, or one for each of 3 channels"):
        ConstantFill(value).prepare(image_of((4, 4)), grid_regions((4, 4), 2), 0)


# --- means


def slow_mean(image: Tensor, region: Region, over: str) -> np.ndarray:
    array = image.numpy()
    if over == "image":
        return np.full(array.shape, array.sum() / array.size)
    means = np.empty_like(array)
    for channel, values in enumerate(array):
        if over == "channel":
            chosen = list(values.flat)
        else:
            chosen = [
                values[tuple(at + start for at, (start, _) in zip(voxel, region.box, strict=True))]
                for voxel in np.ndindex(*region.shape)
                if region.mask is None or region.mask[voxel]
            ]
        means[channel] = sum(chosen) / len(chosen)
    return means


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("over", ["channel", "image", "region"])
def test_mean(shape: tuple[int, ...], over: Any) -> None:
    image = image_of(shape)
    regions = some_regions(shape)
    replacement = MeanFill(over).prepare(image, regions, 0)
    for region in regions:
        expected = slow_do(image, region, slow_mean(image, region, over))
        np.testing.assert_allclose(do(image, region, replacement(region, 0)), expected, rtol=0, atol=1e-14)


def test_mean_is_per_channel_unless_told_otherwise() -> None:
    image = torch.tensor([[[0.0, 2.0]], [[10.0, 30.0]]])
    left = box_regions((1, 2), [((0, 1), (0, 1))])
    means = {
        "default": MeanFill().prepare(image, left, 0)(left[0], 0),
        "image": MeanFill("image").prepare(image, left, 0)(left[0], 0),
        "region": MeanFill(over="region").prepare(image, left, 0)(left[0], 0),
    }
    assert do(image, left[0], means["default"]).tolist() == [[[1, 2]], [[20, 30]]]
    assert do(image, left[0], means["image"]).tolist() == [[[10.5, 2]], [[10.5, 30]]]
    assert do(image, left[0], means["region"]).tolist() == image.tolist()


def test_mean_of_what() -> None:
    with pytest.raises(ValueError, match=r"MeanFill\(over='median'\): choose 'channel', 'image' or 'region'"):
        MeanFill("median")  # type: ignore[arg-type]


# --- blur


@pytest.mark.parametrize(
    ("shape", "sigma"), [((9, 11), 1.5), ((9, 11), (0.5, 3)), ((5, 6, 7), 2), ((5, 6, 7), (1, 2, 3))]
)
def test_blur_is_scipy_s_on_the_region(shape: tuple[int, ...], sigma: Any) -> None:
    """Channel by channel; outside the image lies its nearest voxel."""
    image = image_of(shape)
    blurred = np.stack([ndimage.gaussian_filter(channel, sigma, mode="nearest") for channel in image.numpy()])
    regions = some_regions(shape)
    replacement = BlurFill(sigma).prepare(image, regions, 0)
    for region in regions:
        np.testing.assert_array_equal(do(image, region, replacement(region, 0)), slow_do(image, region, blurred))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("fill", [BlurFill(2.0), InpaintFill(), MeanFill(), DonorPatchFill(torch.rand(2, 1, 8, 8))])
def test_fills_answer_in_the_image_s_own_type(fill: Fill, dtype: torch.dtype) -> None:
    """And are as near to the float64 answer as the type can be."""
    image = image_of((8, 8), 1).sigmoid()
    regions = grid_regions((8, 8), 4)
    low = fill.prepare(image.to(dtype), regions, 0)(regions[1], 0)
    high = fill.prepare(image, regions, 0)(regions[1], 0)
    assert isinstance(low, Tensor)
    assert low.dtype == dtype
    torch.testing.assert_close(low.double(), torch.as_tensor(high), rtol=0, atol=4 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("sigma", [0, -1.0, (1, 0)])
def test_a_blur_has_a_width(sigma: Any) -> None:
    with pytest.raises(ValueError, match=r"BlurFill\(sigma=.*\): a blur has a width above 0"):
        BlurFill(sigma)


def test_a_blur_has_one_width_or_one_per_axis() -> None:
    with pytest.raises(ValueError, match=r"BlurFill\(sigma=\[1.0, 2.0, 3.0\]\): give one number, or one for each of 2"):
        BlurFill((1, 2, 3)).prepare(image_of((4, 4)), grid_regions((4, 4), 2), 0)


# --- donors


def numbered_bank(number: int, channels: int, shape: tuple[int, ...]) -> Tensor:
    """A bank whose every value tells donor, channel and place."""
    return torch.arange(float(number * channels * int(np.prod(shape)))).double().reshape(number, channels, *shape)


def slow_donor(bank: list[Tensor], region: Region, seed: int, draw: int, order: str) -> tuple[int, list[int]]:
    """Which donor and from where: by the documented draws, or each in its turn and from the middle."""
    donor = draw_integer(len(bank), seed, region.id, draw) if order == "random" else draw
    rooms = [have - need for have, need in zip(bank[donor].shape[1:], region.shape, strict=True)]
    if order == "every":
        return donor, [room // 2 for room in rooms]
    return donor, [draw_integer(room + 1, seed, region.id, draw, axis + 1) for axis, room in enumerate(rooms)]


@pytest.mark.parametrize("order", ["random", "every"])
@pytest.mark.parametrize("shape", SHAPES)
def test_donors_voxel_by_voxel(shape: tuple[int, ...], order: Any) -> None:
    """Donors of different shapes; all channels from one donor and one place."""
    sizes = [tuple(3 + (k + axis) % 4 for axis in range(len(shape))) for k in range(4)]
    bank = [image_of(size, 3, seed=k) for k, size in enumerate(sizes)]
    image = image_of(shape)
    regions = some_regions(shape)
    replacement = DonorPatchFill(bank, order=order).prepare(image, regions, 3)
    for region in regions:
        for draw in range(4):
            donor, starts = slow_donor(bank, region, 3, draw, order)
            crop = tuple(slice(start, start + size) for start, size in zip(starts, region.shape, strict=True))
            everywhere = np.zeros(tuple(image.shape))
            everywhere[(slice(None), *(slice(*span) for span in region.box))] = bank[donor][(slice(None), *crop)]
            expected = slow_do(image, region, everywhere)
            np.testing.assert_array_equal(do(image, region, replacement(region, draw)), expected)


def test_draws_belong_to_seed_region_and_draw() -> None:
    """In any order, from any subset, from a second preparation: the same; another seed, region or draw: others."""
    image = image_of((12, 12), 2)
    regions = grid_regions((12, 12), 5)
    fill = DonorPatchFill(numbered_bank(6, 2, (9, 8)))
    first = fill.prepare(image, regions, 1)
    table = {(region.id, draw): first(region, draw) for region in regions for draw in range(5)}
    assert len({tuple(patch.flatten().tolist()) for patch in table.values()}) > 35
    again = fill.prepare(image, regions.subset([8, 3]), 1)
    for draw in reversed(range(5)):
        for region in regions.subset([8, 3]):
            assert torch.equal(again(region, draw), table[region.id, draw])
    other = fill.prepare(image, regions, 2)
    assert sum(torch.equal(other(region, draw), table[region.id, draw]) for region in regions for draw in range(5)) < 5


@pytest.mark.parametrize("bank", [numbered_bank(4, 1, (3, 3)), numbered_bank(4, 1, (3, 9))])
def test_enlarged_donors_do_not_depend_on_the_other_regions_either(bank: Tensor) -> None:
    """A border patch must draw the same values with and without the larger patches beside it."""
    image = image_of((10, 10), 1)
    regions = grid_regions((10, 10), 4)
    fill = DonorPatchFill(bank, resize=True)
    of_all = fill.prepare(image, regions, 0)
    for region in regions:
        of_one = fill.prepare(image, regions.subset([region.id]), 0)
        for draw in range(3):
            assert torch.equal(of_all(region, draw), of_one(region, draw))


def test_every_donor_and_every_place_is_drawn() -> None:
    """2 donors, 3 x 4 places: with 2,400 draws each of the 24 is expected 100 times."""
    bank = numbered_bank(2, 1, (4, 6))
    region = Region(0, ((0, 2), (0, 3)))
    image = image_of((5, 5), 1)
    replacement = DonorPatchFill(bank).prepare(image, Regions((5, 5), (region,)), 0)
    corners = Counter(float(replacement(region, draw)[0, 0, 0]) for draw in range(2400))
    assert set(corners) == {float(bank[n, 0, r, c]) for n in range(2) for r in range(3) for c in range(4)}
    assert min(corners.values()) > 55
    assert max(corners.values()) < 150


def test_every_donor_once_and_from_its_middle() -> None:
    bank = numbered_bank(3, 2, (6, 5))
    region = Region(0, ((0, 3), (0, 2)))
    image = image_of((5, 5), 2)
    replacement = DonorPatchFill(bank, order="every").prepare(image, Regions((5, 5), (region,)), 0)
    for draw in range(3):
        assert torch.equal(torch.as_tensor(replacement(region, draw)), bank[draw, :, 1:4, 1:3])
    fill = DonorPatchFill(bank, order="every")
    fill.check_draws((2, 0, 1))
    with pytest.raises(ValueError, match="draw 3 of a bank of 3 donors: order='every' has one draw per donor, draws=3"):
        fill.check_draws((3, 1))
    DonorPatchFill(bank).check_draws((3, 1))


def test_donors_of_the_region_s_own_size_are_used_whole() -> None:
    bank = numbered_bank(3, 2, (3, 2))
    region = Region(4, ((1, 4), (2, 4)), channels=(1, 2))
    replacement = DonorPatchFill(bank).prepare(image_of((5, 5), 2), Regions((5, 5), (region,)), 0)
    for draw in range(5):
        assert torch.equal(torch.as_tensor(replacement(region, draw)), bank[draw_integer(3, 0, 4, draw), 1:])


@pytest.mark.parametrize(("shape", "mode"), [((6, 8), "bilinear"), ((6, 7, 8), "trilinear")])
def test_small_donors_are_enlarged_once(shape: tuple[int, ...], mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the region on the axes on which they are smaller, as torch interpolates; the other axes are cropped."""
    small = (3, 5, 2)[: len(shape)]
    donor = image_of(small, 2)
    region = Region(0, tuple((0, 4) for _ in shape))
    size = [max(4, have) for have in small]
    expected = F.interpolate(donor[None], size=size, mode=mode, align_corners=False)[0]
    calls = []
    original = F.interpolate
    monkeypatch.setattr(F, "interpolate", lambda *args, **kwargs: calls.append(1) or original(*args, **kwargs))
    fill = DonorPatchFill([donor], order="every", resize=True)
    replacement = fill.prepare(image_of(shape, 2), Regions(shape, (region,)), 0)
    crop = tuple(slice((have - 4) // 2, (have - 4) // 2 + 4) for have in size)
    for _ in range(3):
        torch.testing.assert_close(replacement(region, 0), expected[(slice(None), *crop)], rtol=0, atol=0)
    assert len(calls) == 1


@pytest.mark.parametrize(
    "kind", [lambda bank: bank, lambda bank: bank.numpy(), MetaTensor, lambda bank: list(bank.numpy())]
)
def test_banks_of_any_kind(kind: Callable[[Tensor], Any]) -> None:
    bank = numbered_bank(3, 1, (4, 4))
    regions = grid_regions((4, 4), 4)
    fill = DonorPatchFill(kind(bank), order="every")
    assert len(fill) == 3
    answer = fill.prepare(image_of((4, 4), 1), regions, 0)(regions[0], 2)
    assert type(answer) is Tensor
    assert torch.equal(answer, bank[2])


def test_donors_pass_through_a_network_one_by_one() -> None:
    """What a donor is to an image, its activation is to a layer; order and resize go along."""
    bank = numbered_bank(3, 1, (4, 4))
    shapes = []

    def activation(donor: Tensor) -> Tensor:
        shapes.append(tuple(donor.shape))
        return -donor.repeat(1, 2, 1, 1)[..., :2, :2]

    through = DonorPatchFill(bank, order="every", resize=True).through(activation)
    assert shapes == [(1, 1, 4, 4)] * 3
    regions = grid_regions((2, 2), 2)
    answer = through.prepare(image_of((2, 2), 2), regions, 0)(regions[0], 1)
    assert torch.equal(torch.as_tensor(answer), -bank[1, :, :2, :2].repeat(2, 1, 1))
    assert (through.order, through.resize) == ("every", True)


@pytest.mark.parametrize(
    "fill", [ConstantFill(2.0), MeanFill(), BlurFill(), InpaintFill(), CallableFill(lambda o, r, g: o)]
)
def test_other_fills_are_the_same_for_a_layer(fill: Fill) -> None:
    assert fill.through(lambda donor: donor * torch.nan) is fill


@pytest.mark.parametrize(
    ("bank", "message"),
    [
        (torch.rand(2, 1, 4, 4), r"donor 0 has shape \(1, 4, 4\); this image needs \(3, \*, \*\)"),
        (
            [torch.rand(3, 4, 4), torch.rand(3, 4, 4, 4)],
            r"donor 1 has shape \(3, 4, 4, 4\); this image needs \(3, \*, \*\)",
        ),
        (torch.rand(3, 4, 4), r"donor 0 has shape \(4, 4\)"),
        ([torch.rand(3, 4, 4), torch.rand(3, 3, 9)], r"donor 1 of shape \(3, 9\) is smaller than the patch \(4, 4\)"),
    ],
)
def test_a_bank_that_does_not_fit(bank: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DonorPatchFill(bank).prepare(image_of((9, 9)), grid_regions((9, 9), 4), 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bank": []}, "the donor bank is empty"),
        ({"bank": torch.rand(0, 3, 4, 4)}, "the donor bank is empty"),
        (
            {"bank": torch.rand(2, 3, 4, 4), "order": "all"},
            r"DonorPatchFill\(order='all'\): choose 'random' or 'every'",
        ),
        ({"bank": torch.stack([torch.ones(1, 2, 2), torch.full((1, 2, 2), torch.nan)])}, "donor 1 holds NaN"),
    ],
)
def test_a_bank_that_cannot_be(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DonorPatchFill(**options)


# --- callables


def test_a_callable_sees_the_original_the_region_and_its_own_generator() -> None:
    image = image_of((6, 7), 2)
    kept = image.clone()
    regions = Regions((6, 7), (Region(2, ((1, 3), (0, 4))), Region(9, ((4, 6), (2, 7)), channels=(0, 1))))
    seen = []

    def shuffled(original: Tensor, region: Region, generator: np.random.Generator) -> Tensor:
        seen.append((original.clone(), region))
        noise = torch.from_numpy(generator.random(original.shape))
        return original.mul_(0).add_(noise)  # what it does to its copy stays its own

    replacement = CallableFill(shuffled).prepare(image, regions, 5)
    for region in (regions[1], regions[0], regions[1]):
        for draw in (3, 0):
            expected = draw_generator(5, region.id, draw).random((len(kept[region.index]), *region.shape))
            np.testing.assert_array_equal(replacement(region, draw), expected)
            assert torch.equal(seen[-1][0], kept[region.index])
            assert seen[-1][1] is region
    assert torch.equal(image, kept)


@pytest.mark.parametrize(
    "answer", [2.0, 2, np.float32(2), np.full((2, 3), 2), torch.tensor(2), torch.full((1, 2, 3), 2.0)]
)
def test_a_callable_may_answer_with_anything_that_broadcasts(answer: Any) -> None:
    image = image_of((4, 4), 2)
    for mask in (None, torch.tensor([[True, False, True], [False, True, True]])):
        region = Region(0, ((0, 2), (1, 4)), mask)
        replacement = CallableFill(lambda *_: answer).prepare(image, Regions((4, 4), (region,)), 0)
        assert written(image, region, replacement(region, 0)).unique().tolist() == [2.0]


def test_as_fill() -> None:
    image = image_of((4, 4), 1)
    regions = grid_regions((4, 4), 2)
    fill = BlurFill(1.0)
    assert as_fill(fill) is fill
    for number in (0.1, 2, np.float32(0.5), np.int64(3)):
        assert as_fill(number).prepare(image, regions, 0)(regions[0], 0) == float(number)
    negated = as_fill(lambda original, region, generator: -original)
    assert isinstance(negated, CallableFill)
    assert torch.equal(torch.as_tensor(negated.prepare(image, regions, 0)(regions[3], 0)), -image[:, 2:, 2:])
    with pytest.raises(TypeError, match="str is no fill: give a Fill, a number, or a function"):
        as_fill("mean")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fill",
    [
        ConstantFill([1.0, 2.0]),
        MeanFill(),
        MeanFill("region"),
        BlurFill(1.0),
        DonorPatchFill(torch.rand(3, 2, 9, 9)),
        InpaintFill(),
    ],
)
def test_preparing_leaves_the_image_alone(fill: Fill) -> None:
    image = image_of((9, 9), 2).float()
    kept = image.clone()
    regions = mask_regions(torch.rand(4, 9, 9, generator=torch.Generator().manual_seed(0)) < 0.2)
    replacement = fill.prepare(image, regions, 0)
    for region in regions:
        do(image, region, replacement(region, 0))
    assert torch.equal(image, kept)


def test_how_many_draws_there_are() -> None:
    """One where nothing is left to chance, one per donor where each has its turn, and no end where one is drawn."""
    bank = numbered_bank(3, 2, (4, 4))
    fixed = (ConstantFill(), MeanFill(), BlurFill(), InpaintFill(texture=0))
    assert [fill.distinct_draws for fill in fixed] == [1] * 4
    assert all(fill.exhaustive() is fill for fill in fixed)
    drawn, every = DonorPatchFill(bank, resize=True), DonorPatchFill(bank, order="every")
    assert (drawn.distinct_draws, every.distinct_draws) == (None, 3)
    assert (drawn.exhaustive().order, drawn.exhaustive().resize, len(drawn.exhaustive())) == ("every", True, 3)
    assert every.exhaustive().distinct_draws == 3
    unknown = CallableFill(lambda original, region, generator: generator.random())
    assert unknown.distinct_draws is InpaintFill().distinct_draws is None
    with pytest.raises(ValueError, match="CallableFill draws from no finite set"):
        unknown.exhaustive()
