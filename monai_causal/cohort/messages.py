# SPDX-License-Identifier: Apache-2.0
"""What driver, engines and workers say to each other: plain data that every way of sending takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from monai_causal.cohort.items import Item

__all__ = ["Event", "Finished", "Lost", "Order", "Report", "Status", "Task", "Unfit"]

Status = Literal["done", "failed", "memory", "full"]
"""Of an item: done; failed with a reason; memory ran out even with the item alone in its batch; the disk is full."""


@dataclass(frozen=True)
class Order:
    """What a worker needs to know before its first task.

    Args:
        job: its name.
        settings: of the job.
        staging: folder for outputs that are not published yet; on Ray, all machines see it.
        threads: of the libraries.
        search: folders that modules are found in, beside the installed ones.
    """

    job: str
    settings: Mapping[str, Any] = field(repr=False)
    staging: str = field(repr=False)
    threads: int = 1
    search: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Task:
    """Items for one worker at once.

    Args:
        number: of the task; no other task of the run has it.
        items: neighbours in the listing.
        alone: nothing else runs meanwhile.
    """

    number: int
    items: tuple[Item, ...]
    alone: bool = False


@dataclass(frozen=True)
class Report:
    """What came of an item.

    Args:
        number: of the item.
        status: see :data:`Status`.
        reason: why it failed; empty if it did not.
        staged: the folder of its output, to be published.
        input: digest of what it was made of; empty where it could not be read.
        mark: see :class:`monai_causal.cohort.inputs.Input`.
        output: digest of its record.
        size: bytes of its output.
        seconds: that it took; of items that ran together, the same share each.
        notes: what did not go the straight way.
    """

    number: int
    status: Status
    reason: str = ""
    staged: str = field(default="", repr=False)
    input: str = ""
    mark: str = field(default="", repr=False)
    output: str = ""
    size: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finished:
    """A worker has answered a task."""

    task: Task
    reports: tuple[Report, ...]


@dataclass(frozen=True)
class Lost:
    """A worker died, or was ended, over a task.

    Args:
        task: it.
        reason: why.
        guilty: False where the task had only waited for its turn.
    """

    task: Task
    reason: str
    guilty: bool = True


@dataclass(frozen=True)
class Unfit:
    """A worker cannot begin: settings, weights or libraries are wrong. Every other would say the same."""

    reason: str
    kind: str = "ValueError"


Event = Finished | Lost | Unfit
