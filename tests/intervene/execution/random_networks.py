# SPDX-License-Identifier: Apache-2.0
"""Random small networks of everything that segmentation networks are made of."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor, nn

__all__ = ["RandomNetwork", "networks"]

Draw = Callable[[st.SearchStrategy], int]
LARGEST = {2: 20, 3: 10}


class RandomNetwork(nn.Module):
    """Layers that each read one or two earlier values; the last one is the answer, brought to the image's size."""

    def __init__(self, layers: list[tuple[nn.Module, tuple[int, ...]]], back: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layer for layer, _ in layers)
        self.sources = [sources for _, sources in layers]
        self.back = back

    def forward(self, image: Tensor) -> Tensor:
        values = [image]
        for layer, sources in zip(self.layers, self.sources, strict=True):
            values.append(layer(*(values[source] for source in sources)))
        return fitted(values[-1], image, self.back)


def fitted(value: Tensor, like: Tensor, how: str) -> Tensor:
    """``value`` in the spatial size of ``like``."""
    if value.shape[2:] == like.shape[2:]:
        return value
    if how == "pad":
        amounts = [
            part
            for have, want in zip(value.shape[:1:-1], like.shape[:1:-1], strict=True)
            for part in ((want - have) // 2, want - have - (want - have) // 2)
        ]
        return F.pad(value, amounts)
    linear = {4: "bilinear", 5: "trilinear"}[value.ndim]
    return F.interpolate(value, size=like.shape[2:], mode="nearest" if how == "nearest" else linear)


class Squeeze(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Linear(channels, 2)
        self.second = nn.Linear(2, channels)

    def forward(self, value: Tensor) -> Tensor:
        gate = self.second(self.first(value.mean(tuple(range(2, value.ndim)))).relu()).sigmoid()
        return value * gate.reshape(*gate.shape, *(1,) * (value.ndim - 2))


class Skip(nn.Module):
    """Join a value with an earlier one: a sum, a concatenation, or an attention gate."""

    def __init__(self, dims: int, channels: int, earlier: int, how: str, fit: str) -> None:
        super().__init__()
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[dims]
        self.project = convolution(earlier, 1 if how == "gate" else channels, 1)
        self.how = how
        self.fit = fit

    def forward(self, value: Tensor, earlier: Tensor) -> Tensor:
        earlier = fitted(earlier, value, self.fit)
        if self.how == "cat":
            return torch.cat([earlier, value], 1)
        projected = self.project(earlier)
        return value * projected.sigmoid() if self.how == "gate" else projected + value


class Scale(nn.Module):
    """Parameters that broadcast: one per channel and one of no axes at all."""

    def __init__(self, channels: int, dims: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.randn(channels, *(1,) * dims))
        self.beta = nn.Parameter(torch.randn(()))

    def forward(self, value: Tensor) -> Tensor:
        return value * self.gamma + self.beta


class Crop(nn.Module):
    def forward(self, value: Tensor) -> Tensor:
        return value[:, :, 1:-1]


def batch_norm(dims: int, channels: int) -> nn.Module:
    made = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dims](channels)
    made.running_mean.normal_()
    made.running_var.uniform_(0.5, 2)
    nn.init.normal_(made.weight)
    nn.init.normal_(made.bias)
    return made


LAYERS = [
    *("conv", "conv", "conv same", "conv norm", "transposed", "transposed norm", "max pool", "average pool"),
    *("upsample", "upsample", "activation", "norm", "squeeze", "skip", "skip", "skip", "pad", "crop", "scale"),
]


def a_layer(draw: Draw, kind: str, value: Tensor) -> nn.Module:
    """A layer of a kind for values like ``value``."""
    dims, channels, size = value.ndim - 2, value.shape[1], value.shape[2:]
    classes = {2: (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.AvgPool2d, nn.InstanceNorm2d)}
    classes[3] = (nn.Conv3d, nn.ConvTranspose3d, nn.MaxPool3d, nn.AvgPool3d, nn.InstanceNorm3d)
    convolution, transposed, max_pool, average_pool, instance_norm = classes[dims]

    def per_axis(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(dims))

    groups = 2 if channels % 2 == 0 and draw(st.booleans()) else 1
    width = 2 * draw(st.integers(1, 2))
    if kind in ("conv", "conv norm"):
        kernel, dilation = per_axis(1, 4), per_axis(1, 2)
        padding = per_axis(0, 2)
        mode = draw(st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"]))
        assume(mode == "zeros" or all(p < n for p, n in zip(padding, size, strict=True)))
        made = convolution(
            channels, width, kernel, per_axis(1, 2), padding, dilation, groups, draw(st.booleans()), padding_mode=mode
        )
        return made if kind == "conv" else nn.Sequential(made, batch_norm(dims, width))
    if kind == "conv same":
        return convolution(channels, width, per_axis(1, 4), padding="same", dilation=per_axis(1, 2), groups=groups)
    if kind.startswith("transposed"):
        stride, dilation = per_axis(1, 3), per_axis(1, 2)
        more = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
        made = transposed(channels, width, per_axis(1, 4), stride, per_axis(0, 1), more, groups, True, dilation)
        return made if kind == "transposed" else nn.Sequential(made, batch_norm(dims, width))
    if kind == "max pool":
        kernel = per_axis(1, 3)
        padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
        return max_pool(kernel, per_axis(1, 2), padding, per_axis(1, 2), ceil_mode=draw(st.booleans()))
    if kind == "average pool":
        kernel = per_axis(1, 3)
        padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
        return average_pool(kernel, per_axis(1, 2), padding, draw(st.booleans()), draw(st.booleans()))
    if kind == "upsample":
        linear = {2: ["bilinear", "bicubic"], 3: ["trilinear"]}[dims]
        mode = draw(st.sampled_from(["nearest", "nearest-exact", *linear]))
        corners = {} if mode.startswith("nearest") else {"align_corners": draw(st.booleans())}
        if draw(st.booleans()):
            return nn.Upsample(scale_factor=draw(st.sampled_from([2.0, 1.5, 1.7, 0.6])), mode=mode, **corners)
        return nn.Upsample(size=tuple(draw(st.integers(2, 12 if dims == 2 else 8)) for _ in size), mode=mode, **corners)
    if kind == "norm":
        norms = [batch_norm(dims, channels), instance_norm(channels, affine=True), nn.GroupNorm(groups, channels)]
        return draw(st.sampled_from(norms))
    if kind == "squeeze":
        return Squeeze(channels)
    if kind == "pad":
        padding = tuple(draw(st.integers(0, 2)) for _ in range(2 * dims))
        assume(all(p < n for n, p in zip((n for n in size[::-1] for _ in range(2)), padding, strict=True)))
        pads = {2: (nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.CircularPad2d)}
        pads[3] = (nn.ZeroPad3d, nn.ReflectionPad3d, nn.ReplicationPad3d, nn.CircularPad3d)
        return draw(st.sampled_from(pads[dims]))(padding)
    if kind == "crop":
        return Crop()
    if kind == "scale":
        return Scale(channels, dims)
    activations = [nn.ReLU(), nn.ReLU(inplace=True), nn.PReLU(), nn.PReLU(channels), nn.ELU(), nn.GELU(), nn.Softmax(1)]
    return nn.Sequential(nn.Identity(), draw(st.sampled_from(activations)))


@st.composite
def networks(draw: Draw, deepest: int = 7) -> tuple[RandomNetwork, Tensor]:
    """A network in float64, in evaluation mode, and an image ``(1, C, *spatial)`` for it."""
    dims = draw(st.sampled_from([2, 2, 3]))
    torch.manual_seed(draw(st.integers(0, 2**16)))
    size = tuple(draw(st.integers(*{2: (7, 15), 3: (5, 8)}[dims])) for _ in range(dims))
    image = torch.rand(1, draw(st.integers(1, 2)), *size, dtype=torch.float64)
    values: list[Tensor] = [image]
    layers: list[tuple[nn.Module, tuple[int, ...]]] = []
    for number in range(draw(st.integers(2, deepest))):
        kind = draw(st.sampled_from(LAYERS)) if number else "conv"
        sources = (number,)
        if kind == "skip":
            sources = (number, draw(st.integers(0, number)))
            how = draw(st.sampled_from(["add", "cat", "gate"]))
            fit = draw(st.sampled_from(["nearest", "linear", "pad"]))
            layer: nn.Module = Skip(dims, values[-1].shape[1], values[sources[1]].shape[1], how, fit)
        else:
            layer = a_layer(draw, kind, values[-1])
        layer.double().eval()
        try:
            with torch.no_grad():
                value = layer(*(values[source].clone() for source in sources))
        except (RuntimeError, ValueError):  # a kernel larger than what is left, say
            continue_here = False
        else:
            continue_here = min(value.shape[2:]) > 1 and max(value.shape[2:]) <= LARGEST[dims] and value.shape[1] <= 8
        assume(continue_here)
        layers.append((layer, sources))
        values.append(value)
    return RandomNetwork(layers, draw(st.sampled_from(["nearest", "linear", "pad"]))).eval(), image
