# SPDX-License-Identifier: Apache-2.0
"""False discovery rate and power of the rules on made-up regions whose effects are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from bench_page import Section
from numpy.typing import NDArray

from monai_causal.visualize.sampling import PaperRule, Rule, SequentialRule

__all__ = ["NAME", "Tally", "run"]

NAME = "simulation"
TAU = 0.02

Floats = NDArray[np.float64]
Draw = Callable[[NDArray[np.int64], int], Floats]
RULES: dict[str, Rule] = {"sequential": SequentialRule(), "paper": PaperRule()}


def run(quick: bool, seed: int) -> Section:
    """All populations, both rules."""
    repeats, regions = (4, 200) if quick else (200, 1000)
    rows = []
    for kind in ("normal 0.005", "normal 0.01", "normal 0.02", "normal 0.04", "flips", "one-sided"):
        tallies = {name: Tally() for name in RULES}
        for repeat in range(repeats):
            for name, rule in RULES.items():
                draw, truth = _population(kind, regions, np.random.default_rng((seed, repeat)))
                tallies[name].add(rule, draw, truth)
        rows += [{"population": kind, "rule": name, **tally.row()} for name, tally in tallies.items()]
    worst = max(row["FDR"] for row in rows if row["rule"] == "sequential" and row["population"] != "one-sided")
    skewed = next(row["FDR"] for row in rows if row["rule"] == "sequential" and row["population"] == "one-sided")
    return Section(
        NAME,
        "False calls and missed effects, where the truth is made up",
        f"{repeats} repeats of {regions:,} regions, 100 per 1,000 with |ATE| from 0.05 to 0.5 (flips: a chance "
        f"per draw that makes 0.04 to 0.4), 200 per 1,000 exactly at tau = {TAU}, all others with less. Normal: "
        "noise of that standard deviation. Flips: 0 but for rare draws of one size, as a hard Dice gives. One-sided: a "
        "small effect in most draws and a large opposite one in few, so that the mean is within tau: "
        "what the rule's docstring "
        "names as its limit. Pass: the sequential rule's false discovery rate is at most 0.05 on all but the "
        "one-sided population; that one is reported.",
        rows,
        [
            f"{'reached' if worst <= 0.05 else 'MISSED'}: the sequential rule's largest false discovery rate is "
            f"{worst:.3f}, one-sided regions apart.",
            f"On one-sided regions it is {skewed:.2f}: the limit is real.",
        ],
    )


class Tally:
    """Counts over repeats."""

    def __init__(self) -> None:
        self.found: list[tuple[float, float, float, float]] = []

    def add(self, rule: Rule, draw: Draw, truth: Floats) -> None:
        spent = 0

        def ask(rows: Sequence[int], draws: range) -> Floats:
            nonlocal spent
            spent += len(rows) * len(draws)
            return draw(np.asarray(rows), len(draws))

        verdict = rule.sample(ask, len(truth))
        null = np.abs(truth) <= TAU + 1e-12
        called = verdict.relevant
        self.found.append(
            (
                (called & null).sum() / max(1, called.sum()),
                (called & ~null).sum() / max(1, (~null).sum()),
                float((called == ~null).mean()),
                spent,
            )
        )

    def row(self) -> dict[str, Any]:
        rate, power, agreement, spent = np.mean(self.found, axis=0).tolist()
        return {"FDR": rate, "power": power, "decisions right": agreement, "evaluations": round(spent)}


def _population(kind: str, regions: int, rng: np.random.Generator) -> tuple[Draw, Floats]:
    """How to draw from the regions, and their true effects."""
    causal, edge = regions // 10, regions // 5
    sign = rng.choice([-1, 1], regions)
    if kind.startswith("normal"):
        spread = float(kind.split()[1])
        mean = sign * rng.uniform(0, TAU, regions)
        mean[:causal] = (sign * rng.uniform(0.05, 0.5, regions))[:causal]
        mean[causal : causal + edge] = TAU
        return lambda rows, n: mean[rows][:, None] + spread * rng.standard_normal((len(rows), n)), mean
    if kind == "flips":
        size = rng.choice([0.05, 0.1, 0.2, 0.4], regions)
        chance = rng.uniform(0, TAU, regions) / size
        chance[:causal] = np.minimum(1, (rng.uniform(0.04, 0.4, regions) / size)[:causal])
        chance[causal : causal + edge] = TAU / size[causal : causal + edge]
        return (
            lambda rows, n: (sign * size)[rows][:, None] * (rng.random((len(rows), n)) < chance[rows][:, None]),
            sign * size * chance,
        )
    usual, chance = rng.uniform(0.03, 0.1, regions), rng.uniform(0.05, 0.3, regions)
    mean = rng.uniform(-TAU, TAU, regions)
    rare = (usual * (1 - chance) - mean) / chance
    rare[:causal] = 0
    mean = usual * (1 - chance) - rare * chance
    return (
        lambda rows, n: np.where(
            rng.random((len(rows), n)) < chance[rows][:, None], -rare[rows][:, None], usual[rows][:, None]
        ),
        mean,
    )
