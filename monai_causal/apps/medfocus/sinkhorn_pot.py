# SPDX-License-Identifier: Apache-2.0
"""The same transport problems through the POT library: a dense cost matrix over the supports. The yardstick."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray

from monai_causal.apps.medfocus.sinkhorn_kernel import log_kernel
from monai_causal.apps.medfocus.sinkhorn_separable import Problem, Scalings, residual
from monai_causal.extras import require

__all__ = ["pot_plan", "solve"]

_REGULARISER = {"counting": "entropy", "product": "kl"}


def solve(problem: Problem, *, iterations: int = 1000, tolerance: float = 1e-6) -> Scalings:
    """As :func:`monai_causal.apps.medfocus.sinkhorn_separable.solve`, one problem of the batch after the other.

    ``tolerance`` is POT's ``stopThr``. An item counts as converged if POT stopped by it and the residual, which is
    computed here from POT's scalings, is finite.
    """
    log_u = torch.full_like(problem.a, -torch.inf)
    log_v = torch.full_like(problem.b, -torch.inf)
    used = torch.zeros(len(problem.a), dtype=torch.int64)
    stopped = torch.zeros(len(problem.a), dtype=torch.bool)
    for item, (a, b, scale) in enumerate(zip(problem.a.cpu(), problem.b.cpu(), problem.scale.tolist(), strict=True)):
        _, log = pot_plan(a.numpy(), b.numpy(), scale, problem, iterations, tolerance)
        inside = problem.objective == "product"
        log_u[item, a > 0] = torch.from_numpy(log["logu"]) + (a[a > 0].log() if inside else 0.0)
        log_v[item, b > 0] = torch.from_numpy(log["logv"]) + (b[b > 0].log() if inside else 0.0)
        used[item] = len(log["err"])  # none where POT breaks down at once
        stopped[item] = any(error < tolerance for error in log["err"][-1:])
    applied = log_kernel(log_u, problem.width), log_kernel(log_v, problem.width)
    missed = residual((log_u, log_v), applied, problem)
    return Scalings(log_u, log_v, used, missed, stopped & torch.isfinite(missed))


def pot_plan(
    a: NDArray[np.float64], b: NDArray[np.float64], scale: float, problem: Problem, iterations: int, tolerance: float
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """POT's plan (cells of a's support, cells of b's support) and its log, for one pair of masses on a grid."""
    unbalanced = require("ot").unbalanced
    (from_rows, from_columns), (to_rows, to_columns) = (np.nonzero(mass > 0) for mass in (a, b))
    cost = np.subtract.outer(from_rows, to_rows) ** 2.0 / scale
    cost += np.subtract.outer(from_columns, to_columns) ** 2.0 / scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of the reference measure asked for, and of what residual reports
        plan, log = unbalanced.sinkhorn_unbalanced(
            a[a > 0],
            b[b > 0],
            cost,
            problem.epsilon,
            problem.rho,
            reg_type=_REGULARISER[problem.objective],
            numItermax=iterations,
            stopThr=tolerance,
            log=True,
        )
    return plan, log
