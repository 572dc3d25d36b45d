# SPDX-License-Identifier: Apache-2.0
"""A transport between two images, and what can be asked of it: masks on the target, mass, cost, displacement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from monai_causal.apps.medfocus.sinkhorn_kernel import log_kernel
from monai_causal.apps.medfocus.sinkhorn_separable import Problem, Scalings
from monai_causal.apps.medfocus.transport_grid import Frame, as_masks, in_frame, to_grid

__all__ = ["FittedTransport", "Transported", "densest"]


@dataclass(frozen=True, eq=False)
class Transported:
    """Masks on the target; with a leading axis for several references.

    Attributes:
        heat: mass of each mask that arrives in each cell of the transport grid: (C, grid, grid), float64.
        soft: how much of each mask lies at each pixel of the target: (C, rows, columns), float32 in [0, 1]. With the
            readout ``"mass"`` it is 0 or 1.
        mask: (C, rows, columns), bool.
    """

    heat: Tensor
    soft: Tensor
    mask: Tensor


class FittedTransport:
    """A plan between references and a target, never written out. Made by ``UnbalancedTransport.fit``.

    For a list or a batch of references every value has a leading axis; for a single one it is a number or has none.

    Attributes:
        converged: whether the solver met its tolerance. Where it did not, the values are those of the last iteration.
        iterations: how many it took.
        residual: by how much the marginals of the plan miss their optimality conditions, as a fraction of its mass.
        problem: masses on the grid and settings.
        scalings: logarithms of the plan's two factors.
    """

    def __init__(
        self,
        problem: Problem,
        scalings: Scalings,
        *,
        sources: Sequence[Frame],
        target: Frame,
        solve: Callable[[Problem], Scalings],
        readout: str,
        core: float,
        sampling: str,
        single: bool,
    ) -> None:
        self.problem, self.scalings = problem, scalings
        self._sources, self._target, self._solve = sources, target, solve
        self._readout, self._core, self._sampling, self._single = readout, core, sampling, single
        self.converged = self._given(self._per_reference(scalings.converged).all(1))
        self.iterations = self._given(self._per_reference(scalings.iterations).amax(1))
        self.residual = self._given(self._per_reference(scalings.residual).amax(1))

    def _per_reference(self, values: Tensor) -> Tensor:
        """(B * channels, ...) -> (B, channels, ...)."""
        return values.unflatten(0, (len(self._sources), -1))

    def _given(self, values: Tensor) -> Any:
        """Without the leading axis if there is a single reference."""
        if not self._single:
            return values
        return values[0].item() if values.ndim == 1 else values[0]

    def _averaged(self, values: Tensor) -> Any:
        """A number per problem, as its mean over the channels of the mass."""
        return self._given(self._per_reference(values).mean(1))

    @property
    def mass(self) -> Any:
        """The mass of the plan; reference and target have 1 each."""
        return self._averaged(_moved(self.problem, self.scalings))

    @property
    def cost(self) -> Any:
        """``<P, C>``, the transport's part of the objective. It does not rank references; ``divergence`` does."""
        index = torch.arange(self.problem.a.shape[-1], dtype=self.problem.a.dtype, device=self.problem.a.device)
        places = torch.stack(torch.meshgrid(index, index, indexing="ij"))
        squares = (places**2).sum(0)
        everywhere = torch.stack([torch.ones_like(squares), squares, *places])
        arrived, squared, rows, columns = self._pushed(everywhere.expand(len(self.problem.a), -1, -1, -1)).unbind(1)
        crossed = rows * places[0] + columns * places[1]
        return self._averaged((squared + arrived * squares - 2 * crossed).sum((-2, -1)) / self.problem.scale)

    @cached_property
    def divergence(self) -> Any:
        """The unbalanced Sinkhorn divergence: 0 for equal images and above 0 for different ones, whatever epsilon.

        It is the value of the objective less half of what each image costs to transport onto itself. At the optimum
        the value is a constant less ``(2 rho + epsilon)`` times the mass of the plan, so three masses are enough.
        """
        problem = self.problem
        if problem.objective != "product":
            raise ValueError(f"divergence: it needs objective='product', not {problem.objective!r}.")
        onto_self = replace(problem, b=problem.a)
        target_onto_self = replace(problem, a=problem.b)
        own = sum(_moved(one, self._solve(one)) for one in (onto_self, target_onto_self)) / 2
        return self._averaged((2 * problem.rho + problem.epsilon) * (own - _moved(problem, self.scalings)))

    @cached_property
    def _displacement(self) -> Tensor:
        onto_self = replace(self.problem, a=self.problem.b)
        scales = self._per_reference(self.problem.scale)
        if bool((scales == scales[0]).all()):  # one target and one scale: one transport onto itself for all references
            channels = scales.shape[1]
            onto_self = replace(
                onto_self, a=onto_self.a[:channels], b=onto_self.b[:channels], scale=onto_self.scale[:channels]
            )
        bias = _origin(onto_self, self._solve(onto_self)).unflatten(0, (-1, scales.shape[1]))
        fields = self._per_reference(_origin(self.problem, self.scalings)) - bias
        weights = self._per_reference(self.problem.b)[:, :, None]
        total = weights.sum(1)
        mixed = (weights * fields).sum(1) / total
        return torch.where(total > 0, mixed, fields.mean(1))

    @property
    def displacement(self) -> Tensor:
        """Where what lies in a cell of the target comes from, less that cell: (2, grid, grid), in cells, rows first.

        The bias of the entropy is taken out, so it is zero for an image transported onto itself. It is defined in
        cells without mass, too.
        """
        displacement: Tensor = self._given(self._displacement)
        return displacement

    def push(self, values: Tensor) -> Tensor:
        """The plan's rows, each times the value of its cell, summed: (B, C, grid, grid), none negative -> the same.

        Where the mass has several channels, this is the mean of their plans.
        """
        channels = len(self.problem.a) // len(self._sources)
        return self._per_reference(self._pushed(values.repeat_interleave(channels, 0))).mean(1)

    def _pushed(self, values: Tensor) -> Tensor:
        arriving = log_kernel(self.scalings.log_u[:, None] + values.log(), self.problem.width)
        return torch.exp(self.scalings.log_v[:, None] + arriving)

    def transport(self, masks: Any) -> Transported:
        """Carry masks, or soft label maps in [0, 1], from the reference to the target.

        Args:
            masks: (C, rows, columns) or (rows, columns) on the reference; for several references one stack for each.
        """
        stacks = [masks] if self._single else list(masks)
        if len(stacks) != len(self._sources):
            raise ValueError(f"masks: {len(stacks)} stacks of masks for {len(self._sources)} references.")
        squares = [
            in_frame(as_masks(stack, (frame.rows, frame.columns), f"masks of reference {index}"), frame)
            for index, (stack, frame) in enumerate(zip(stacks, self._sources, strict=True))
        ]
        heat = self.push(torch.stack([self._cells(square) for square in squares]).to(self.problem.a))
        if self._readout == "mass":
            soft = self._target.crop(_enlarged(densest(heat, self._core).float(), self._target.side, "nearest"))
        else:
            pulled = [self._pulled(square, field) for square, field in zip(squares, self._displacement, strict=True)]
            soft = torch.stack(pulled)
        return Transported(*(self._given(values) for values in (heat, soft, soft >= 0.5)))

    def _cells(self, squares: NDArray[np.float32]) -> Tensor:
        cells = [to_grid(square, self.problem.a.shape[-1], self._sampling) for square in squares]
        return torch.from_numpy(np.stack(cells))

    def _pulled(self, squares: NDArray[np.float32], displacement: Tensor) -> Tensor:
        """(C, side, side) on the reference -> (C, rows, columns) on the target, at the target's own resolution."""
        side, grid = self._target.side, displacement.shape[-1]
        field = self._target.crop(_enlarged(displacement.float(), side, "bilinear")) * (
            2 / grid
        )  # the square spans -1 to 1
        centre = (torch.arange(side, device=field.device) + 0.5) * (2 / side) - 1
        rows = self._target.crop(centre[:, None].expand(side, side)) + field[0]
        columns = self._target.crop(centre[None].expand(side, side)) + field[1]
        places = torch.stack([columns, rows], dim=-1)[None]
        # One mask at a time: a full-size radiograph with eleven of them would take half a gigabyte.
        sampled = [
            grid_sample(torch.from_numpy(square)[None, None].to(places), places, align_corners=False)[0, 0]
            for square in squares
        ]
        return torch.stack(sampled)


