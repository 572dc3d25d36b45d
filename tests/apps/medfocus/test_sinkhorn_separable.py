# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from monai_causal.apps.medfocus import sinkhorn_separable
from monai_causal.apps.medfocus.sinkhorn_kernel import log_kernel
from monai_causal.apps.medfocus.sinkhorn_separable import Problem, solve, solve_logarithms


def masses(count, grid, seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(count, grid, grid, generator=generator, dtype=torch.float64) ** 3
    values[:, :2] = 0  # no support
    return values / values.sum((-2, -1), keepdim=True)


def problem(count=1, grid=8, *, epsilon=0.05, rho=0.1, objective="product"):
    scale = torch.full((count,), float(grid**2), dtype=torch.float64)
    return Problem(masses(count, grid, 0), masses(count, grid, 1), scale, epsilon, rho, objective)


def plan(task, scalings, item=0):
    """The whole matrix, cells by cells."""
    grid = task.a.shape[-1]
    index = torch.cartesian_prod(torch.arange(grid), torch.arange(grid)).double()
    cost = ((index[:, None] - index[None]) ** 2).sum(-1) / task.scale[item]
    log_u, log_v = scalings.log_u[item].flatten(), scalings.log_v[item].flatten()
    return torch.exp(log_u[:, None] + log_v[None] - cost / task.epsilon), cost


def divergence(p, q):
    on = p > 0
    return (p[on] * (p[on] / q.expand_as(p)[on]).log()).sum() - p.sum() + q.expand_as(p).sum()


def primal(task, matrix, cost):
    a, b = task.a[0].flatten(), task.b[0].flatten()
    if task.objective == "product":
        entropy = divergence(matrix, a[:, None] * b[None])
    else:
        entropy = (torch.xlogy(matrix, matrix) - matrix).sum()
    marginals = divergence(matrix.sum(1), a) + divergence(matrix.sum(0), b)
    return (matrix * cost).sum() + task.epsilon * entropy + task.rho * marginals


@pytest.mark.parametrize("objective", ["product", "counting"])
@pytest.mark.parametrize(("epsilon", "rho"), [(0.05, 0.1), (0.01, 1.0), (0.001, 0.05)])
def test_no_plan_beside_it_is_better(objective, epsilon, rho):
    task = problem(epsilon=epsilon, rho=rho, objective=objective)
    scalings = solve(task, tolerance=1e-11, iterations=5000)
    assert scalings.converged.all()
    matrix, cost = plan(task, scalings)
    value = primal(task, matrix, cost)
    generator = torch.Generator().manual_seed(3)
    for size in (1e-2, 1e-3):
        for _ in range(5):
            other = matrix * torch.exp(size * torch.randn(matrix.shape, generator=generator, dtype=torch.float64))
            assert primal(task, other, cost) > value
        for factor in (1 - size, 1 + size):  # the mass itself
            assert primal(task, factor * matrix, cost) > value


@pytest.mark.parametrize("objective", ["product", "counting"])
def test_logarithms_and_plain_iteration_agree(objective):
    task = problem(epsilon=0.02, objective=objective)
    plain = solve(task, tolerance=1e-12)
    logarithms = solve_logarithms(task, tolerance=1e-12)
    for one, other in ((plain.log_u, logarithms.log_u), (plain.log_v, logarithms.log_v)):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_the_shift_changes_the_speed_and_not_the_solution():
    task = problem(epsilon=0.05, rho=2.0)
    with_shift, without = (solve(task, tolerance=1e-11, iterations=5000, translate=t) for t in (True, False))
    torch.testing.assert_close(plan(task, with_shift)[0], plan(task, without)[0], rtol=1e-7, atol=1e-16)
    assert with_shift.iterations < without.iterations


@pytest.mark.parametrize("epsilon", [1e-3, 1e-4])
def test_small_epsilon_moves_the_mass_that_it_should(epsilon):
    """As epsilon goes to 0, two single cells at a distance exchange exp(-cost / (2 rho)) of their mass."""
    grid = 32
    a, b = torch.zeros(1, grid, grid, dtype=torch.float64), torch.zeros(1, grid, grid, dtype=torch.float64)
    a[0, 4, 5], b[0, 10, 25] = 1, 1
    scale = torch.tensor([float(grid**2)], dtype=torch.float64)
    rho = 0.3
    scalings = solve(Problem(a, b, scale, epsilon, rho), tolerance=1e-10, iterations=5000)
    cost = (6**2 + 20**2) / grid**2
    moved = torch.exp(scalings.log_u + log_kernel(scalings.log_v, scale * epsilon)).sum()
    assert scalings.converged.all()
    # Of one pair the optimum is known at any epsilon: (2 rho + epsilon) log P = -cost.
    np.testing.assert_allclose(float(moved), np.exp(-cost / (2 * rho + epsilon)), rtol=1e-8)


@pytest.mark.parametrize("epsilon", [1e-3, 1e-4])
def test_too_few_iterations_are_reported_and_nothing_is_nan(epsilon):
    found = solve(problem(grid=12, epsilon=epsilon, rho=1.0), iterations=3, tolerance=1e-9)
    assert not found.converged.any()
    assert (found.residual > 1e-9).all()
    assert torch.isfinite(found.residual).all()
    assert not found.log_u.isnan().any()
    assert not found.log_v.isnan().any()


@pytest.mark.parametrize("solver", [solve, solve_logarithms])
@pytest.mark.parametrize("turned", [False, True])
def test_the_residual_is_the_worse_marginal(solver, turned):
    task = problem(epsilon=0.02, rho=0.2)
    task = replace(task, a=task.b, b=task.a) if turned else task
    found = solver(task, iterations=2, tolerance=1e-14)
    matrix, _ = plan(task, found)
    missed = []
    for axis, mass, log_scaling in ((1, task.a, found.log_u), (0, task.b, found.log_v)):
        mass = mass.flatten()
        potential = task.epsilon * (log_scaling.flatten() - mass.log())
        wanted = torch.where(mass > 0, mass * torch.exp(-potential / task.rho), 0)
        missed.append(float((matrix.sum(axis) - wanted).abs().sum() / matrix.sum()))
    assert float(found.residual[0]) == pytest.approx(max(missed), rel=1e-9)


@pytest.mark.parametrize("epsilon", [0.05, 0.001])
def test_an_item_does_not_depend_on_its_batch(epsilon):
    task = problem(count=3, epsilon=epsilon)
    together = solve(task, tolerance=1e-7)
    for item in range(3):
        alone = solve(Problem(task.a[[item]], task.b[[item]], task.scale[[item]], epsilon, task.rho), tolerance=1e-7)
        assert alone.iterations[0] == together.iterations[item]
        torch.testing.assert_close(alone.log_u[0], together.log_u[item], rtol=1e-12, atol=1e-12)


def test_the_plain_iteration_gives_up_where_doubles_do(monkeypatch):
    task = problem(epsilon=1e-4, rho=1.0)
    monkeypatch.setattr(sinkhorn_separable, "_PLAIN", np.inf)
    assert sinkhorn_separable._plain(task, 100, 1e-6, "residual", True) is None
    assert torch.isfinite(solve(task, iterations=50).residual).all()
