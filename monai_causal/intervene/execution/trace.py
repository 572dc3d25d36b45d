# SPDX-License-Identifier: Apache-2.0
"""A network taken apart: its operations in order, each with its reach where it is local.

``torch.export`` gives the operations. An operation that is not known to be local is global, so that an unknown network
costs speed and never correctness.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from monai_causal.intervene.execution.geometry import Pointwise, Rule
from monai_causal.intervene.execution.rules import ITEM_BY_ITEM, Call, Value, local_rule, values_in
from monai_causal.intervene.execution.session import Session
from monai_causal.intervene.scores import output_tensor

__all__ = ["NotTraceableError", "Step", "Trace", "TraceCache"]


class NotTraceableError(RuntimeError):
    """The network cannot be taken apart; the message says why."""


@dataclass(frozen=True)
class Step:
    """One operation of the network.

    Attributes:
        name: the name of its result.
        kind: the operation, such as ``conv2d``.
        module: the dotted name of the module that it belongs to.
        shape: shape of its result for one item.
        target: the operation of PyTorch, and ``arguments`` for it by name.
        pick: which of several results, where there are several.
        reads: the values that it takes.
        varying: whether its result depends on the image.
        rule: its geometry; ``None``: global.
        operands: the values that are cropped for it, where it is local.
        weight: multiplications, for the whole image.
        batchable: whether it treats the items of a batch each by itself.
    """

    name: str
    kind: str
    module: str
    shape: tuple[int, ...]
    target: Any
    arguments: dict[str, Any]
    pick: int | None
    reads: tuple[Value, ...]
    varying: bool
    rule: Rule | None
    operands: tuple[Value, ...]
    weight: int

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that are cropped for it: operands of a local step, all that varies of a global one."""
        return self.operands if self.rule is not None else tuple(value for value in self.reads if value.varying)

    @property
    def batchable(self) -> bool:
        return self.rule is not None or self.kind in ITEM_BY_ITEM

    @property
    def place(self) -> str:
        """What it is and where, for people."""
        return f"{self.kind} in {self.module}" if self.module else self.kind

    @cached_property
    def _templates(self) -> dict[bool, tuple[list[Any], dict[str, Any], list[tuple[int, Any]]]]:
        """Positional and keyword arguments, and which positions are values; for whole values and for padded ones."""
        schema = self.target._schema.arguments
        templates = {}
        for padded in (False, True):
            given = {**self.arguments, **_unpadded(self.arguments)} if padded else self.arguments
            positional = [given[argument.name] for argument in schema if not argument.kwarg_only]
            keyword = {argument.name: given[argument.name] for argument in schema if argument.kwarg_only}
            open_places = [(place, value) for place, value in enumerate(positional) if values_in(value)]
            templates[padded] = (positional, keyword, open_places)
        return templates

    def call(self, values: Mapping[str, Any], *, padded: bool = False) -> Any:
        """The operation on named values; on values that are ``padded`` already it does not pad again."""
        positional, keyword, open_places = self._templates[padded]
        arguments = positional.copy()
        for place, value in open_places:
            arguments[place] = _filled(value, values)
        result = self.target(*arguments, **keyword)
        return result if self.pick is None else result[self.pick]