def densest(heat: Tensor, core: float) -> Tensor:
    """The fewest cells that hold the fraction ``core`` of the mass: (..., grid, grid) -> bool; none where all is 0."""
    flat = heat.flatten(-2)
    order = flat.argsort(dim=-1, descending=True, stable=True)
    held = flat.gather(-1, order).cumsum(-1)
    before = held - flat.gather(-1, order)
    keep = (before < core * held[..., -1:]) & (held[..., -1:] > 0)
    return torch.zeros_like(keep).scatter(-1, order, keep).view(heat.shape)


def _moved(problem: Problem, scalings: Scalings) -> Tensor:
    return torch.exp(scalings.log_v + log_kernel(scalings.log_u, problem.width)).sum((-2, -1))


def _origin(problem: Problem, scalings: Scalings) -> Tensor:
    """The mean place in the reference from which a cell of the target is fed: (B, 2, grid, grid), in cells.

    The kernel says this of every cell, also of one that holds no mass.
    """
    index = torch.arange(problem.a.shape[-1], dtype=problem.a.dtype, device=problem.a.device)
    places = torch.stack(torch.meshgrid(index, index, indexing="ij"))
    fields = torch.cat([torch.zeros_like(places[:1]), places.log()])
    rest, rows, columns = log_kernel(scalings.log_u[:, None] + fields, problem.width).unbind(1)
    return torch.stack([torch.exp(rows - rest), torch.exp(columns - rest)], dim=1)


def _enlarged(cells: Tensor, side: int, mode: str) -> Tensor:
    """(..., grid, grid) -> (..., side, side)."""
    flat = cells.flatten(0, -3)[None]
    return interpolate(flat, (side, side), mode=mode)[0].unflatten(0, cells.shape[:-2])
