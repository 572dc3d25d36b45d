# SPDX-License-Identifier: Apache-2.0
"""Stopwatches: contenders take turns, and a ratio is formed within each round before a median is taken."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from tqdm.auto import tqdm

__all__ = ["Clock", "Contender", "Kind", "Place", "Spread", "Timing", "interleaved", "relative"]

Clock = Literal["cpu", "wall"]
Kind = Literal["ours", "peer", "floor"]
"""``floor``: what nobody who runs whole forwards can be faster than, such as the forwards alone."""


@dataclass(frozen=True)
class Place:
    """Where a part runs.

    Attributes:
        device: on which device.
        threads: with how many threads of PyTorch.
        brief: a repetition at another number of threads: fewer rounds, and only what a target is about.
        final: the last place for its device, so the one with the most threads.
    """

    device: torch.device
    threads: int
    brief: bool = False
    final: bool = True

    @property
    def clock(self) -> Clock:
        """What a target is judged on: processor time, or on an accelerator the time that passes."""
        return "cpu" if self.device.type == "cpu" else "wall"

    def __str__(self) -> str:
        return f"{self.device.type}, {self.threads} thread{'s' if self.threads > 1 else ''}"


class Spread(NamedTuple):
    """A median and the extremes."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def inverse(self) -> Spread:
        return Spread(1 / self.median, 1 / self.high, 1 / self.low)


@dataclass(frozen=True)
class Contender:
    """Something that takes part: ``run`` answers ``items`` interventions, in batches of ``batch_size``."""

    name: str
    kind: Kind
    run: Callable[[], Any]
    items: int
    batch_size: int


@dataclass(frozen=True)
class Timing:
    """Seconds per item of one contender, round by round, and what it returned last."""

    contender: Contender
    cpu: tuple[float, ...]
    wall: tuple[float, ...]
    result: Any

    def seconds(self, clock: Clock) -> tuple[float, ...]:
        return self.cpu if clock == "cpu" else self.wall


def interleaved(
    contenders: Sequence[Contender], rounds: int, place: Place, title: str, *, warm_up: bool = True
) -> list[Timing]:
    """Run all contenders in turn, ``rounds`` times; a round before that warms caches and is not counted."""
    readings: list[list[tuple[float, float]]] = [[] for _ in contenders]
    results: list[Any] = [None] * len(contenders)
    with tqdm(total=(rounds + warm_up) * len(contenders), desc=title, disable=None, leave=False) as bar:
        for number in range(-int(warm_up), rounds):
            for place_in_row, contender in enumerate(contenders):
                results[place_in_row], reading = _read(contender.run, place.device)
                if number >= 0:
                    readings[place_in_row].append(reading)
                bar.update()
    return [
        Timing(
            contender,
            tuple(cpu / contender.items for cpu, _ in rows),
            tuple(wall / contender.items for _, wall in rows),
            result,
        )
        for contender, rows, result in zip(contenders, readings, results, strict=True)
    ]


def relative(timing: Timing, reference: Timing, clock: Clock) -> Spread:
    """How many times the reference's cost per item, as a median over the rounds."""
    pairs = zip(timing.seconds(clock), reference.seconds(clock), strict=True)
    return Spread.of([own / other for own, other in pairs])


def _read(run: Callable[[], Any], device: torch.device) -> tuple[Any, tuple[float, float]]:
    _wait(device)
    cpu, wall = time.process_time(), time.perf_counter()
    result = run()
    _wait(device)
    return result, (time.process_time() - cpu, time.perf_counter() - wall)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
