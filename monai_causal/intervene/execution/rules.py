# SPDX-License-Identifier: Apache-2.0
"""Which operations are local, and with what reach. An operation without an entry here is global.

Each entry looks at one operation with its arguments and gives its rule and the values that are cropped for it, or
nothing, where these arguments make it global.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_causal.intervene.execution.geometry import Interpolation, Pointwise, Rule, Shift, TransposedWindow, Window

__all__ = ["ITEM_BY_ITEM", "Call", "Value", "local_rule"]


@dataclass(frozen=True)
class Value:
    """A value of the traced network, by name; ``varying`` where it depends on the image."""

    name: str
    shape: tuple[int, ...]
    varying: bool


@dataclass(frozen=True)
class Call:
    """One operation of the traced network: its kind, such as ``conv2d``, and its arguments by name."""

    kind: str
    arguments: dict[str, Any]
    shape: tuple[int, ...]
    like: Tensor
    """Any tensor of the network's precision and device."""

    @property
    def axes(self) -> int:
        return len(self.shape) - 2

    def per_axis(self, name: str) -> tuple[int, ...]:
        """An argument that is one number or one per axis."""
        value = self.arguments[name]
        values = [value] if isinstance(value, int) else list(value)
        return tuple(int(v) for v in (values * self.axes if len(values) == 1 else values))


Local = tuple[Rule, Sequence[Value]]
_RULES: dict[str, Callable[[Call], Local | None]] = {}

