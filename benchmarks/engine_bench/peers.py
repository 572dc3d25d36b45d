# SPDX-License-Identifier: Apache-2.0
"""Everybody side by side, on real networks."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from engine_bench.contenders import PEERS, Question, forwards_alone, mean_probability, ours
from engine_bench.networks import NETWORKS, seeded
from engine_bench.report import TIMES, Outcome, Part, Row, Setting, Verdict, facts, timed_row
from engine_bench.timing import Contender, Place, interleaved
from monai_causal.intervene import Effects

__all__ = ["PART"]

BATCHES = (1, 16)
LIMIT = 1e-5


def _cells(setting: Setting) -> list[int]:
    """Edge of the grid's cells for each network."""
    return setting.pick([16, 56, 56, 56], [16, 16, 16, 16])


def _plan(setting: Setting) -> str:
    size = setting.pick(224, 64)
    grids = ", ".join(
        f"{name} {size // cell}x{size // cell}" for name, cell in zip(NETWORKS, _cells(setting), strict=True)
    )
    return (
        f"everybody answers the same question, each cell of a grid over {size}x{size} set to zero ({grids}), the mean "
        f"foreground probability in a box in the middle, batch 1 and 16, {setting.pick(2, 1)} rounds. No target: the "
        "model dominates. `auto` and `incremental` choose among ways to run fewer multiplications; what they chose is "
        "in the row. Nobody's answer may differ from our dense one by more than "
        f"{LIMIT:g}, else they did not answer the same question."
    )


def _run(setting: Setting, place: Place) -> Outcome:
    size = setting.pick(224, 64)
    middle = ((3 * size // 8, 5 * size // 8),) * 2
    image = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(setting.seed)).to(place.device)
    rows: list[Row] = []
    for (name, make), cell in zip(NETWORKS.items(), _cells(setting), strict=True):
        question = Question(seeded(make, setting.seed, place.device), image, cell, mean_probability, middle)
        count = len(question.regions)
        for batch in setting.pick(BATCHES, BATCHES[1:]):
            forwards_alone(question, batch, batch)  # memory that is touched for the first time costs the first one
            timings = interleaved(
                [
                    Contender("forwards alone", "floor", partial(forwards_alone, question, batch, count), count, batch),
                    Contender("ours, dense", "ours", partial(ours, question, batch), count, batch),
                    Contender("ours, auto", "ours", partial(ours, question, batch, "auto"), count, batch),
                    *(
                        Contender(peer, "peer", partial(answer, question, batch), count, batch)
                        for peer, answer in PEERS.items()
                    ),
                ],
                setting.pick(2, 1),
                place,
                f"peers, {name}, batch {batch}",
                warm_up=False,
            )
            floor, dense = timings[:2]
            for timing in timings:
                row = timed_row(PART.name, name, timing, place, None if timing is floor else floor)
                if timing.result is not None:
                    row.facts["largest_difference"] = float(
                        (_values(timing.result) - _values(dense.result)).abs().max()
                    )
                if isinstance(timing.result, Effects):
                    record = timing.result.record
                    row.facts["execution"] = f"{record.execution}: {record.reason}"
                rows.append(row)
    largest = max(row.facts.get("largest_difference", 0.0) for row in rows)
    verdict = Verdict(
        f"all answers within {LIMIT:g} of our dense one",
        str(place),
        f"largest difference {largest:.2g}",
        largest <= LIMIT,
    )
    return Outcome(rows, [verdict])


def _values(answer: Effects | Tensor) -> Tensor:
    """One effect per cell, float64 on the CPU."""
    return (answer.values[:, 0] if isinstance(answer, Effects) else answer).double().cpu()


COLUMNS = [*TIMES, *facts("largest_difference", "execution")]

PART = Part("peers", "Side by side with the peers", _plan, _run, COLUMNS)
