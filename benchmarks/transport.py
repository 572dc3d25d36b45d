# SPDX-License-Identifier: Apache-2.0
"""Unbalanced transport: the separable solver beside POT and a dense one, small epsilon, and an image onto itself.

Example:
    python benchmarks/transport.py --out docs/results
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_page import table
from engine_bench.machine import describe_machine
from numpy.typing import NDArray

from monai_causal.apps.medfocus.segmenters.base import tight_box
from monai_causal.apps.medfocus.sinkhorn_pot import pot_plan
from monai_causal.apps.medfocus.sinkhorn_separable import Problem, solve, solve_logarithms
from monai_causal.apps.medfocus.transport import UnbalancedTransport
from monai_causal.apps.medfocus.transport_grid import to_grid
from monai_causal.data.phantoms.chest import CONCEPTS, chest
from monai_causal.files import draft_of, write_json
from monai_causal.metrics import box_overlap

COMMAND = "python benchmarks/transport.py --out docs/results"
GRIDS = (14, 56, 112, 224)
DENSE_CELLS = 56  # a dense matrix of the next grid, 112, takes 1.1 GB, and POT makes five of them
SELF_SEEDS = range(100, 110)
QUESTION = """\
- What does the separable solver cost beside POT's dense one, in CPU time and memory? Published settings (entropy
  against the counting measure, epsilon 0.05, rho 0.1), two chest phantoms, one thread, each contender in a process of
  its own; CPU time is the median of five runs (POT: three), memory the growth of the peak of resident memory. Pass: at
  least 100 times less CPU time at grid 56, and grid 224 within 50 MB.
- Are they the same? Largest difference of the heat of the left lung to POT's plan and to a dense replica of the
  published iteration. Pass: below 1e-7 for
  the replica and for a POT that has converged.
- What happens at small epsilon? Objective "product", grid 56, up to 1,000 iterations, tolerance 1e-5. Pass: converged
  or said not to be, and nothing that is not finite.
- Does an image transported onto itself get its concept boxes back? Ten phantoms, mean box IoU. Pass: above 0.9 each.
"""


def main() -> int:
    """Measure, and write concepts-transport.json and .md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--contender", nargs=2, metavar=("NAME", "GRID"), help="measure one, print JSON (used inside)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.contender:
        print(json.dumps(_contender(options.contender[0], int(options.contender[1]))))
        return 0
    if options.out is None:
        parser.error("--out is needed")
    tables = {"cost": _cost(), "agreement": _agreement(), "epsilon": _small_epsilon(), "self": _onto_itself()}
    about = {
        "schema": "monai_causal/benchmark-transport/1",
        "command": COMMAND,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "rows": [{"table": name, **row} for name, rows in tables.items() for row in rows],
    }
    print(write_json(options.out / "concepts-transport.json", about))
    lines = ["# Unbalanced transport between images", "", QUESTION]
    lines += [f"- command: `{COMMAND}`", f"- date: {about['date']}", f"- machine: {json.dumps(about['machine'])}"]
    for rows in tables.values():
        lines += ["", table(rows)]
    with draft_of(options.out / "concepts-transport.md") as draft:
        draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def _pair(size: int = 224) -> tuple[Any, Any]:
    return chest(1, (size, size)), chest(2, (size, size))


def _problem(grid: int) -> Problem:
    reference, target = _pair()
    return UnbalancedTransport.released(grid=grid).fit(reference.image, target.image).problem


