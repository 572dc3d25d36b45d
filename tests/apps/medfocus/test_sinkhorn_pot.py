# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from monai_causal.apps.medfocus import sinkhorn_pot, sinkhorn_separable
from monai_causal.apps.medfocus.sinkhorn_separable import Problem

pytest.importorskip("ot")


def problem(epsilon, objective):
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 2, 9, 9, generator=generator, dtype=torch.float64)
    a[0, 3:5] = 0
    b[1, :, 7:] = 0
    a, b = (mass / mass.sum((-2, -1), keepdim=True) for mass in (a, b))
    return Problem(a, b, torch.tensor([81.0, 30.0], dtype=torch.float64), epsilon, 0.1, objective)


@pytest.mark.parametrize("objective", ["product", "counting"])
def test_scalings_are_those_of_the_separable_solver(objective):
    task = problem(0.05, objective)
    ours, theirs = (solver.solve(task, tolerance=1e-12) for solver in (sinkhorn_separable, sinkhorn_pot))
    assert theirs.converged.all()
    assert (theirs.residual < 1e-9).all()
    for one, other in ((ours.log_u, theirs.log_u), (ours.log_v, theirs.log_v)):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-8)


def test_the_plans_mass_is_that_of_its_scalings():
    task = problem(0.05, "counting")
    theirs = sinkhorn_pot.solve(task, tolerance=1e-12)
    plan, _ = sinkhorn_pot.pot_plan(task.a[1].numpy(), task.b[1].numpy(), 30.0, task, 1000, 1e-12)
    moved = torch.exp(theirs.log_v + sinkhorn_pot.log_kernel(theirs.log_u, task.width))[1].sum()
    assert float(moved) == pytest.approx(plan.sum(), rel=1e-10)


def test_a_breakdown_is_not_called_converged():
    theirs = sinkhorn_pot.solve(problem(1e-5, "counting"), iterations=50)
    assert not theirs.converged.any()
