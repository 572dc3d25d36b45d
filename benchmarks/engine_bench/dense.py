# SPDX-License-Identifier: Apache-2.0
"""Dense against the forwards alone."""

from __future__ import annotations

from functools import partial

import torch

from engine_bench.contenders import Question, forwards_alone, mean_probability, ours
from engine_bench.networks import NETWORKS, seeded
from engine_bench.report import TIMES, Outcome, Part, Row, Setting, Verdict, spread, timed_row
from engine_bench.timing import Contender, Place, Spread, interleaved

__all__ = ["PART"]

LIMIT = 1.05
BATCHES = (1, 16)


def _plan(setting: Setting) -> str:
    size, rounds = setting.pick(224, 64), setting.pick(5, 2)
    counts = ", ".join(f"{name} {count}" for name, count in _counts(setting).items())
    return (
        f"the same number of forwards in the same batches, {size}x{size}, 16x16 cells set to zero, batch 1 and 16, "
        f"{rounds} rounds after one that does not count; evenly chosen cells ({counts}). Pass: the median cost of our "
        f"dense run is at most {LIMIT} times that of the forwards alone, for every network and batch."
    )


def _counts(setting: Setting) -> dict[str, int]:
    """How many cells for each network."""
    return dict(zip(NETWORKS, setting.pick((96, 48, 48, 16), (16, 16, 16, 16)), strict=True))


def _run(setting: Setting, place: Place) -> Outcome:
    size = setting.pick(224, 64)
    rounds = setting.pick(3 if place.brief else 5, 2)
    rows: list[Row] = []
    worst: tuple[Spread, str] | None = None
    for name, make in NETWORKS.items():
        image = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(setting.seed)).to(place.device)
        question = Question(
            seeded(make, setting.seed, place.device), image, 16, mean_probability, ((0, size), (0, size))
        )
        count = _counts(setting)[name]
        regions = question.regions.subset(i * len(question.regions) // count for i in range(count))
        for batch in BATCHES:
            floor, dense = interleaved(
                [
                    Contender("forwards alone", "floor", partial(forwards_alone, question, batch, count), count, batch),
                    Contender("ours, dense", "ours", partial(ours, question, batch, regions=regions), count, batch),
                ],
                rounds,
                place,
                f"dense, {name}, batch {batch}",
            )
            rows += [timed_row(PART.name, name, floor, place), timed_row(PART.name, name, dense, place, floor)]
            times = rows[-1].times_cpu if place.clock == "cpu" else rows[-1].times_wall
            assert times is not None
            if worst is None or times.median > worst[0].median:
                worst = times, f"{name}, batch {batch}"
    assert worst is not None
    verdict = Verdict(
        f"dense against the forwards alone, batch 1 and 16: at most {LIMIT}x",
        str(place),
        f"worst {spread(worst[0])} ({worst[1]})",
        worst[0].median <= LIMIT,
    )
    return Outcome(rows, [verdict])


PART = Part("dense", "Dense against the forwards alone", _plan, _run, TIMES, every_place=True)
