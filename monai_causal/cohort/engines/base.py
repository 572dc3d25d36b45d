# SPDX-License-Identifier: Apache-2.0
"""What the driver asks of an engine."""

from __future__ import annotations

from typing import Protocol

from monai_causal.cohort.messages import Event, Order, Task

__all__ = ["STARTS", "Engine"]

STARTS = 10
"""Workers in a row that may die before they are ready, until a run gives up."""


class Engine(Protocol):
    """Workers that are started, fed, listened to, replaced when they die, and stopped."""

    def open(self, order: Order, alone: bool = False) -> None:
        """Start workers; one, and nothing beside it, where tasks are to run alone."""

    @property
    def room(self) -> int:
        """How many further tasks workers take now."""

    def hand(self, task: Task) -> None:
        """Give a task to a worker that has room."""

    def hear(self, patience: float) -> list[Event]:
        """What happened; waits for something to happen, but not longer than ``patience`` seconds."""

    def close(self) -> None:
        """End all workers, whatever they are at. It may be called at any time, and again."""
