# SPDX-License-Identifier: Apache-2.0
"""How far a layer reaches: for each local operation, which outputs an input box can change and which inputs an
output box reads, and the operation itself on a crop.

A rule works on boxes over the spatial axes. ``reach`` maps an input box to the outputs that may change, ``need`` an
output box to the inputs that it reads; ``need`` may leave the image, where the operation pads. Operations without a
rule are
global: they read all and change all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_causal.intervene.regions import Box

__all__ = ["Interpolation", "Pointwise", "Rule", "Shift", "TransposedWindow", "Window"]


def ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


class Rule:
    """The geometry of one local operation.

    Attributes:
        pad_value: what stands outside the image where ``need`` leaves it. Crops come padded: ``call`` does not pad
            again.
    """

    pad_value: float = 0.0

    def reach(self, box: Box, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Box:
        raise NotImplementedError

    def need(self, box: Box, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Box:
        raise NotImplementedError

    def compute(
        self,
        call: Callable[..., Tensor],
        crops: Sequence[Tensor],
        out_boxes: Sequence[Box],
        in_boxes: Sequence[Sequence[Box]],
    ) -> Tensor:
        """The operation (``call``) on crops of its operands; ``in_boxes[operand][item]`` says where they lie."""
        return call(*crops)


@dataclass(frozen=True)
class Pointwise(Rule):
    """Every output voxel reads the same voxel of each operand; an operand of length 1 on an axis is read everywhere."""

    def reach(self, box: Box, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Box:
        return tuple(
            (0, out) if length == 1 else bounds for bounds, length, out in zip(box, in_shape, out_shape, strict=True)
        )

    def need(self, box: Box, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Box:
        return tuple((0, 1) if length == 1 else bounds for bounds, length in zip(box, in_shape, strict=True))


@dataclass(frozen=True)
class Shift(Rule):
    """Constant padding and cropping: the image moves by ``offset`` voxels per axis."""

    offset: tuple[int, ...]
    pad_value: float = 0.0

    def reach(self, box: Box, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Box:
        return tuple((start + by, stop + by) for (start, stop), by in zip(box, self.offset, strict=True))

    def need(self, box: Box, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Box:
        return tuple((start - by, stop - by) for (start, stop), by in zip(box, self.offset, strict=True))

    def compute(
        self,
        call: Callable[..., Tensor],
        crops: Sequence[Tensor],
        out_boxes: Sequence[Box],
        in_boxes: Sequence[Sequence[Box]],
    ) -> Tensor:
        return crops[0]


@dataclass(frozen=True)
class Window(Rule):
    """Convolution and pooling: output ``o`` reads inputs ``o * stride - padding + dilation * (0 .. kernel - 1)``."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    pad_value: float = 0.0

    def reach(self, box: Box, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Box:
        return tuple(
            (ceil_div(start + p - d * (k - 1), s), (stop - 1 + p) // s + 1)
            for (start, stop), k, s, p, d in zip(
                box, self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )

    def need(self, box: Box, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Box:
        return tuple(
            (start * s - p, (stop - 1) * s - p + d * (k - 1) + 1)
            for (start, stop), k, s, p, d in zip(
                box, self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )


@dataclass(frozen=True)
class TransposedWindow(Rule):
    """Transposed convolution: input ``i`` writes to outputs ``i * stride - padding + dilation * (0 .. kernel - 1)``."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    def reach(self, box: Box, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Box:
        return tuple(
            (start * s - p, (stop - 1) * s - p + d * (k - 1) + 1)
            for (start, stop), k, s, p, d in zip(
                box, self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )

    def need(self, box: Box, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Box:
        axes = []
        for (start, stop), k, s, p, d in zip(box, self.kernel, self.stride, self.padding, self.dilation, strict=True):
            span = d * (k - 1)
            # All inputs that write into the box, and enough beyond the image (zeros) that what they write covers it.
            first = min(ceil_div(start + p - span, s), (start + p) // s)
            last = max((stop - 1 + p) // s + 1, ceil_div(stop + p - span - 1, s) + 1)
            axes.append((first, last))
        return tuple(axes)

    def compute(
        self,
        call: Callable[..., Tensor],
        crops: Sequence[Tensor],
        out_boxes: Sequence[Box],
        in_boxes: Sequence[Sequence[Box]],
    ) -> Tensor:
        written = call(*crops)
        views = []
        for item, (out_box, in_box) in enumerate(zip(out_boxes, in_boxes[0], strict=True)):
            starts = [
                out[0] - (inside[0] * s - p)
                for out, inside, s, p in zip(out_box, in_box, self.stride, self.padding, strict=True)
            ]
            place = (slice(a, a + stop - start) for a, (start, stop) in zip(starts, out_box, strict=True))
            views.append(written[(slice(item, item + 1), slice(None), *place)])
        return views[0] if len(views) == 1 else torch.cat(views)


@dataclass(frozen=True)
class Interpolation(Rule):
    """Resampling axis by axis: output = matrix x input, each row of a matrix with a short support. Up-sampling is
    one, and so is padding by what the image holds (replicate, reflect, circular)."""

    matrices: tuple[Tensor | None, ...]
    """Per axis ``(out, in)``; ``None``: the axis stays as it is."""
    first: tuple[tuple[int, ...], ...]
    last: tuple[tuple[int, ...], ...]
    """Per axis and output the first and last input that it reads."""

    @classmethod
    def of(cls, matrices: Sequence[Tensor]) -> Interpolation:
        """The rule of a separable interpolation, from its matrices ``(out, in)`` per axis."""
        first, last = [], []
        for matrix in matrices:
            used = matrix != 0
            position = torch.arange(matrix.shape[1], device=matrix.device)
            first.append(tuple(torch.where(used, position, matrix.shape[1]).amin(1).tolist()))
            last.append(tuple(torch.where(used, position, -1).amax(1).tolist()))
        same = [
            matrix.shape[0] == matrix.shape[1] and bool((matrix == torch.eye(len(matrix)).to(matrix)).all())
            for matrix in matrices
        ]
        changing = tuple(None if stays else matrix for matrix, stays in zip(matrices, same, strict=True))
        return cls(changing, tuple(first), tuple(last))

    def reach(self, box: Box, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Box:
        axes = []
        for (start, stop), firsts, lasts in zip(box, self.first, self.last, strict=True):
            reached = [
                o for o, (low, high) in enumerate(zip(firsts, lasts, strict=True)) if low < stop and high >= start
            ]
            axes.append((reached[0], reached[-1] + 1) if reached else (0, 0))
        return tuple(axes)

    def need(self, box: Box, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Box:
        return tuple(
            (min(firsts[start:stop]), max(lasts[start:stop]) + 1)
            for (start, stop), firsts, lasts in zip(box, self.first, self.last, strict=True)
        )

    def compute(
        self,
        call: Callable[..., Tensor],
        crops: Sequence[Tensor],
        out_boxes: Sequence[Box],
        in_boxes: Sequence[Sequence[Box]],
    ) -> Tensor:
        result = crops[0]
        for axis, matrix in enumerate(self.matrices):
            if matrix is None:
                continue
            parts = [
                matrix[out[axis][0] : out[axis][1], inside[axis][0] : inside[axis][1]]
                for out, inside in zip(out_boxes, in_boxes[0], strict=True)
            ]
            result = _along(result, parts, axis + 2)
        return result


def _along(values: Tensor, matrices: Sequence[Tensor], dim: int) -> Tensor:
    """Multiply each item of ``values`` along ``dim`` by its own matrix ``(out, in)``."""
    shared = all(matrix.data_ptr() == matrices[0].data_ptr() for matrix in matrices[1:])
    moved = values.movedim(dim, -1)
    if shared:
        return F.linear(moved, matrices[0]).movedim(-1, dim)
    flat = moved.flatten(1, -2)
    return torch.bmm(flat, torch.stack(list(matrices)).transpose(1, 2)).unflatten(1, moved.shape[1:-1]).movedim(-1, dim)


def whole(shape: Sequence[int]) -> Box:
    """The box of everything."""
    return tuple((0, int(length)) for length in shape)


def clip(box: Box, shape: Sequence[int]) -> Box:
    """The part of a box inside the image; with a start at or beyond its stop where there is none."""
    return tuple((max(0, start), min(stop, int(length))) for (start, stop), length in zip(box, shape, strict=True))


def intersect(first: Box, second: Box) -> Box | None:
    """What two boxes share; ``None`` for nothing."""
    box = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(first, second, strict=True))
    return None if any(start >= stop for start, stop in box) else box


def union(first: Box | None, second: Box) -> Box:
    """The smallest box around two."""
    if first is None:
        return second
    return tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(first, second, strict=True))


def voxels(box: Box) -> int:
    count = 1
    for start, stop in box:
        count *= stop - start
    return count


def shape_of(box: Box) -> tuple[int, ...]:
    """The lengths of a box."""
    return tuple(stop - start for start, stop in box)