@dataclass(frozen=True)
class Trace:
    """A network's operations for one image shape."""

    input: Value
    output: Value
    steps: tuple[Step, ...]
    constants: Callable[[], dict[str, Tensor]]
    """The network's parameters and buffers as they are now, under the names that the steps read."""

    def forward(self, image: Tensor, keep: Set[str] | None = None) -> dict[str, Any]:
        """A whole forward: the output, the constants and the values to ``keep`` (by default ``kept``), by name."""
        keep = self.kept if keep is None else keep
        values: dict[str, Any] = {**self.constants(), self.input.name: image}
        last_read = {value.name: step.name for step in self.steps for value in step.reads}
        for step in self.steps:
            values[step.name] = step.call(values)
            for value in step.reads:
                if value.varying and last_read[value.name] == step.name and value.name not in keep:
                    values.pop(value.name, None)
        return values

    @cached_property
    def kept(self) -> frozenset[str]:
        """Values whose base is read around a change: all but those that go through one point-wise step and nowhere
        else."""
        readers: dict[str, list[Step]] = {}
        for step in self.steps:
            for value in step.reads:
                readers.setdefault(value.name, []).append(step)
        ends = {self.input.name, self.output.name}
        passing = {
            name
            for name, steps in readers.items()
            if len(steps) == 1
            and isinstance(steps[0].rule, Pointwise)
            and [value.name for value in steps[0].inputs if value.varying] == [name]
        }
        return frozenset(ends | (readers.keys() - passing))

    def global_steps(self) -> list[Step]:
        """Operations that read all of the image, or of what was made from it."""
        return [step for step in self.steps if step.varying and step.rule is None]


class TraceCache:
    """Traces of one network: one per image shape, precision and device."""

    def __init__(self) -> None:
        self._traces: dict[tuple[Any, ...], Trace | NotTraceableError] = {}

    def get(self, session: Session, image: Tensor, output: Tensor | None = None) -> tuple[Trace, dict[str, Any] | None]:
        """The trace for images like ``image`` (1, C, *spatial), made at the first asking; and then, too, the forward
        of this image that checked it against the network's own ``output``."""
        key = (tuple(image.shape), image.dtype, image.device)
        values = None
        if key not in self._traces:
            try:
                made = trace(session.network, image)
                values = _checked_forward(made, image, session(image.clone()) if output is None else output)
                self._traces[key] = made
            except NotTraceableError as error:
                self._traces[key] = error
        known = self._traces[key]
        if isinstance(known, NotTraceableError):
            raise known
        return known, values


def _checked_forward(made: Trace, image: Tensor, expected: Tensor) -> dict[str, Any]:
    """Compare with the network itself, once: a branch that the export froze must not go unseen."""
    values = made.forward(image)
    found = values[made.output.name]
    scale = float(expected.abs().max()) + 1
    error = float((found - expected).abs().max()) if found.shape == expected.shape else float("inf")
    if not error <= 1e-5 * scale:
        raise NotTraceableError(f"the network taken apart gives another answer (largest difference {error:.2g})")
    return values


def trace(network: Any, image: Tensor) -> Trace:
    """Take ``network`` apart for images like ``image`` (1, C, *spatial)."""
    if not isinstance(network, nn.Module):
        raise NotTraceableError("only an nn.Module can be taken apart; this network is a plain callable")
    try:
        # An empty decomposition table: in-place operations become functional ones, and nothing else changes.
        program = torch.export.export(network, (image,), strict=False).run_decompositions({})
    except Exception as error:  # torch.export raises many kinds, and each means the same here
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise NotTraceableError(f"torch.export does not take this network ({line[:160]})") from error
    if program.graph_signature.buffers_to_mutate:
        raise NotTraceableError("the network writes into its own buffers")
    if program.graph_signature.user_inputs_to_mutate:
        raise NotTraceableError("the network writes into its input")
    values: dict[str, Value] = {}
    steps: dict[str, Step] = {}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            values[node.name] = Value(node.name, _shape(node), node.name in program.graph_signature.user_inputs)
        elif node.op == "call_function" and isinstance(node.meta.get("val"), Tensor):
            steps[node.name] = _read(node, values, image)
            values[node.name] = Value(node.name, steps[node.name].shape, steps[node.name].varying)
    inputs = [values[name] for name in program.graph_signature.user_inputs if isinstance(name, str)]
    if len(inputs) != 1:
        raise NotTraceableError(f"the network takes {len(inputs)} inputs; one image is expected")
    output = _output_name(program)
    live = _live(steps, output)
    folded, norms = _fold_norms(live, output)
    return Trace(inputs[0], values[output], folded, _Constants(network, program, norms))


