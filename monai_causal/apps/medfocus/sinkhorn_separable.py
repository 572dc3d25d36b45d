# SPDX-License-Identifier: Apache-2.0
"""Entropic unbalanced optimal transport between two images on one grid, without a plan in memory.

The squared distance of two cells is a sum over rows and columns, so the Gibbs kernel ``exp(-C / epsilon)`` of the whole
grid is the product of two one-dimensional Gaussian kernels: applying it costs two small matrix products instead of one
with a (cells x cells) matrix. The plan is ``P_ij = u_i K_ij v_j``; everything that is asked of it later is one more
application of the kernel.

Where epsilon is large the scalings u and v are iterated as they are. Where it is small they leave the range of
floating point numbers, so their logarithms are iterated, from a large epsilon down to the one asked for (epsilon
scaling). No constant is ever added to a denominator: that would bias the mass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from monai_causal.apps.medfocus.sinkhorn_kernel import LEAST, gaussian, log_kernel

__all__ = ["Problem", "Scalings", "residual", "solve", "solve_logarithms"]

_PLAIN = 1200.0  # the plain iteration is tried where the largest cost over epsilon stays below this
_COARSEST, _SCALING_STEP = 0.1, 4.0  # epsilon scaling begins at the first and divides by the second
_OVER_RELAXATION, _GROWTH = 1.8, 10.0  # how far beyond an update to go, until a residual grows by the second
_LOOK_EVERY = 4  # iterations between two looks at the residual, where an iteration is cheap
_WARM_UP, _WARM_TOLERANCE = 50, 1e-2  # at most so many iterations per epsilon on the way down, or to this residual


@dataclass(frozen=True)
class Problem:
    """A batch of transport problems.

    ``a`` and ``b`` (B, rows, columns), float64, are the masses of reference and target, 0 where there is no support.
    ``scale`` (B,) divides squared distances in cells. The plan minimises ``<P, C> + epsilon R(P) + rho KL(P 1 | a) +
    rho KL(P' 1 | b)``; R is the entropy against the product of the masses (``"product"``), or against the counting
    measure (``"counting"``).
    """

    a: Tensor
    b: Tensor
    scale: Tensor
    epsilon: float
    rho: float
    objective: str = "product"

    @property
    def power(self) -> float:
        """The exponent of a Sinkhorn update with relaxed marginals."""
        return self.rho / (self.rho + self.epsilon)

    @property
    def width(self) -> Tensor:
        return self.scale * self.epsilon


@dataclass(frozen=True)
class Scalings:
    """Logarithms of u and v (B, rows, columns; -inf off the support), and how the iteration ended, per item.

    ``residual`` is by how much the plan's marginals miss their optimality conditions, as a fraction of the mass moved;
    the worse of the two. ``iterations`` include those of epsilon scaling.
    """

    log_u: Tensor
    log_v: Tensor
    iterations: Tensor
    residual: Tensor
    converged: Tensor


def solve(
    problem: Problem, *, iterations: int = 1000, tolerance: float = 1e-6, stop: str = "residual", translate: bool = True
) -> Scalings:
    """Find the scalings of every problem of a batch; an item that has converged is not touched again.

    Args:
        problem: see there.
        iterations: at most this many at the epsilon asked for.
        tolerance: when to stop.
        stop: ``"residual"``: the residual is at most the tolerance. ``"change"``: u changed by less than it in the sum
            over all cells, the rule of the published implementation; where logarithms are iterated it is the residual.
        translate: shift the two potentials against each other to the best place after each iteration, which has a
            closed form. Without it the shift converges with rate ``(rho / (rho + epsilon))^2``, very slowly for small
            epsilon. The solution is the same.
    """
    rows, columns = problem.a.shape[-2:]
    largest = ((rows - 1) ** 2 + (columns - 1) ** 2) / float(problem.scale.min())
    if largest / problem.epsilon < _PLAIN:
        plain = _plain(problem, iterations, tolerance, stop, translate)
        if plain is not None:
            return plain
    return solve_logarithms(problem, iterations=iterations, tolerance=tolerance, translate=translate)


def _plain(problem: Problem, iterations: int, tolerance: float, stop: str, translate: bool) -> Scalings | None:
    """Iterate u and v themselves; None where a number left the range in which nothing is lost."""
    product, power = problem.objective == "product", problem.power
    rows, columns = (gaussian(n, problem.width) for n in problem.a.shape[-2:])
    on_a, on_b = problem.a > 0, problem.b > 0
    weight_a, weight_b = (problem.a, problem.b) if product else (problem.a**power, problem.b**power)
    u, v = (problem.a, problem.b) if product else (on_a.to(problem.a), on_b.to(problem.b))
    with_v = rows @ v @ columns
    tally = _Tally(problem.a)
    least = with_v.amin()
    for step in range(1, iterations + 1):
        new_u = torch.where(on_a, weight_a * with_v**-power, 0.0)
        with_u = rows @ new_u @ columns
        new_v = torch.where(on_b, weight_b * with_u**-power, 0.0)
        if translate:
            shift = _shift(new_u.log(), new_v.log(), problem).exp()
            new_u, new_v, with_u = new_u * shift, new_v / shift, with_u * shift
        alive = tally.alive[:, None, None]
        change = (new_u - u).abs().sum((-2, -1))
        u, v = torch.where(alive, new_u, u), torch.where(alive, new_v, v)
        with_v = rows @ v @ columns
        least = torch.minimum(least, torch.minimum(with_u.amin(), with_v.amin()))
        if stop == "residual" and step % _LOOK_EVERY and step < iterations:
            continue  # looking costs as much as iterating
        if not float(least) > LEAST:
            return None
        if stop == "residual" or step == iterations or bool((change < tolerance).any()):
            missed = residual((u.log(), v.log()), (with_u.log(), with_v.log()), problem)
            if not tally.count(step, missed, (change if stop == "change" else missed) < tolerance):
                break
    if not bool((torch.isfinite(u) & torch.isfinite(v)).all()):
        return None
    return tally.scalings(u.log(), v.log())


def solve_logarithms(
    problem: Problem, *, iterations: int = 1000, tolerance: float = 1e-6, translate: bool = True
) -> Scalings:
    """As :func:`solve`, by logarithms whatever epsilon is: each epsilon begins where the one before ended."""
    base = problem.a.log(), problem.b.log()
    # The potentials f and g over epsilon, which carry over from one epsilon to the next as f and g.
    f = torch.zeros_like(problem.a)
    g = torch.zeros_like(problem.b)
    spent = torch.zeros(len(problem.a), dtype=torch.int64, device=problem.a.device)
    offsets = base if problem.objective == "product" else tuple(torch.where(b > -torch.inf, 0.0, b) for b in base)
    for epsilon in _schedule(problem.epsilon):
        last = epsilon == problem.epsilon
        scalings = _logarithms(
            replace(problem, epsilon=epsilon),
            (offsets[0] + f / epsilon, offsets[1] + g / epsilon),
            iterations if last else _WARM_UP,
            tolerance if last else _WARM_TOLERANCE,
            translate,
        )
        f = torch.where(problem.a > 0, epsilon * (scalings.log_u - offsets[0]), 0.0)
        g = torch.where(problem.b > 0, epsilon * (scalings.log_v - offsets[1]), 0.0)
        spent = spent + scalings.iterations
    return replace(scalings, iterations=spent)


def _schedule(epsilon: float) -> list[float]:
    coarse: list[float] = []
    while _COARSEST / _SCALING_STEP ** len(coarse) > 1.5 * epsilon:
        coarse.append(_COARSEST / _SCALING_STEP ** len(coarse))
    return [*coarse, epsilon]


def _logarithms(
    problem: Problem, start: tuple[Tensor, Tensor], iterations: int, tolerance: float, translate: bool
) -> Scalings:
    power = problem.power
    factor = 1.0 if problem.objective == "product" else power
    weight_a, weight_b = factor * problem.a.log(), factor * problem.b.log()
    log_u, log_v = start
    with_v = log_kernel(log_v, problem.width)
    tally = _Tally(problem.a)
    best = tally.residual
    stride = torch.full_like(best, _OVER_RELAXATION)[:, None, None]
    for step in range(1, iterations + 1):
        new_u = _stepped(log_u, weight_a - power * with_v, stride)
        with_u = log_kernel(new_u, problem.width)
        new_v = _stepped(log_v, weight_b - power * with_u, stride)
        if translate:
            shift = _shift(new_u, new_v, problem)
            new_u, new_v, with_u = new_u + shift, new_v - shift, with_u + shift
        new_with_v = log_kernel(new_v, problem.width)
        missed = residual((new_u, new_v), (with_u, new_with_v), problem)
        # Too long a stride shows as a residual that grows; a stride of 1 is the plain iteration, which cannot diverge.
        stride = torch.where((missed <= _GROWTH * best)[:, None, None], stride, 1.0)
        best = torch.minimum(best, missed)
        alive = tally.alive[:, None, None]
        log_u, log_v = torch.where(alive, new_u, log_u), torch.where(alive, new_v, log_v)
        with_v = torch.where(alive, new_with_v, with_v)
        if not tally.count(step, missed, missed < tolerance):
            break
    return tally.scalings(log_u, log_v)


def _stepped(old: Tensor, new: Tensor, stride: Tensor) -> Tensor:
    return torch.where(torch.isneginf(new), new, old + stride * (new - old))


class _Tally:
    """Which items of a batch are still iterated, and how the others ended."""

    def __init__(self, like: Tensor) -> None:
        self.alive = torch.ones(len(like), dtype=torch.bool, device=like.device)
        self.iterations = torch.zeros(len(like), dtype=torch.int64, device=like.device)
        self.residual = torch.full((len(like),), torch.inf, dtype=like.dtype, device=like.device)

    def count(self, step: int, residual: Tensor, finished: Tensor) -> bool:
        """Note one iteration; False once nothing is left to do."""
        self.iterations[self.alive] = step
        self.residual = torch.where(self.alive, residual, self.residual)
        self.alive = self.alive & ~finished
        return bool(self.alive.any())

    def scalings(self, log_u: Tensor, log_v: Tensor) -> Scalings:
        return Scalings(log_u, log_v, self.iterations, self.residual, ~self.alive)


def _wanted(log_scaling: Tensor, mass: Tensor, problem: Problem) -> Tensor:
    """The marginal that a potential wants, ``a exp(-f / rho)``: optimal if it is the plan's own."""
    ratio = problem.epsilon / problem.rho
    log_mass = mass.log()
    potential = log_scaling - log_mass if problem.objective == "product" else log_scaling
    return torch.where(mass > 0, torch.exp(log_mass - ratio * potential), 0.0)


def residual(scalings: tuple[Tensor, Tensor], applied: tuple[Tensor, Tensor], problem: Problem) -> Tensor:
    """By how much the marginals miss their optimality conditions, as a fraction of the mass; the worse of the two.

    ``scalings`` are log u and log v, ``applied`` the logarithms of the kernel on each of them.
    """
    missed = []
    for own, other, mass in zip(scalings, reversed(applied), (problem.a, problem.b), strict=True):
        marginal = torch.where(mass > 0, torch.exp(own + other), 0.0)
        wrong = (marginal - _wanted(own, mass, problem)).abs().sum((-2, -1))
        missed.append(wrong / marginal.sum((-2, -1)))
    return torch.maximum(*missed)


def _shift(log_u: Tensor, log_v: Tensor, problem: Problem) -> Tensor:
    """What to add to log u and take from log v, so that the dual objective is largest along that line: (B, 1, 1)."""
    wanted_a = _wanted(log_u, problem.a, problem).sum((-2, -1), keepdim=True)
    wanted_b = _wanted(log_v, problem.b, problem).sum((-2, -1), keepdim=True)
    return problem.rho / (2 * problem.epsilon) * (wanted_a / wanted_b).log()
