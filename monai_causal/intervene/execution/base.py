# SPDX-License-Identifier: Apache-2.0
"""What every execution does: look at one image, then answer any number of interventions on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from monai_causal.intervene.execution.session import Session, is_out_of_memory
from monai_causal.intervene.fills import Fill, Replacement
from monai_causal.intervene.regions import Box, Region, Regions
from monai_causal.intervene.scores import as_slices

__all__ = ["Answers", "BatchSize", "Execution", "Job", "PreparedFill", "crop", "intervene"]


@dataclass(frozen=True)
class Job:
    """One intervention: a region (or a component) and the number of the draw; ``row`` is its place among all of
    them."""

    row: int
    region: Any
    draw: int


@dataclass(frozen=True)
class Answers:
    """Outputs ``(jobs, K, *box)`` of some jobs, cropped to the box that the score reads.

    ``changed`` is the part of them, in the box's own coordinates, that was computed and not copied from the first
    answer; ``None``: all. Jobs whose ``outputs`` are ``None`` provably cannot change the score.
    """

    jobs: Sequence[Job]
    outputs: Tensor | None
    changed: Box | None = None


class BatchSize:
    """How many interventions run at once; halved when memory runs out, and the halving is noted."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.notes: list[str] = []

    def run(self, jobs: Sequence[Job], compute: Callable[[Sequence[Job]], Any]) -> Iterator[tuple[Sequence[Job], Any]]:
        """``compute`` over all jobs, in batches; a batch that does not fit is tried again at half the size."""
        start = 0
        while start < len(jobs):
            chunk = jobs[start : start + self.size]
            try:
                result = compute(chunk)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or len(chunk) == 1:
                    raise
                self.size = len(chunk) // 2
                self.notes.append(f"memory ran out with {len(chunk)} interventions at once; went on with {self.size}")
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                continue
            yield chunk, result
            start += len(chunk)


@dataclass(frozen=True)
class PreparedFill(Fill):
    """A fill that has looked at the image already."""

    replacement: Replacement

    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        return self.replacement


class Execution(ABC):
    """Runs interventions on one image at a time.

    Attributes:
        name: what the record calls it.
        exact: every output is, to the bit, that of a plain forward of one item.
    """

    name: str
    exact: bool = False

    def __init__(self, session: Session, batch: BatchSize) -> None:
        self.session = session
        self.batch = batch

    @abstractmethod
    def open(self, image: Tensor, regions: Any, fill: Fill, seed: int) -> Tensor:
        """Look at ``image`` (1, C, *spatial): prepare the fill, make the one base forward, return its output."""

    @abstractmethod
    def run(self, jobs: Sequence[Job], box: Box | None) -> Iterator[Answers]:
        """Answer the jobs, in any order, as far as ``box`` of the output."""

    @abstractmethod
    def alone(self, job: Job, box: Box | None) -> Tensor:
        """The output ``(1, K, *box)`` of one job from a whole forward by itself: what all others are measured
        against."""


def intervene(buffer: Tensor, jobs: Sequence[Job], replacement: Replacement) -> list[Tensor]:
    """``do(region := fill)`` on each item of a batch in place; the views ``(C, *region.shape)`` that were written."""
    views = []
    for item, job in enumerate(jobs):
        region: Region = job.region
        view = buffer[item][region.index]
        region.write(view, replacement(region, job.draw))
        views.append(view)
    return views


def crop(output: Tensor, box: Box | None) -> Tensor:
    """The box of an output ``(B, K, *spatial)``."""
    return output if box is None else output[(slice(None), slice(None), *as_slices(box))]