def _read(node: Any, values: dict[str, Value], image: Tensor) -> Step:
    """One node of the exported graph as a step."""
    source, pick = node, None
    if node.target is operator.getitem:
        # One part of an operation with several results; each part that is read becomes a step of its own.
        source, pick = node.args
    if not isinstance(source.target, torch._ops.OpOverload):
        raise NotTraceableError(f"{source.target} holds operations of its own")
    arguments, target = _bound(source, values), source.target
    kind = target.overloadpacket.__name__
    if (
        kind == "squeeze"
        and source.args[0].target is torch.ops.aten.unsqueeze.default
        and source.args[1:] == source.args[0].args[1:]
    ):
        # There and back again, which leaves the axes where they were.
        kind, target, arguments = "alias", torch.ops.aten.alias.default, {"self": values[source.args[0].args[0].name]}
    reads = tuple({value.name: value for value in values_in(arguments)}.values())
    varying = any(value.varying for value in reads)
    shape = _shape(node)
    # A rule knows spatial axes; what has folded some of them into the batch is global.
    of_one_item = len(shape) == image.ndim and shape[0] == 1
    local = local_rule(Call(kind, arguments, shape, image)) if varying and of_one_item else None
    rule, operands = local if local else (None, ())
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    module = stack[-1][0] if stack else ""
    weight = _weight(kind, arguments, shape)
    return Step(node.name, kind, module, shape, target, arguments, pick, reads, varying, rule, tuple(operands), weight)


def _bound(node: Any, values: dict[str, Value]) -> dict[str, Any]:
    """A node's arguments by name, defaults included, other nodes as values."""
    given = {
        argument.name: node.args[position]
        if position < len(node.args)
        else node.kwargs.get(argument.name, argument.default_value)
        for position, argument in enumerate(node.target._schema.arguments)
    }
    named: Any = lambda inner: values[inner.name]  # noqa: E731
    return {name: torch.fx.map_arg(value, named) for name, value in given.items()}


def _unpadded(arguments: dict[str, Any]) -> dict[str, Any]:
    """What to change in a convolution's or pooling's arguments for it to leave the padding out."""
    changes: dict[str, Any] = {}
    for name in {"padding", "output_padding"} & arguments.keys():
        own = arguments[name]
        changes[name] = "valid" if isinstance(own, str) else [0] * len(own)
    if "ceil_mode" in arguments:
        changes["ceil_mode"] = False
    return changes


def _filled(argument: Any, values: Mapping[str, Any]) -> Any:
    """An argument with its values put in."""
    if isinstance(argument, Value):
        return values[argument.name]
    if isinstance(argument, list | tuple):
        return [_filled(part, values) for part in argument]
    return argument


def _shape(node: Any) -> tuple[int, ...]:
    return tuple(int(length) for length in node.meta["val"].shape) if isinstance(node.meta["val"], Tensor) else ()


def _weight(kind: str, arguments: dict[str, Any], shape: tuple[int, ...]) -> int:
    """Multiplications of an operation, over all of its result."""
    size = math.prod(shape)
    if kind.startswith("conv_transpose"):
        return math.prod(arguments["input"].shape) * math.prod(arguments["weight"].shape[1:])
    if kind.startswith("conv"):
        return size * math.prod(arguments["weight"].shape[1:])
    if kind in ("linear", "matmul", "bmm", "mm", "addmm", "einsum", "scaled_dot_product_attention"):
        return size * max((value.shape[-1] for value in values_in(arguments) if value.shape), default=1)
    return size


def _output_name(program: Any) -> str:
    """The node that is the segmentation, where the network returns a dict or several tensors."""
    (node,) = (node for node in program.graph.nodes if node.op == "output")
    tensors = [part.meta["val"] if isinstance(part, torch.fx.Node) else part for part in node.args[0]]
    try:
        chosen = output_tensor(pytree.tree_unflatten(tensors, program.call_spec.out_spec))
    except ValueError as error:
        raise NotTraceableError(str(error)) from error
    return next(part.name for part, tensor in zip(node.args[0], tensors, strict=True) if tensor is chosen)


