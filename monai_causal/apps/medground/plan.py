# SPDX-License-Identifier: Apache-2.0
"""What is evaluated: image by image, so that what its questions share is worked out once. Nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Item", "Task", "items_of", "shard_of", "tasks_of"]


@dataclass(frozen=True)
class Item:
    """One line of the journal to be: a method on a sample in a mode."""

    mode: str
    index: int
    finding: str
    case: str
    method: str

    @property
    def key(self) -> str:
        return f"{self.mode}|{self.case}|{self.finding}|{self.index}|{self.method}"


@dataclass(frozen=True)
class Task:
    """An image with its samples: their modes and indices."""

    case: str
    samples: tuple[tuple[str, int, str], ...]
    """Mode, index and finding of each."""


def tasks_of(kept: Mapping[str, Iterable[Mapping[str, Any]]], limit: int | None = None) -> list[Task]:
    """The images of a benchmark.

    Args:
        kept: by mode, the fates of its samples, in order; those without boxes have nothing to be found and are left
            out.
        limit: only the first so many samples of each mode.
    """
    cases: dict[str, list[tuple[str, int, str]]] = {}
    for mode, samples in kept.items():
        placed = [one for one in samples if one["positive"] and one["boxes"]]
        for one in placed[:limit]:
            cases.setdefault(one["case"], []).append((mode, one["index"], one["finding"]))
    return [Task(case, tuple(samples)) for case, samples in cases.items()]


def items_of(tasks: Sequence[Task], methods: Sequence[str]) -> list[Item]:
    """All lines, image by image, mode by mode."""
    return [
        Item(mode, index, finding, task.case, method)
        for task in tasks
        for mode, index, finding in task.samples
        for method in methods
    ]


def shard_of(tasks: Sequence[Task], shard: tuple[int, int]) -> list[Task]:
    """The i-th of n parts of the images.

    Example:
        >>> shard_of([Task(name, ()) for name in "abc"], (1, 2))
        [Task(case='a', samples=()), Task(case='c', samples=())]
    """
    return list(tasks[shard[0] - 1 :: shard[1]])
