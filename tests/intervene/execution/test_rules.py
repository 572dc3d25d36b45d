# SPDX-License-Identifier: Apache-2.0
"""Operations as networks really call them: each is found local or global as it is, and a local one computed on a crop
is the crop of the whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_causal.intervene.execution.geometry import clip, intersect, shape_of, whole
from monai_causal.intervene.execution.rules import Value
from monai_causal.intervene.execution.trace import Step, Trace, trace
from monai_causal.intervene.regions import Box


class Network(nn.Module):
    """A function of an image and of some parameters."""

    def __init__(self, function: Callable[..., Tensor], *parameters: Tensor) -> None:
        super().__init__()
        self.function = function
        self.values = nn.ParameterList(nn.Parameter(value) for value in parameters)

    def forward(self, image: Tensor) -> Tensor:
        return self.function(image, *self.values)


def of(function: Callable[..., Tensor], *parameters: Tensor) -> nn.Module:
    return Network(function, *parameters)


def norm(channels: int) -> nn.Module:
    made = nn.BatchNorm2d(channels)
    made.running_mean.uniform_(-1, 1)
    made.running_var.uniform_(0.5, 2)
    return made


LINE, PLANE, SPACE = (1, 2, 11), (1, 2, 9, 7), (1, 2, 6, 5, 7)
ODD = (1, 2, 7, 9)

LOCAL: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "conv": (lambda: nn.Conv2d(2, 3, 3, padding=1), PLANE),
    "conv without padding": (lambda: nn.Conv2d(2, 3, (3, 2)), PLANE),
    "conv, everything uneven": (lambda: nn.Conv2d(2, 4, (3, 4), (2, 1), (1, 3), (2, 1), groups=2), PLANE),
    "conv same": (lambda: nn.Conv2d(2, 1, 3, padding="same"), PLANE),
    "conv same, even kernel": (lambda: nn.Conv2d(2, 1, (4, 2), padding="same", dilation=(1, 3)), PLANE),
    "conv valid": (lambda: nn.Conv2d(2, 1, 3, padding="valid"), PLANE),
    "conv stride 3 past the end": (lambda: nn.Conv2d(2, 1, 2, stride=3), PLANE),
    "conv reflect": (lambda: nn.Conv2d(2, 1, 3, padding=1, padding_mode="reflect"), PLANE),
    "conv replicate": (lambda: nn.Conv2d(2, 1, 5, padding=2, padding_mode="replicate"), PLANE),
    "conv circular": (lambda: nn.Conv2d(2, 1, 3, padding=1, padding_mode="circular"), PLANE),
    "conv 1-D": (lambda: nn.Conv1d(2, 3, 3, 2, 1), LINE),
    "conv 3-D": (lambda: nn.Conv3d(2, 3, (3, 1, 5), (1, 2, 1), (1, 0, 2)), SPACE),
    "conv 3-D reflect": (lambda: nn.Conv3d(2, 3, 3, padding=(2, 1, 0), padding_mode="reflect"), SPACE),
    "transposed conv": (lambda: nn.ConvTranspose2d(2, 3, 2, 2), PLANE),
    "transposed conv, everything": (lambda: nn.ConvTranspose2d(2, 4, (3, 4), (2, 3), (1, 2), (1, 2), 2), PLANE),
    "transposed conv, dilation": (lambda: nn.ConvTranspose2d(2, 1, 3, 2, 2, 1, dilation=(2, 3)), PLANE),
    "transposed conv, kernel below stride": (lambda: nn.ConvTranspose2d(2, 1, 2, 3, 0, 2), PLANE),
    "transposed conv 1-D": (lambda: nn.ConvTranspose1d(2, 1, 3, 2, 1, 1), LINE),
    "transposed conv 3-D": (lambda: nn.ConvTranspose3d(2, 1, 3, (2, 1, 3), 1, (1, 0, 2)), SPACE),
    "max pool": (lambda: nn.MaxPool2d(2), PLANE),
    "max pool, everything": (lambda: nn.MaxPool2d((3, 2), (2, 1), (1, 0), (2, 1)), PLANE),
    "max pool ceil": (lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True), (1, 2, 8, 6)),
    "max pool ceil without padding": (lambda: nn.MaxPool2d(2, ceil_mode=True), PLANE),
    "max pool 1-D": (lambda: nn.MaxPool1d(3, 2, 1), LINE),
    "max pool 3-D": (lambda: nn.MaxPool3d(3, (1, 2, 3), 1, ceil_mode=True), SPACE),
    "average pool": (lambda: nn.AvgPool2d((3, 2), padding=(1, 0)), PLANE),
    "average pool, own divisor": (lambda: nn.AvgPool2d(3, 1, 1, divisor_override=5), PLANE),
    "average pool not counting no padding": (lambda: nn.AvgPool2d(2, count_include_pad=False), PLANE),
    "average pool 1-D": (lambda: nn.AvgPool1d(3, 2, 1), LINE),
    "average pool 3-D": (lambda: nn.AvgPool3d(2, (1, 2, 2), (1, 0, 1)), SPACE),
    "nearest x2": (lambda: nn.Upsample(scale_factor=2), PLANE),
    "nearest x1.7": (lambda: nn.Upsample(scale_factor=1.7), PLANE),
    "nearest to a size": (lambda: nn.Upsample(size=(13, 7)), PLANE),
    "nearest-exact": (lambda: nn.Upsample(size=(13, 5), mode="nearest-exact"), PLANE),
    "nearest 1-D": (lambda: nn.Upsample(scale_factor=2.5), LINE),
    "nearest 3-D": (lambda: nn.Upsample(scale_factor=(2, 1, 1.5)), SPACE),
    "linear 1-D": (lambda: nn.Upsample(scale_factor=1.6, mode="linear"), LINE),
    "bilinear x2": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), PLANE),
    "bilinear corners": (lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), PLANE),
    "bilinear x1.7": (lambda: nn.Upsample(scale_factor=1.7, mode="bilinear"), PLANE),
    "bilinear x1.7, recomputed": (
        lambda: of(lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear", recompute_scale_factor=True)),
        PLANE,
    ),
    "bilinear to a size": (lambda: nn.Upsample(size=(5, 15), mode="bilinear"), PLANE),
    "bilinear down": (lambda: nn.Upsample(scale_factor=0.4, mode="bilinear"), PLANE),
    "bicubic x2": (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), PLANE),
    "bicubic x1.7": (lambda: nn.Upsample(scale_factor=(1.7, 2.3), mode="bicubic"), PLANE),
    "bicubic corners to a size": (lambda: nn.Upsample(size=(14, 10), mode="bicubic", align_corners=True), PLANE),
    "trilinear": (lambda: nn.Upsample(scale_factor=(2, 1.5, 1), mode="trilinear"), SPACE),
    "trilinear corners": (lambda: nn.Upsample(size=(9, 5, 3), mode="trilinear", align_corners=True), SPACE),
    "pad": (lambda: of(lambda x: F.pad(x, (1, 2, 0, 3), value=0.5)), PLANE),
    "pad the last axis": (lambda: of(lambda x: F.pad(x, (1, 2))), PLANE),
    "pad by less than nothing": (lambda: of(lambda x: F.pad(x, (-1, 2, 3, -2))), PLANE),
    "pad channels": (lambda: of(lambda x: F.pad(x, (0, 0, 0, 0, 1, 2))), PLANE),
    "pad by nothing": (lambda: of(lambda x: F.pad(x, (0, 0, 0, 0), mode="replicate") * 2), PLANE),
    "reflection": (lambda: nn.ReflectionPad2d((3, 1, 0, 2)), PLANE),
    "replication": (lambda: nn.ReplicationPad3d((1, 4, 2, 0, 0, 1)), SPACE),
    "circular": (lambda: nn.CircularPad2d((2, 1, 3, 0)), PLANE),
    "crop": (lambda: of(lambda x: x[:, :, 2:-1, :-3]), PLANE),
    "crop beyond": (lambda: of(lambda x: x[:, :, -4:100]), PLANE),
    "some channels": (lambda: of(lambda x: x[:, 1:]), PLANE),
    "every other channel": (lambda: of(lambda x: x[:, ::2]), (1, 5, 6, 5)),
    "batch norm": (lambda: norm(2), PLANE),
    "folded batch norm": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), norm(4)), PLANE),
    "folded into a transposed conv": (lambda: nn.Sequential(nn.ConvTranspose2d(2, 3, 3, 2), norm(3)), PLANE),
    "transposed conv of groups, norm": (lambda: nn.Sequential(nn.ConvTranspose2d(2, 4, 3, groups=2), norm(4)), PLANE),
    "prelu": (lambda: nn.PReLU(2), PLANE),
    "one prelu": (lambda: nn.PReLU(), PLANE),
    "add": (lambda: of(lambda x: x + 2 * x.sigmoid()), PLANE),
    "add with a factor": (lambda: of(lambda x: torch.add(x, x.tanh(), alpha=-3)), PLANE),
    "subtract from": (lambda: of(lambda x: 1 - x), PLANE),
    "a parameter per channel": (lambda: of(lambda x, a: x * a, torch.rand(2, 1, 1)), PLANE),
    "a parameter": (lambda: of(lambda x, a: x * a, torch.rand(1)), PLANE),
    "a parameter without axes": (lambda: of(lambda x, a: a / x, torch.rand(())), PLANE),
    "a position embedding": (lambda: of(lambda x, a: (x + a).relu(), torch.rand(9, 7)), PLANE),
    "a parameter along one axis": (lambda: of(lambda x, a: x - a, torch.rand(1, 1, 9, 1)), PLANE),
    "cat": (lambda: of(lambda x: torch.cat([x, x.relu(), x], 1)), PLANE),
    "cat with a constant": (lambda: of(lambda x, a: torch.cat([a, x], 1), torch.rand(1, 1, 9, 7)), PLANE),
    "cat from behind": (lambda: of(lambda x: torch.cat([x, -x], -3)), PLANE),
    "repeat": (lambda: of(lambda x: x.repeat(1, 3, 1, 1)), PLANE),
    "softmax over channels": (lambda: nn.Softmax(1), PLANE),
    "log-softmax over channels": (lambda: of(lambda x: F.log_softmax(x, -3)), PLANE),
    "chunks of channels": (lambda: of(lambda x: torch.mul(*x.chunk(2, 1))), (1, 4, 6, 5)),
    "split of channels": (lambda: of(lambda x: torch.cat(x.split([1, 3], 1)[::-1], 1)), (1, 4, 6, 5)),
    "where": (lambda: of(lambda x: torch.where(x > 0.2, x, x * x)), PLANE),
    "clamp": (lambda: of(lambda x: x.clamp(-0.3, 0.5)), PLANE),
    "dropout, asleep": (lambda: nn.Sequential(nn.Dropout2d(0.5), nn.ReLU()), PLANE),
    "activations": (
        lambda: of(lambda x: F.gelu(F.mish(F.silu(F.elu(F.softplus(F.hardswish(F.leaky_relu(x, 0.1)))))))),
        PLANE,
    ),
}

GLOBAL: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "average pool, ceil": (lambda: nn.AvgPool2d(2, ceil_mode=True), PLANE, "avg_pool2d"),
    "average pool not counting padding": (lambda: nn.AvgPool2d(3, 2, 1, False, False), PLANE, "avg_pool2d"),
    "global pool": (lambda: of(lambda x: x * F.adaptive_avg_pool2d(x, 1)), PLANE, "adaptive_avg_pool2d"),
    "instance norm": (lambda: nn.InstanceNorm2d(2), PLANE, "instance_norm"),
    "instance norm of a dataset": (lambda: nn.InstanceNorm2d(2, track_running_stats=True), PLANE, "instance_norm"),
    "group norm": (lambda: nn.GroupNorm(1, 2), PLANE, "group_norm"),
    "batch norm of the image": (
        lambda: nn.BatchNorm2d(2, track_running_stats=False),
        PLANE,
        "_native_batch_norm_legit",
    ),
    "layer norm": (lambda: nn.LayerNorm((9, 7)), PLANE, "layer_norm"),
    "softmax over an axis": (lambda: nn.Softmax(2), PLANE, "softmax"),
    "cat along an axis": (lambda: of(lambda x: torch.cat([x, x], 2)), PLANE, "cat"),
    "chunks of an axis": (lambda: of(lambda x: torch.cat(x.chunk(3, 2), 1)), PLANE, "split"),
    "every other voxel": (lambda: of(lambda x: x[:, :, ::2]), PLANE, "slice"),
    "repeat an axis": (lambda: of(lambda x: x.repeat(1, 1, 2, 1)), PLANE, "repeat"),
    "pad three axes": (lambda: of(lambda x: F.pad(x, (1, 1, 1, 1, 1, 0))), PLANE, "pad"),
    "flip": (lambda: of(lambda x: x.flip(2)), PLANE, "flip"),
    "roll": (lambda: of(lambda x: x.roll(2, 3)), PLANE, "roll"),
    "transpose": (lambda: of(lambda x: x.transpose(2, 3)), PLANE, "transpose"),
    "mean": (lambda: of(lambda x: x - x.mean((2, 3), keepdim=True)), PLANE, "mean"),
    "axes in the batch": (lambda: of(lambda x: x.reshape(2, 1, 9, 7) * 2), PLANE, "mul"),
    "weights made from the image": (
        lambda: of(lambda x: F.conv2d(x, x[:, :, :3, :3].transpose(0, 1).reshape(1, 2, 3, 3))),
        PLANE,
        "conv2d",
    ),
    "an axis less": (lambda: of(lambda x, a: x.mean(1) + a, torch.rand(1)), PLANE, "add"),
}


class Together(nn.Module):
    """Several networks on one image: taking one large network apart is quicker than taking many small ones."""

    def __init__(self, members: dict[str, nn.Module]) -> None:
        super().__init__()
        self.names = list(members)
        self.members = nn.ModuleList(members.values())

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([member(image).flatten() for member in self.members])


@cache
def taken_apart(shape: tuple[int, ...]) -> tuple[dict[str, list[Step]], dict[str, Any]]:
    """The steps of every case on images of this shape, and all their values for one image."""
    torch.manual_seed(1)
    chosen = {name: make() for name, (make, wanted, *_) in {**LOCAL, **GLOBAL}.items() if wanted == shape}
    made, values = traced(Together(chosen), shape)
    steps: dict[str, list[Step]] = {name: [] for name in chosen}
    for step in made.steps:
        path = step.module.split(".")
        if step.varying and path[0] == "members":
            steps[list(chosen)[int(path[1])]].append(step)
    return steps, values


def traced(network: nn.Module, shape: tuple[int, ...]) -> tuple[Trace, dict[str, Any]]:
    """The network taken apart, and all its values for one image."""
    network.double().eval()
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        made = trace(network, image)
        values = made.forward(image, {made.input.name, *(step.name for step in made.steps)})
        torch.testing.assert_close(values[made.output.name], network(image), rtol=1e-12, atol=1e-12)
    return made, values


def random_box(shape: Sequence[int], generator: np.random.Generator) -> Box:
    starts = [int(generator.integers(0, length)) for length in shape]
    return tuple((a, int(generator.integers(a + 1, length + 1))) for a, length in zip(starts, shape, strict=True))


def full_rank(value: Tensor, axes: int) -> Tensor:
    return value.reshape((1,) * (axes + 2 - value.ndim) + tuple(value.shape)) if value.ndim else value


def cropped(value: Tensor, box: Box, pad: float) -> Tensor:
    """The box of a value ``(1, C, *spatial)``; it may leave the image."""
    if not value.ndim:
        return value
    crop = value.new_full((*value.shape[:2], *shape_of(box)), pad)
    inside = intersect(box, whole(value.shape[2:]))
    if inside is not None:
        target = tuple(slice(a - start, b - start) for (a, b), (start, _) in zip(inside, box, strict=True))
        crop[(..., *target)] = value[(..., *(slice(a, b) for a, b in inside))]
    return crop


def check_compute(step: Step, values: dict[str, Any], generator: np.random.Generator) -> None:
    """The step on crops of its operands is the crop of the whole."""
    assert step.rule is not None
    box = random_box(step.shape[2:], generator)
    crops, reads = [], []
    for operand in step.operands:
        value = full_rank(values[operand.name], len(box))
        shape = tuple(value.shape[2:]) or (1,) * len(box)
        reads.append(step.rule.need(box, shape, step.shape[2:]))
        crops.append(cropped(value, reads[-1], step.rule.pad_value))

    def call(*parts: Tensor) -> Tensor:
        named = {operand.name: part for operand, part in zip(step.operands, parts, strict=True)}
        return step.call({**values, **named}, padded=True)

    found = step.rule.compute(call, crops, [box], [[read] for read in reads])
    expected = values[step.name][(..., *(slice(a, b) for a, b in box))]
    assert found.shape == expected.shape, (step.kind, box)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def check_reach(step: Step, operand: Value, values: dict[str, Any], generator: np.random.Generator) -> None:
    """Nothing changes outside the reach of what is changed."""
    assert step.rule is not None
    box = random_box(operand.shape[2:], generator)
    other = values[operand.name].clone()
    part = other[(..., *(slice(a, b) for a, b in box))]
    part.copy_(~part if part.dtype == torch.bool else part + generator.uniform(1, 9))
    changed = (step.call({**values, operand.name: other}) != values[step.name]).any(1)[0]
    reach = clip(step.rule.reach(box, operand.shape[2:], step.shape[2:]), step.shape[2:])
    outside = torch.ones_like(changed)
    outside[tuple(slice(a, b) for a, b in reach)] = False
    assert not bool((changed & outside).any()), (step.kind, box, reach)


@pytest.mark.parametrize("name", LOCAL)
def test_a_local_operation_is_its_own_crop(name: str) -> None:
    by_name, values = taken_apart(LOCAL[name][1])
    generator = np.random.default_rng(0)
    assert by_name[name]
    for step in by_name[name]:
        assert step.rule is not None, step.kind
        for _ in range(8):
            check_compute(step, values, generator)
            for operand in step.operands:
                if operand.varying:
                    check_reach(step, operand, values, generator)


@pytest.mark.parametrize("name", GLOBAL)
def test_an_operation_that_is_not_local_is_found(name: str) -> None:
    _, shape, kind = GLOBAL[name]
    steps = taken_apart(shape)[0][name]
    assert kind in {step.kind for step in steps if step.rule is None}


@pytest.mark.parametrize(
    ("network", "batchable"),
    [
        (nn.InstanceNorm2d(2, affine=True), True),
        (nn.GroupNorm(2, 2), True),
        (nn.AdaptiveAvgPool2d((9, 7)), True),
        (nn.Conv2d(2, 1, 3), True),
        (of(lambda x: x - x.mean((2, 3), keepdim=True)), False),
        (of(lambda x: x.reshape(1, 2, 63).relu().reshape(1, 2, 9, 7)), False),
    ],
)
def test_what_treats_items_of_a_batch_apart(network: nn.Module, batchable: bool) -> None:
    """Sizes in a reshape's arguments are those of one item, so such a step takes one item at a time."""
    made, values = traced(network, PLANE)
    assert all(step.batchable for step in made.steps if step.varying) is batchable
    if batchable:
        items = torch.randn(3, *PLANE[1:], dtype=torch.float64)
        (step,) = made.steps
        found = step.call({**values, made.input.name: items})
        torch.testing.assert_close(found, torch.cat([network(item[None]) for item in items]), rtol=1e-12, atol=1e-12)
