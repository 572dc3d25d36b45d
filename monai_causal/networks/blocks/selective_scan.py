# SPDX-License-Identifier: Apache-2.0
"""The selective scan of Mamba (Gu and Dao 2023) in plain PyTorch, and the parameters that make it selective.

For every channel with its states (one each of A's row), in float32 at least:

    h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t          y_t = C_t h_t + D u_t

The sequence is cut into chunks of a fixed length. All chunks go through their positions side by side, from an empty
state; then what each hands on to the next is found by doubling; then each adds what it was handed. So the number of
Python steps does not grow with the image but by one for every doubling of it, and no tensor of (length x channels x
states) is ever held.

It is one operator of PyTorch, ``monai_causal::selective_scan``: an exported network holds it as a single step, which
says by its name that it reads everything. Its backward computes the forward again, in place of keeping all states.
On a GPU with ``mamba_ssm`` the kernel of that library takes its place.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import register_flop_formula

__all__ = ["SelectiveScan", "selective_scan"]

CHUNK = 64
_STEP_SIZES = (1e-3, 1e-1)
"""Between which delta begins, as in Mamba."""


def selective_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """Scan sequences; see the module for the equations.

    Args:
        u: ``(batch, channels, length)``.
        delta: the step sizes, above 0, of the same shape.
        A: ``(channels, states)``, below 0: how fast each state decays.
        B: ``(batch, groups, states, length)``: what is written. Channels fall into as many groups, one after the other.
        C: the same shape: what is read.
        D: ``(channels,)``: how much of the input goes past the states.

    Returns:
        ``(batch, channels, length)``, float32 (float64 where ``u`` is).
    """
    dtype = torch.promote_types(u.dtype, torch.float32)
    u, delta, A, B, C, D = (part.to(dtype) for part in (u, delta, A, B, C, D))
    kernel = _kernel() if u.is_cuda and dtype == torch.float32 and not torch.compiler.is_exporting() else None
    if kernel is not None:
        scanned: Tensor = kernel(*(part.contiguous() for part in (u, delta, A, B, C, D)))
        return scanned
    return _scan(u, delta, A, B, C) + D[:, None] * u


class SelectiveScan(nn.Module):
    """What makes a scan selective: delta, B and C are read off the sequence itself.

    Args:
        channels: of a sequence.
        states: per channel.
        rank: of what delta is made from.
        directions: how many sequences of one image, each with parameters of its own.

    Shape:
        ``(B, directions, channels, length)`` to the same.
    """

    def __init__(self, channels: int, states: int, rank: int, directions: int = 1) -> None:
        super().__init__()
        self.sizes = (rank, states, states)
        self.read = nn.Parameter(_uniform(channels**-0.5, directions, sum(self.sizes), channels))
        self.step = nn.Parameter(_uniform(rank**-0.5, directions, channels, rank))
        low, high = map(math.log, _STEP_SIZES)
        sizes = torch.exp(torch.empty(directions, channels).uniform_(low, high))
        self.step_bias = nn.Parameter(sizes + torch.log(-torch.expm1(-sizes)))  # softplus gives the sizes back
        decays = torch.arange(1, states + 1, dtype=torch.float32).log()
        self.log_decay = nn.Parameter(decays.repeat(directions * channels, 1))
        self.skip = nn.Parameter(torch.ones(directions * channels))

    def forward(self, sequences: Tensor) -> Tensor:
        low_rank, B, C = torch.einsum("kcd,bkdl->bkcl", self.read, sequences).split(self.sizes, dim=2)
        steps = torch.einsum("kdr,bkrl->bkdl", self.step, low_rank) + self.step_bias[..., None]
        A = -torch.exp(self.log_decay.to(torch.promote_types(self.log_decay.dtype, torch.float32)))
        scanned = selective_scan(sequences.flatten(1, 2), F.softplus(steps).flatten(1, 2), A, B, C, self.skip)
        return scanned.view(sequences.shape).to(sequences.dtype)


def _uniform(bound: float, *shape: int) -> Tensor:
    return torch.empty(*shape).uniform_(-bound, bound)


@cache
def _kernel() -> Callable[..., Tensor] | None:
    """``mamba_ssm``'s kernel, where that is installed; it is no extra of this package, since it needs a compiler."""
    if importlib.util.find_spec("mamba_ssm") is None:
        return None
    found: Callable[..., Tensor] = importlib.import_module("mamba_ssm.ops.selective_scan_interface").selective_scan_fn
    return found


def _chunked_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    batch, channels, length = u.shape
    groups, states = B.shape[1:3]
    chunks = math.ceil(length / CHUNK)
    A = A.view(groups, channels // groups, states)

    def by_position(x: Tensor) -> Tensor:
        """``(batch, groups, n, length)`` as ``(position, batch, chunk, groups, n)``; delta 0 behind the end."""
        x = F.pad(x, (0, chunks * CHUNK - length)).unflatten(-1, (chunks, CHUNK))
        return x.permute(4, 0, 3, 1, 2).contiguous()

    steps, written = (by_position(x.reshape(batch, groups, -1, length)) for x in (delta, delta * u))
    B, C = by_position(B), by_position(C)
    state = u.new_zeros(batch, chunks, *A.shape)
    read = []
    for step, value, b, c in zip(steps, written, B, C, strict=True):
        state = torch.exp(step[..., None] * A) * state + value[..., None] * b[..., None, :]
        read.append((state * c[..., None, :]).sum(-1))
    if chunks > 1:
        handed = _handed_on(state, torch.exp(steps.sum(0)[..., None] * A))
        for place, (since, c) in enumerate(zip(steps.cumsum(0), C, strict=True)):
            read[place] = read[place] + (torch.exp(since[..., None] * A) * handed * c[..., None, :]).sum(-1)
    scanned = torch.stack(read).permute(1, 3, 4, 2, 0).reshape(batch, channels, chunks * CHUNK)
    return scanned[..., :length].contiguous()


def _handed_on(state: Tensor, decay: Tensor) -> Tensor:
    """The state at each chunk's beginning ``(batch, chunks, ...)``, from what each makes of an empty one and its
    decay."""
    reach = 1
    while reach < state.shape[1]:
        state = torch.cat([state[:, :reach], state[:, reach:] + decay[:, reach:] * state[:, :-reach]], dim=1)
        decay = torch.cat([decay[:, :reach], decay[:, reach:] * decay[:, :-reach]], dim=1)
        reach *= 2
    return torch.cat([torch.zeros_like(state[:, :1]), state[:, :-1]], dim=1)


@torch.library.custom_op("monai_causal::selective_scan", mutates_args=())
def _scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    return _chunked_scan(u, delta, A, B, C)


@_scan.register_fake
def _shape_of_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    return u.new_empty(u.shape)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
    with torch.enable_grad():
        inputs = [part.detach().requires_grad_() for part in ctx.saved_tensors]
        again = _chunked_scan(*inputs)
    return torch.autograd.grad(again, inputs, gradient)


_scan.register_autograd(_gradients, setup_context=_keep)


@register_flop_formula(torch.ops.monai_causal.selective_scan)
def _operations(u_shape: Any, delta_shape: Any, A_shape: Any, *others: Any, **_: Any) -> int:
    """Nine for each position, channel and state, as is customary."""
    return 9 * int(math.prod(u_shape)) * int(A_shape[1])
