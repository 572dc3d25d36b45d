# SPDX-License-Identifier: Apache-2.0
"""Ray: workers as actors, on this machine or on a cluster that runs already. Where they go is Ray's matter.

An actor loads its network once, and has a share of a GPU if the configuration says so. Asking for more actors than fit
makes a cluster grow that can; those that find no place wait, and the others work meanwhile. All machines must see the
folder of the cohort.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from monai_causal.apps.study.lines import reason_of
from monai_causal.cohort.config import RunConfig
from monai_causal.cohort.engines.base import STARTS
from monai_causal.cohort.messages import Event, Finished, Lost, Order, Task, Unfit
from monai_causal.extras import require

__all__ = ["RayEngine"]


@dataclass(eq=False)
class _Actor:
    """A worker on Ray."""

    handle: Any
    answer: Any
    """What is awaited of it: that it is ready, or what came of its task."""
    since: float
    ready: bool = False
    task: Task | None = None


class RayEngine:
    """Workers on Ray.

    Args:
        config: how many, what they need, and how patient to be with them.
        address: of a cluster; None starts Ray on this machine, for this run alone.

    Raises:
        MissingExtraError: Ray is not installed.
    """

    def __init__(self, config: RunConfig, address: str | None = None) -> None:
        # Before it is imported: nothing is told to anybody outside.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ray = require("ray")
        self.config, self.address = config, address
        self._actors: list[_Actor] = []
        self._order: Order | None = None
        self._deaths = 0
        self._begun = False

    def open(self, order: Order, alone: bool = False) -> None:
        """See :class:`~monai_causal.cohort.engines.base.Engine`."""
        self._end_actors()
        self._begin()
        self._order, self._alone, self._deaths = replace(order, search=tuple(sys.path)), alone, 0
        for _ in range(1 if alone else self.config.workers):
            self._start()

    @property
    def room(self) -> int:
        """See :class:`~monai_causal.cohort.engines.base.Engine`."""
        return sum(one.ready and one.task is None for one in self._actors)

    def hand(self, task: Task) -> None:
        """See :class:`~monai_causal.cohort.engines.base.Engine`."""
        one = next(one for one in self._actors if one.ready and one.task is None)
        one.task, one.since, one.answer = task, time.monotonic(), one.handle.work.remote(task)

    def hear(self, patience: float) -> list[Event]:
        """See :class:`~monai_causal.cohort.engines.base.Engine`."""
        awaited = {one.answer: one for one in self._actors if one.answer is not None}
        if not awaited:
            return []
        found, _ = self._ray.wait(
            list(awaited), num_returns=len(awaited), timeout=min(patience, self._until_due(), 0.005)
        )
        if not found:  # nobody is ready yet: wait for the first one
            found, _ = self._ray.wait(list(awaited), num_returns=1, timeout=min(patience, self._until_due()))
        events = [event for answer in found for event in self._listen(awaited[answer])]
        for one, reason in self._overdue():
            events += self._bury(one, reason)
        return events

    def close(self) -> None:
        """See :class:`~monai_causal.cohort.engines.base.Engine`."""
        self._end_actors()
        if self._begun:
            self._ray.shutdown()
            self._begun = False

    def _begin(self) -> None:
        if self._begun:
            return
        options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        if self.address is None:
            # As many places as workers ask for: on one machine they share what cores there are.
            places = max(1.0, self.config.workers * self.config.cpus)
            options |= {"address": "local", "include_dashboard": False, "num_cpus": -(-places // 1)}
        else:
            options["address"] = self.address
        try:
            self._ray.init(**options)
        except (ConnectionError, OSError, ValueError, RuntimeError) as error:
            where = "on this machine" if self.address is None else "at this address"
            raise ValueError(f"Ray cannot be reached or started {where}: {' '.join(str(error).split())}") from None
        self._begun = True
        there = self._ray.cluster_resources().get("GPU", 0.0)
        if self.address is None and self.config.gpus > there:
            # On a cluster a node with one may still come; here a worker would wait for ever.
            raise ValueError(
                f"run.gpus: {self.config.gpus:g}: Ray sees {there:g} GPUs on this machine: say 0, or give the "
                "address of a cluster."
            )

    def _start(self) -> None:
        assert self._order is not None
        gpus = max(1.0, self.config.gpus) if self._alone and self.config.gpus else self.config.gpus
        actor = self._ray.remote(_Remote).options(num_cpus=self.config.cpus, num_gpus=gpus, max_restarts=0)
        handle = actor.remote(self._order)
        self._actors.append(_Actor(handle, handle.begin.remote(), time.monotonic()))

    def _listen(self, one: _Actor) -> Iterator[Event]:
        try:
            said = self._ray.get(one.answer)
        except self._ray.exceptions.RayActorError:
            yield from self._bury(one, "the worker died")
            return
        except self._ray.exceptions.RayError as error:
            yield from self._bury(one, f"the worker failed ({type(error).__name__})")
            return
        one.answer, one.since = None, time.monotonic()
        if one.task is None:
            one.ready = True
            if said is not None:
                yield Unfit(said)
            return
        task, one.task = one.task, None
        self._deaths = 0
        yield Finished(task, said)
        if self._alone and any(report.status == "memory" for report in said):
            # The next one that runs alone begins with the whole memory.
            yield from self._bury(one, "memory ran out")

    def _bury(self, one: _Actor, reason: str) -> list[Event]:
        """End an actor, ask for another in its place, and say what becomes of its task."""
        if one not in self._actors:
            return []
        self._actors.remove(one)
        with suppress(Exception):  # it may be dead already, in one of many ways
            self._ray.kill(one.handle, no_restart=True)
        self._deaths += not one.ready
        if self._deaths >= STARTS:
            return [Unfit(f"{STARTS} workers in a row died before they were ready; the last one: {reason}")]
        self._start()
        return [] if one.task is None else [Lost(one.task, reason)]

    def _overdue(self) -> list[tuple[_Actor, str]]:
        now = time.monotonic()
        return [
            (one, f"it took more than {self.config.timeout:g} s")
            for one in self._actors
            if one.task is not None and now - one.since > self._limit(one.task)
        ]

    def _until_due(self) -> float:
        now = time.monotonic()
        due = [one.since + self._limit(one.task) for one in self._actors if one.task is not None]
        return max(0.0, min(due, default=now + 60.0) - now) + 0.01

    def _limit(self, task: Task) -> float:
        return self.config.timeout * len(task.items)

    def _end_actors(self) -> None:
        for one in self._actors:
            with suppress(Exception):  # it may be dead already, in one of many ways
                self._ray.kill(one.handle, no_restart=True)
        self._actors = []


class _Remote:
    """What runs in an actor."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._worker: Any = None

    def begin(self) -> str | None:
        """Load the job; what it lacks, in words, or None."""
        from monai_causal.cohort.working import Worker, prepare

        try:
            prepare(self._order)
            self._worker = Worker(self._order)
        except Exception as error:  # whatever a job lacks, the driver tells it
            return reason_of(error)
        return None

    def work(self, task: Task) -> Any:
        """What came of a task."""
        return self._worker(task)
