# SPDX-License-Identifier: Apache-2.0
"""Every rule against the dependencies that the operation really has, found by sending unit vectors through it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from monai_causal.intervene.execution.geometry import (
    Interpolation,
    Pointwise,
    Rule,
    Shift,
    TransposedWindow,
    Window,
    clip,
    intersect,
    shape_of,
    union,
    voxels,
    whole,
)

Operation = Callable[[Tensor], Tensor]
Span = tuple[int, int]


def dependencies(operation: Operation, length: int) -> Tensor:
    """Which outputs depend on which inputs of a linear or maximum operation without cancellation: ``(out, in)``."""
    return operation(torch.eye(length, dtype=torch.float64)[:, None])[:, 0].T != 0


def spans(length: int) -> list[Span]:
    return [(start, stop) for start in range(length) for stop in range(start + 1, length + 1)]


def range_of(used: Tensor) -> Span | None:
    """The first and the last true place, half-open."""
    places = used.nonzero().flatten().tolist()
    return (places[0], places[-1] + 1) if places else None


def covers(outer: Span, inner: Span | None) -> bool:
    return inner is None or (outer[0] <= inner[0] and inner[1] <= outer[1])


def inside(span: Span, length: int) -> Span | None:
    (box,) = (intersect((span,), ((0, length),)),)
    return box[0] if box else None


def check_on_a_line(
    rule: Rule, operation: Operation, length: int, partial: Operation, *, tight_reach: bool, tight_need: bool
) -> None:
    """``reach`` and ``need`` of every span against the truth, and ``compute`` on every span against the whole."""
    depends = dependencies(operation, length)
    n_out = len(depends)
    image = torch.rand(1, 2, length, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.5
    expected = torch.cat([operation(channel[:, None]) for channel in image.movedim(1, 0)], 1)
    for span in spans(length):
        (reach,) = rule.reach((span,), (length,), (n_out,))
        truth = range_of(depends[:, slice(*span)].any(1))
        assert covers(reach, truth), span
        if tight_reach:
            assert inside(reach, n_out) == truth, span
    for span in spans(n_out):
        (need,) = rule.need((span,), (length,), (n_out,))
        truth = range_of(depends[slice(*span)].any(0))
        assert covers(need, truth), span
        if tight_need:
            assert inside(need, length) == truth, span
        crop = torch.full((2, 2, need[1] - need[0]), rule.pad_value, dtype=torch.float64)
        part = inside(need, length)
        if part:
            crop[:, :, part[0] - need[0] : part[1] - need[0]] = image[:, :, slice(*part)]
        # Two items, so that what is cut out of a result is cut out item by item.
        found = rule.compute(partial, [crop], [(span,)] * 2, [[(need,)] * 2])
        assert found.shape == (2, 2, span[1] - span[0])
        assert float((found - expected[:, :, slice(*span)]).abs().max()) < 1e-12, span


def per_channel(operation: Operation) -> Operation:
    return lambda crop: torch.cat([operation(crop[:, channel : channel + 1]) for channel in range(crop.shape[1])], 1)


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_convolution(kernel: int, stride: int, dilation: int) -> None:
    weight = torch.rand(1, 1, kernel, dtype=torch.float64) + 0.1
    for padding, length in product((0, 1, 4), (7, 10)):
        if length + 2 * padding <= dilation * (kernel - 1):
            continue
        check_on_a_line(
            Window((kernel,), (stride,), (padding,), (dilation,)),
            lambda x, padding=padding: F.conv1d(x, weight, None, stride, padding, dilation),
            length,
            per_channel(lambda crop: F.conv1d(crop, weight, None, stride, 0, dilation)),
            # Where taps or strides leave gaps, a box is a coarser answer than a set.
            tight_reach=dilation == 1 and kernel >= stride,
            tight_need=(dilation == 1 and kernel >= stride) or padding == 0,
        )


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_maximum_pooling(kernel: int, stride: int, ceil_mode: bool) -> None:
    for padding, length, dilation in product(range(kernel // 2 + 1), (7, 8), (1, 2)):
        check_on_a_line(
            Window((kernel,), (stride,), (padding,), (dilation,), pad_value=float("-inf")),
            lambda x, p=padding, d=dilation: F.max_pool1d(x, kernel, stride, p, d, ceil_mode),
            length,
            lambda crop, d=dilation: F.max_pool1d(crop, kernel, stride, 0, d),
            tight_reach=dilation == 1 and kernel >= stride,
            tight_need=dilation == 1 and kernel >= stride,
        )


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_average_pooling(kernel: int, stride: int) -> None:
    for padding, length in product(range(kernel // 2 + 1), (7, 8)):
        check_on_a_line(
            Window((kernel,), (stride,), (padding,), (1,)),
            lambda x, p=padding: F.avg_pool1d(x, kernel, stride, p),
            length,
            lambda crop: F.avg_pool1d(crop, kernel, stride),
            tight_reach=kernel >= stride,
            tight_need=kernel >= stride,
        )


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_transposed_convolution(kernel: int, stride: int, dilation: int) -> None:
    weight = torch.rand(1, 1, kernel, dtype=torch.float64) + 0.1
    for padding, output_padding, length in product((0, 1, 2), range(max(stride, dilation)), (3, 5)):
        n_out = (length - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1
        if n_out < 1:
            continue
        rule = TransposedWindow((kernel,), (stride,), (padding,), (dilation,))
        check_on_a_line(
            rule,
            lambda x, p=padding, o=output_padding: F.conv_transpose1d(x, weight, None, stride, p, o, 1, dilation),
            length,
            per_channel(lambda crop: F.conv_transpose1d(crop, weight, None, stride, 0, 0, 1, dilation)),
            # Where the padding cuts off what an input writes at its taps, a box still counts the gaps between them.
            tight_reach=padding == 0 or (dilation == 1 and kernel >= stride),
            tight_need=False,
        )
        for start, stop in spans(n_out):
            ((first, last),) = rule.need(((start, stop),), (length,), (n_out,))
            # Enough to cover the box, and not more than the inputs whose written span can meet it.
            assert last - first <= (stop - start - 1 + max(dilation * (kernel - 1), stride - 1)) // stride + 2


def matrix_of(operation: Operation, length: int) -> Tensor:
    return operation(torch.eye(length, dtype=torch.float64)[None])[0].T.contiguous()


INTERPOLATIONS = {
    "linear x2": lambda x: F.interpolate(x, scale_factor=2.0, mode="linear"),
    "linear x2 corners": lambda x: F.interpolate(x, scale_factor=2.0, mode="linear", align_corners=True),
    "linear to 13": lambda x: F.interpolate(x, size=13, mode="linear"),
    "linear down": lambda x: F.interpolate(x, size=3, mode="linear"),
    "nearest x3": lambda x: F.interpolate(x, scale_factor=3.0, mode="nearest"),
    "nearest to 4": lambda x: F.interpolate(x, size=4, mode="nearest"),
    "reflect": lambda x: F.pad(x, (2, 3), mode="reflect"),
    "replicate": lambda x: F.pad(x, (3, 1), mode="replicate"),
    "circular": lambda x: F.pad(x, (1, 2), mode="circular"),
    "stays": lambda x: x,
}


@pytest.mark.parametrize("length", [5, 6])
@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_interpolation(name: str, length: int) -> None:
    operation = INTERPOLATIONS[name]
    rule = Interpolation.of([matrix_of(operation, length)])
    assert (rule.matrices == (None,)) is (name == "stays")

    def partial(crop: Tensor) -> Tensor:
        raise AssertionError("an interpolation is computed by its matrices")

    check_on_a_line(rule, operation, length, partial, tight_reach=name != "circular", tight_need=True)


def test_interpolation_of_items_at_different_places() -> None:
    operation = INTERPOLATIONS["linear to 13"]
    rule = Interpolation.of([matrix_of(operation, 6), matrix_of(lambda x: x, 4)])
    image = torch.rand(2, 3, 6, 4, dtype=torch.float64)
    expected = torch.stack([operation(column) for column in image.unbind(3)], 3)
    outs = [((2, 6), (0, 3)), ((7, 11), (1, 4))]
    needs = [rule.need(out, (6, 4), (13, 4)) for out in outs]
    assert shape_of(needs[0]) == shape_of(needs[1])
    crops = [image[item : item + 1, :, slice(*box[0]), slice(*box[1])] for item, box in enumerate(needs)]
    found = rule.compute(lambda crop: crop, [torch.cat(crops)], outs, [needs])
    for item, box in enumerate(outs):
        torch.testing.assert_close(found[item], expected[item][:, slice(*box[0]), slice(*box[1])], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (0, 3), (-2, 0), (-1, -3), (3, -2)])
def test_padding_and_cropping_by_a_constant(before: int, after: int) -> None:
    rule = Shift((before,), pad_value=0.25)
    image = torch.rand(1, 1, 8, dtype=torch.float64) + 1
    expected = F.pad(image, (before, after), value=0.25)
    depends = F.pad(torch.eye(8)[:, None], (before, after))[:, 0].T != 0
    for span in spans(8):
        (reach,) = rule.reach((span,), (8,), (len(depends),))
        assert inside(reach, len(depends)) == range_of(depends[:, slice(*span)].any(1))
    for span in spans(len(depends)):
        (need,) = rule.need((span,), (8,), (len(depends),))
        assert inside(need, 8) == range_of(depends[slice(*span)].any(0))
        crop = torch.full((1, 1, need[1] - need[0]), rule.pad_value, dtype=torch.float64)
        part = inside(need, 8)
        if part:
            crop[:, :, part[0] - need[0] : part[1] - need[0]] = image[:, :, slice(*part)]
        assert torch.equal(
            rule.compute(lambda crop: crop, [crop], [(span,)], [[(need,)]]), expected[:, :, slice(*span)]
        )


def test_point_wise_operands_of_length_one_are_read_and_reach_everywhere() -> None:
    rule = Pointwise()
    assert rule.reach(((2, 4), (0, 1)), (6, 1), (6, 5)) == ((2, 4), (0, 5))
    assert rule.need(((2, 4), (3, 5)), (6, 1), (6, 5)) == ((2, 4), (0, 1))
    assert rule.reach(((2, 4), (1, 3)), (6, 5), (6, 5)) == ((2, 4), (1, 3))
    # where the result has length one as well, it is that one
    assert rule.reach(((0, 1), (1, 3)), (1, 5), (1, 5)) == ((0, 1), (1, 3))


def test_every_axis_goes_by_its_own_numbers() -> None:
    box = ((2, 4), (5, 6), (1, 3))
    conv = Window((3, 1, 5), (1, 2, 3), (1, 0, 2), (2, 1, 1))
    assert conv.need(box, (9, 9, 9), (9, 5, 3)) == ((1, 7), (10, 11), (1, 9))
    assert conv.reach(((3, 5), (4, 6), (6, 7)), (9, 9, 9), (9, 5, 3)) == ((0, 6), (2, 3), (2, 3))
    up = TransposedWindow((2, 3, 1), (2, 1, 2), (0, 1, 0), (1, 2, 1))
    assert up.reach(box, (9, 9, 9), (18, 9, 18)) == ((4, 8), (4, 9), (2, 5))
    assert Shift((1, -2, 0)).reach(box, (9, 9, 9), (9, 9, 9)) == ((3, 5), (3, 4), (1, 3))
    assert Shift((1, -2, 0)).need(box, (9, 9, 9), (9, 9, 9)) == ((1, 3), (7, 8), (1, 3))


def test_boxes() -> None:
    assert whole((3, 4)) == ((0, 3), (0, 4))
    assert clip(((-2, 3), (1, 9)), (5, 6)) == ((0, 3), (1, 6))
    assert intersect(((0, 3), (2, 6)), ((1, 5), (0, 3))) == ((1, 3), (2, 3))
    assert intersect(((0, 3), (2, 6)), ((3, 5), (0, 3))) is None
    assert intersect(((0, 3), (4, 2)), ((0, 3), (0, 9))) is None
    assert union(None, ((1, 2),)) == ((1, 2),)
    assert union(((1, 2), (3, 4)), ((0, 1), (6, 8))) == ((0, 2), (3, 8))
    assert voxels(((1, 4), (2, 3), (0, 5))) == 15
    assert shape_of(((1, 4), (2, 3))) == (3, 1)