def _live(steps: dict[str, Step], output: str) -> tuple[Step, ...]:
    """The steps that the output depends on, in order."""
    needed = {output}
    for name in reversed(steps):
        if name in needed:
            needed.update(value.name for value in steps[name].reads)
    return tuple(step for name, step in steps.items() if name in needed)


@dataclass(frozen=True)
class _FoldedNorm:
    """A frozen batch norm that became part of the convolution before it."""

    convolution: Step
    norm: Step

    def weight_and_bias(self, values: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """The convolution's weight and bias with the norm in them."""
        gamma, beta, mean, variance = (
            values[value.name] if isinstance(value, Value) else value
            for value in (self.norm.arguments[name] for name in ("weight", "bias", "running_mean", "running_var"))
        )
        scale = torch.rsqrt(variance + self.norm.arguments["eps"])
        scale = scale if gamma is None else scale * gamma
        weight = values[self.convolution.arguments["weight"].name]
        bias = self.convolution.arguments["bias"]
        shift = -mean * scale if bias is None else (values[bias.name] - mean) * scale
        # Output channels come first in a convolution's weight and second in a transposed one's.
        axis = 1 if self.convolution.kind.startswith("conv_transpose") else 0
        shape = [-1 if dim == axis else 1 for dim in range(weight.ndim)]
        return weight * scale.reshape(shape), shift if beta is None else shift + beta


def _fold_norms(steps: tuple[Step, ...], output: str) -> tuple[tuple[Step, ...], tuple[_FoldedNorm, ...]]:
    """Join each frozen batch norm with the convolution that nothing else reads: one step less, the same function."""
    readers = Counter(value.name for step in steps for value in step.reads)
    by_name = {step.name: step for step in steps}
    joined: dict[str, Step] = {}
    dropped: set[str] = set()
    norms = []
    for step in steps:
        before = (
            by_name.get(step.inputs[0].name)
            if step.kind == "_native_batch_norm_legit_no_training" and step.inputs
            else None
        )
        if before is None or not before.kind.startswith("conv") or before.rule is None or readers[before.name] != 1:
            continue
        if any(value.name in by_name and not value.varying for value in values_in([before.arguments, step.arguments])):
            continue  # a weight that is itself computed, such as a normalised one
        if before.name == output or (before.kind.startswith("conv_transpose") and before.arguments["groups"] != 1):
            continue
        weight, bias = (Value(f"{step.name}.{part}", shape, False) for part, shape in _folded_shapes(before))
        arguments = {**before.arguments, "weight": weight, "bias": bias}
        joined[step.name] = replace(before, name=step.name, arguments=arguments, reads=(*before.operands, weight, bias))
        dropped.add(before.name)
        norms.append(_FoldedNorm(before, step))
    kept = tuple(joined.get(step.name, step) for step in steps if step.name not in dropped)
    return kept, tuple(norms)


def _folded_shapes(convolution: Step) -> tuple[tuple[str, tuple[int, ...]], tuple[str, tuple[int, ...]]]:
    return ("weight", convolution.arguments["weight"].shape), ("bias", (convolution.shape[1],))


class _Constants:
    """A network's parameters and buffers as they are now, under the names that the steps read."""

    def __init__(self, network: nn.Module, program: Any, norms: tuple[_FoldedNorm, ...]) -> None:
        signature = program.graph_signature
        self.network = network
        self.program = program
        self.norms = norms
        self.paths = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }

    def __call__(self) -> dict[str, Tensor]:
        # By name from the network itself, so that weights loaded since the trace count.
        own: dict[str, Tensor] = dict(self.network.named_parameters(remove_duplicate=False))
        own.update(self.network.named_buffers(remove_duplicate=False))
        values = {
            name: (own[path] if path in own else self.program.constants[path]).detach()
            for name, path in self.paths.items()
        }
        for folded in self.norms:
            weight, bias = folded.weight_and_bias(values)
            values[f"{folded.norm.name}.weight"], values[f"{folded.norm.name}.bias"] = weight, bias
        return values
