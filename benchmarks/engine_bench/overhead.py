# SPDX-License-Identifier: Apache-2.0
"""What everybody adds to the network: the cost per perturbation where the network is free."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engine_bench.contenders import PEERS, Question, forwards_alone, ours
from engine_bench.report import Column, Outcome, Part, Row, Setting, Verdict, facts, spread, timed_row
from engine_bench.timing import Contender, Place, Spread, Timing, interleaved

__all__ = ["PART"]

LIMIT_MICROSECONDS = 50
LIMIT_TIMES_LESS = 20
BATCHES = (1, 16)
OURS, ABLATION = "ours, dense", "captum FeatureAblation"


def _cases(setting: Setting) -> dict[str, tuple[tuple[int, ...], int]]:
    """Shape and edge of a cell by name."""
    full = {"224x224": ((224, 224), 16), "512x512": ((512, 512), 32), "96^3": ((96, 96, 96), 16)}
    quick = {"224x224": ((32, 32), 8), "512x512": ((64, 64), 8), "96^3": ((16, 16, 16), 4)}
    return setting.pick(full, quick)


def _plan(setting: Setting) -> str:
    listed = ", ".join(f"{name}: {_cells(*case)}" for name, case in _cases(setting).items())
    return (
        "a network that costs nothing, one channel, the score is one voxel of its output; overhead = total - the "
        f"network's own time, per perturbation ({listed}), batch 1 and 16, "
        f"{setting.pick(3, 2)} rounds after one that does not count. Two such networks: one returns its input, one "
        "a tensor of its own, as a real network does. Pass, for both and either batch: at most "
        f"{LIMIT_MICROSECONDS} microseconds at 224x224, and at 96^3 at least {LIMIT_TIMES_LESS} times less than "
        "captum FeatureAblation."
    )


def _run(setting: Setting, place: Place) -> Outcome:
    rows: list[Row] = []
    slowest: dict[str, tuple[float, str]] = {}
    smallest: tuple[Spread, str] | None = None
    for size, (shape, patch) in _cases(setting).items():
        image = torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(setting.seed)).to(place.device)
        for kind, network in _free_networks(image).items():
            question = Question(network, image, patch, _first_voxel, ((0, 1),) * len(shape))
            case = f"{size}, {kind}"
            for batch in BATCHES:
                floor, *timings = interleaved(
                    _contenders(question, batch), setting.pick(3, 2), place, f"overhead, {case}, batch {batch}"
                )
                overheads = {timing.contender.name: _overhead(timing, floor, place) for timing in timings}
                for timing in timings:
                    own = overheads[timing.contender.name]
                    row = timed_row(
                        PART.name,
                        case,
                        timing,
                        place,
                        microseconds=Spread.of(own),
                        times_ours=_ratio(own, overheads[OURS]),
                    )
                    rows.append(row)
                ours_microseconds = Spread.of(overheads[OURS]).median
                if size == "224x224" and ours_microseconds > slowest.get(size, (0.0, ""))[0]:
                    slowest[size] = ours_microseconds, f"{kind}, batch {batch}"
                less = _ratio(overheads[ABLATION], overheads[OURS])
                if size == "96^3" and (smallest is None or less.median < smallest[0].median):
                    smallest = less, f"{kind}, batch {batch}"
    assert smallest is not None
    microseconds, where = slowest["224x224"]
    return Outcome(
        rows,
        [
            Verdict(
                f"overhead per perturbation, 224x224, free network: at most {LIMIT_MICROSECONDS} microseconds",
                str(place),
                f"worst {microseconds:.3g} ({where})",
                microseconds <= LIMIT_MICROSECONDS,
            ),
            Verdict(
                f"overhead per perturbation, 96^3, free network: at least {LIMIT_TIMES_LESS}x less than captum "
                "FeatureAblation",
                str(place),
                f"smallest {spread(smallest[0])} ({smallest[1]})",
                smallest[0].median >= LIMIT_TIMES_LESS,
            ),
        ],
    )


def _free_networks(image: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    answer = image.repeat(max(BATCHES), *(1,) * (image.ndim - 1))
    return {"returns its input": lambda batch: batch, "returns its own tensor": lambda batch: answer[: len(batch)]}


def _contenders(question: Question, batch: int) -> list[Contender]:
    count = len(question.regions)

    def peer(name: str) -> Contender:
        return Contender(name, "peer", lambda: PEERS[name](question, batch), count, batch)

    return [
        Contender("forwards alone", "floor", lambda: forwards_alone(question, batch, count), count, batch),
        Contender(OURS, "ours", lambda: ours(question, batch), count, batch),
        *map(peer, PEERS),
    ]


def _first_voxel(cropped: Tensor) -> Tensor:
    return cropped.flatten(1)[:, 0]


def _overhead(timing: Timing, floor: Timing, place: Place) -> list[float]:
    """Microseconds per perturbation beyond the network's own, round by round."""
    pairs = zip(timing.seconds(place.clock), floor.seconds(place.clock), strict=True)
    return [1e6 * (total - own) for total, own in pairs]


def _ratio(first: list[float], second: list[float]) -> Spread:
    return Spread.of([a / b for a, b in zip(first, second, strict=True)])


def _cells(shape: tuple[int, ...], patch: int) -> int:
    count = 1
    for length in shape:
        count *= length // patch
    return count


COLUMNS: list[Column] = [
    ("case", lambda row: row.case),
    ("contender", lambda row: row.contender),
    ("batch", lambda row: str(row.batch_size)),
    ("items", lambda row: str(row.items)),
    ("rounds", lambda row: str(row.rounds)),
    ("overhead, microseconds", facts("microseconds")[0][1]),
    ("times ours", facts("times_ours")[0][1]),
]

PART = Part("overhead", "Overhead per perturbation", _plan, _run, COLUMNS)