ITEM_BY_ITEM = {"instance_norm", "group_norm", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"}
"""Global operations that treat each item of a batch by itself, whatever the size of the batch."""


def local_rule(call: Call) -> Local | None:
    """The rule of an operation and the values to crop for it; ``None`` where it is global."""
    maker = _RULES.get(call.kind)
    found = maker(call) if maker and call.axes >= 1 else None
    if found is None or not all(_aligned(value, call) for value in found[1]):
        return None
    cropped = {value.name for value in found[1]}
    others = (value for value in values_in(call.arguments) if value.name not in cropped)
    return None if any(value.varying for value in others) else found


def values_in(argument: Any) -> list[Value]:
    """The values in an argument, however nested."""
    if isinstance(argument, Value):
        return [argument]
    if isinstance(argument, dict):
        argument = list(argument.values())
    return [value for part in argument for value in values_in(part)] if isinstance(argument, list | tuple) else []


def _aligned(value: Value, call: Call) -> bool:
    """Whether a value's axes are the image's: what depends on the image must have them all, a constant broadcasts."""
    return len(value.shape) == len(call.shape) if value.varying else len(value.shape) <= len(call.shape)


def _rule(*kinds: str) -> Callable[[Callable[[Call], Local | None]], Callable[[Call], Local | None]]:
    def register(maker: Callable[[Call], Local | None]) -> Callable[[Call], Local | None]:
        _RULES.update(dict.fromkeys(kinds, maker))
        return maker

    return register


@_rule(
    *("add", "sub", "rsub", "mul", "div", "pow", "maximum", "minimum", "where"),
    *("relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "sigmoid", "tanh", "softplus", "celu", "hardtanh"),
    *(
        "hardswish",
        "hardsigmoid",
        "exp",
        "log",
        "sqrt",
        "rsqrt",
        "abs",
        "neg",
        "clamp",
        "clamp_min",
        "clamp_max",
        "square",
    ),
    *("gt", "ge", "lt", "le", "eq", "ne", "logical_not", "logical_and", "logical_or"),
    *("clone", "alias", "contiguous", "detach", "dropout", "feature_dropout", "to", "_to_copy", "lift_fresh_copy"),
)
def _elementwise(call: Call) -> Local:
    return Pointwise(), values_in(call.arguments)


@_rule("prelu", "batch_norm", "_native_batch_norm_legit_no_training")
def _per_channel(call: Call) -> Local | None:
    if call.arguments.get("training"):
        return None  # normalised by the image's own statistics
    first = next(iter(call.arguments.values()))
    return Pointwise(), [first]


@_rule("cat")
def _concatenation(call: Call) -> Local | None:
    tensors = call.arguments["tensors"]
    whole = all(len(value.shape) == len(call.shape) for value in tensors)
    return (Pointwise(), tensors) if whole and call.arguments["dim"] % len(call.shape) == 1 else None


@_rule("softmax", "log_softmax", "split", "split_with_sizes", "chunk")
def _along_channels(call: Call) -> Local | None:
    source = call.arguments["self"]
    return (Pointwise(), [source]) if call.arguments["dim"] % len(call.shape) == 1 else None


@_rule("repeat")
def _repetition(call: Call) -> Local | None:
    source = call.arguments["self"]
    return (Pointwise(), [source]) if source.shape[2:] == call.shape[2:] and source.shape[0] == call.shape[0] else None


@_rule("slice")
def _slice(call: Call) -> Local | None:
    source, dim = call.arguments["self"], call.arguments["dim"] % len(call.shape)
    if dim == 1:
        return Pointwise(), [source]
    if dim == 0 or call.arguments["step"] != 1:
        return None
    start, length = call.arguments["start"] or 0, source.shape[dim]
    start = min(max(start + length if start < 0 else start, 0), length)
    return Shift(tuple(-start if axis + 2 == dim else 0 for axis in range(call.axes))), [source]


@_rule("pad", "constant_pad_nd")
def _padding(call: Call) -> Local | None:
    source, amounts = call.arguments["self"], call.arguments["pad"]
    mode = call.arguments.get("mode", "constant")
    if mode == "constant" and not any(amounts[: 2 * call.axes]):
        return Pointwise(), [source]  # channels only, or nothing at all
    if len(amounts) > 2 * call.axes:
        return None
    # Amounts come last axis first, (before, after) each.
    pairs = [tuple(amounts[2 * k : 2 * k + 2]) if 2 * k < len(amounts) else (0, 0) for k in range(call.axes)][::-1]
    if mode == "constant" or not any(amounts):
        return Shift(tuple(before for before, _ in pairs), pad_value=float(call.arguments.get("value") or 0.0)), [
            source
        ]
    units = (torch.eye(length, dtype=call.like.dtype, device=call.like.device)[None] for length in source.shape[2:])
    matrices = [F.pad(unit, pair, mode=mode)[0].T.contiguous() for unit, pair in zip(units, pairs, strict=True)]
    return Interpolation.of(matrices), [source]


@_rule("conv1d", "conv2d", "conv3d")
def _convolution(call: Call) -> Local | None:
    kernel, dilation = call.arguments["weight"].shape[2:], call.per_axis("dilation")
    padding = call.arguments["padding"]
    if isinstance(padding, str):
        spans = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
        # "same" with an even span puts one voxel more behind than before.
        before = tuple(span // 2 for span in spans)
    else:
        before = call.per_axis("padding")
    return Window(kernel, call.per_axis("stride"), before, dilation), [call.arguments["input"]]


@_rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _transposed_convolution(call: Call) -> Local:
    kernel = call.arguments["weight"].shape[2:]
    return (
        TransposedWindow(kernel, call.per_axis("stride"), call.per_axis("padding"), call.per_axis("dilation")),
        [call.arguments["input"]],
    )


@_rule("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d")
def _pooling(call: Call) -> Local | None:
    kernel, padding = call.per_axis("kernel_size"), call.per_axis("padding")
    stride = call.per_axis("stride") if call.arguments["stride"] else kernel
    source = call.arguments["self"]
    if call.kind.startswith("max"):
        return Window(kernel, stride, padding, call.per_axis("dilation"), pad_value=-math.inf), [source]
    if call.arguments["ceil_mode"] or (any(padding) and not call.arguments["count_include_pad"]):
        return None  # the divisor then depends on the place
    return Window(kernel, stride, padding, (1,) * call.axes), [source]


@_rule(
    *("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d"),
    *("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d"),
    *("_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d"),
)
def _interpolation(call: Call) -> Local:
    first = "input" if "input" in call.arguments else "self"
    source = call.arguments[first]
    factors = call.arguments.get("scale_factors") or [
        call.arguments.get(f"scales_{axis}") for axis in "dhw"[-call.axes :]
    ]
    if call.axes == 1 and factors == [None]:
        factors = [call.arguments.get("scales")]
    matrices = [
        _interpolation_matrix(call, length, out, factor)
        for length, out, factor in zip(source.shape[2:], call.shape[2:], factors, strict=True)
    ]
    return Interpolation.of(matrices), [source]


def _interpolation_matrix(call: Call, length: int, out: int, factor: float | None) -> Tensor:
    """The matrix ``(out, length)`` of one axis, read off the operation by resampling the unit vectors."""
    kind = call.kind.removeprefix("_").removeprefix("upsample_")
    units = torch.eye(length, dtype=call.like.dtype, device=call.like.device)[None]
    align = {"align_corners": bool(call.arguments["align_corners"])} if "align_corners" in call.arguments else {}
    # A scale factor, where the operation was given one, places the samples; the sizes alone may say something else.
    size = {"scale_factor": factor, "recompute_scale_factor": False} if factor is not None else {"size": out}
    if kind.startswith("bicubic"):
        scaled = (
            {"scale_factor": (1.0, factor), "recompute_scale_factor": False}
            if factor is not None
            else {"size": (1, out)}
        )
        return F.interpolate(units[:, :, None], mode="bicubic", **scaled, **align)[0, :, 0].T.contiguous()
    mode = "nearest-exact" if "exact" in kind else "nearest" if "nearest" in kind else "linear"
    return F.interpolate(units, mode=mode, **size, **align)[0].T.contiguous()