def _resident_mb(key: str) -> float:
    """Of this process, on Linux: ``VmRSS`` now, or ``VmHWM``, the peak since it was reset."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024


def _contender(name: str, grid: int) -> dict[str, Any]:
    """CPU seconds, iterations and memory of one solver, measured in this process and in no other."""
    run: Any = {"separable": _separable, "POT": _pot, "dense": _dense, "separable, logarithms": _logarithms}[name]
    run(_problem(14))  # libraries are loaded before memory is looked at
    problem = _problem(grid)
    ctypes.CDLL(None).malloc_trim(0)  # or what was freed before would be taken again, and nothing would seem to grow
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before = _resident_mb("VmRSS")
    seconds = []
    for _ in range(3 if name in ("POT", "dense") else 5):
        started = time.process_time()
        run(problem)
        seconds.append(time.process_time() - started)
    return {"cpu_s": statistics.median(seconds), "extra_mb": _resident_mb("VmHWM") - before}


def _separable(problem: Problem) -> None:
    solve(problem, iterations=500, tolerance=1e-6, stop="change", translate=False)


def _logarithms(problem: Problem) -> None:
    solve_logarithms(problem, iterations=500, tolerance=1e-6)


def _pot(problem: Problem, tolerance: float = 1e-6) -> NDArray[np.float64]:
    return pot_plan(problem.a[0].numpy(), problem.b[0].numpy(), float(problem.scale[0]), problem, 500, tolerance)[0]


def _dense(problem: Problem) -> NDArray[np.float64]:
    """The published iteration with its matrix written out."""
    a, b = problem.a[0].numpy(), problem.b[0].numpy()
    squares = (np.argwhere(a > 0).astype(float)[:, None] - np.argwhere(b > 0)[None]) ** 2
    kernel = np.exp(-squares.sum(-1) / float(problem.scale[0]) / problem.epsilon)
    a, b, power = a[a > 0], b[b > 0], problem.rho / (problem.rho + problem.epsilon)
    u, v = np.ones_like(a), np.ones_like(b)
    for _ in range(500):
        before, u = u, (a / (kernel @ v)) ** power
        v = (b / (kernel.T @ u)) ** power
        if np.abs(u - before).sum() < 1e-6:
            break
    return u[:, None] * kernel * v


def _cost() -> list[dict[str, Any]]:
    rows = []
    for grid in GRIDS:
        cells = grid**2
        for name in ("separable", "separable, logarithms", "dense", "POT"):
            row: dict[str, Any] = {"grid": grid, "solver": name}
            if name in ("dense", "POT") and grid > DENSE_CELLS:
                row["not run"] = f"one matrix takes up to {cells**2 * 8 / 1e9:.1f} GB"
            else:
                command = [sys.executable, __file__, "--contender", name, str(grid)]
                answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                row |= json.loads(answer.splitlines()[-1])
            rows.append(row)
        times = {row["solver"]: row["cpu_s"] for row in rows if row["grid"] == grid and "cpu_s" in row}
        if "POT" in times:
            rows[-1]["times the separable solver's CPU"] = times["POT"] / times["separable"]
        print(*rows[-4:], sep="\n", flush=True)
    return rows


def _agreement() -> list[dict[str, Any]]:
    rows = []
    reference, target = _pair()
    mask = reference.maps["left lung"]
    for grid in (14, 56):
        fitted = UnbalancedTransport.released(grid=grid).fit(reference.image, target.image)
        heat = fitted.transport(mask).heat[0].numpy()
        problem = fitted.problem
        a, b = problem.a[0].numpy(), problem.b[0].numpy()
        inside = to_grid(mask.astype(float), grid, "nearest")[a > 0] > 0.5
        plans = {
            "dense replica": _dense(problem),
            "POT, stopThr 1e-9": _pot(problem, 1e-9),
            "POT, stopThr 1e-6 (stops before it is there)": _pot(problem),
        }
        for name, plan in plans.items():
            difference = float(np.abs(heat[b > 0] - plan[inside].sum(0)).max())
            rows.append({"grid": grid, "beside": name, "largest heat": float(heat.max()), "difference": difference})
    return rows


def _small_epsilon() -> list[dict[str, Any]]:
    rows = []
    reference, target = _pair()
    for rho in (0.01, 0.1, 1.0):
        for epsilon in (0.05, 0.01, 0.001, 0.0001):
            transport = UnbalancedTransport(epsilon=epsilon, rho=rho, mass="intensity")
            started = time.process_time()
            fitted = transport.fit(reference.image, target.image)
            seconds = time.process_time() - started
            row = {"rho": rho, "epsilon": epsilon, "converged": fitted.converged, "iterations": fitted.iterations}
            rows.append(row | {"residual": fitted.residual, "mass": fitted.mass, "cpu_s": seconds})
    return rows


def _onto_itself() -> list[dict[str, Any]]:
    phantoms = [chest(seed, (224, 224)) for seed in SELF_SEEDS]
    settings = {
        "published": UnbalancedTransport.released(),
        "published plan, as a warp": UnbalancedTransport.released(readout="warp"),
        "default": UnbalancedTransport(),
    }
    rows = []
    for name, transport in settings.items():
        found: dict[str, list[float]] = {concept: [] for concept in CONCEPTS}
        for phantom in phantoms:
            moved = transport.fit(phantom.image, phantom.image).transport(phantom.concepts).mask.numpy()
            for concept, mask, truth in zip(CONCEPTS, moved, phantom.concepts, strict=True):
                found[concept].append(box_iou(mask, truth))
        rows.append({"settings": name} | {concept: float(np.mean(values)) for concept, values in found.items()})
    return rows


def box_iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Of the tight boxes of two masks."""
    return box_overlap(_corners(first), _corners(second))["iou"]


def _corners(mask: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    box = tight_box(mask)
    if box is None:
        return []
    (top, bottom), (left, right) = box
    return [(left, top, right, bottom)]


if __name__ == "__main__":
    raise SystemExit(main())
