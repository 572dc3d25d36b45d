# SPDX-License-Identifier: Apache-2.0
"""The driver: hands items to an engine and records what comes of them. It alone publishes and writes the journal.

An output is moved to its place first and journalled then: the journal's row is the commit. What was published and not
journalled when the driver was killed is made again and takes the same place, so that everything is done once in effect.
"""

from __future__ import annotations

import errno
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from monai_causal.cohort.engines.base import Engine
from monai_causal.cohort.items import Item, named
from monai_causal.cohort.journal import Journal
from monai_causal.cohort.messages import Finished, Lost, Order, Report, Task, Unfit
from monai_causal.cohort.outputs import Store
from monai_causal.cohort.progress import Progress

__all__ = ["DiskFullError", "Driver"]

logger = logging.getLogger(__name__)

_PATIENCE = 1.0


class DiskFullError(OSError):
    """The run stopped because there is no room for outputs or for the journal. Nothing that was done is lost."""


class Driver:
    """Does what is pending.

    Args:
        journal: of the cohort.
        store: for the outputs.
        engine: runs the workers.
        order: what they do.
        batch: items of a task.
        attempts: how often an item may take its worker down; the last time it runs alone.
        progress: is told of everything.
    """

    def __init__(
        self,
        journal: Journal,
        store: Store,
        engine: Engine,
        order: Order,
        *,
        batch: int = 1,
        attempts: int = 3,
        progress: Progress | None = None,
    ) -> None:
        self.journal, self.store, self.engine, self.order = journal, store, engine, order
        self.batch, self.attempts, self.progress = batch, attempts, progress or Progress(None)
        self._tasks = 0
        self._flying = 0
        self._returned: deque[Task] = deque()

    def run(self) -> None:
        """Until nothing is pending.

        Raises:
            DiskFullError: there is no room.
            ValueError: the workers cannot begin.
        """
        try:
            self._phase((self._task(items) for items in self.journal.groups(self.batch)), alone=False)
            self._phase((self._task([item], alone=True) for item in self.journal.lonely()), alone=True)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise self._full() from error
        finally:
            self.engine.close()
            with suppress(OSError):  # where the disk is full, the next start does it
                self.journal.put_back()

    def _phase(self, tasks: Iterator[Task], alone: bool) -> None:
        self._returned.clear()
        self._flying = 0
        if not self._more(tasks):
            return
        self.engine.open(self.order, alone)
        while self._more(tasks) or self._flying:
            self._hand(tasks)
            reports: list[tuple[Task, Report]] = []
            for event in self.engine.hear(_PATIENCE):
                if isinstance(event, Unfit):
                    raise ValueError(f"the job cannot begin: {event.reason}")
                self._flying -= 1
                if isinstance(event, Finished):
                    reports += [(event.task, report) for report in event.reports]
                else:
                    self._lost(event)
            if reports:
                self._record(reports)
        self.engine.close()

    def _more(self, tasks: Iterator[Task]) -> bool:
        """Whether a task waits; one is taken from the journal to know."""
        if not self._returned and (task := next(tasks, None)) is not None:
            self._returned.append(task)
        return bool(self._returned)

    def _hand(self, tasks: Iterator[Task]) -> None:
        handed: list[Task] = []
        for _ in range(self.engine.room):
            if not self._more(tasks):
                break
            handed.append(self._returned.popleft())
        if handed:
            self.journal.start([item.number for task in handed for item in task.items])
            for task in handed:
                self._flying += 1
                self.engine.hand(task)

    def _record(self, reports: Sequence[tuple[Task, Report]]) -> None:
        """Publish and journal what workers have answered."""
        settled: list[Report] = []
        short: list[int] = []
        # A group is journalled as a whole: what ran together once runs together again.
        full = {task.number for task, report in reports if report.status == "full"}
        for task, report in reports:
            if task.number in full:
                continue
            if report.status == "memory" and not task.alone:
                short.append(report.number)
            else:
                if report.status == "done":
                    self.store.publish(report.number, report.staged)
                settled.append(report)
        self._finish([_last_word(report) for report in settled])
        if short:
            self.journal.hand_back(short, alone=True)
            logger.info("%d items ran out of memory and run alone at the end", len(short))
        if full:
            raise OSError(errno.ENOSPC, "a worker found no room")

    def _lost(self, event: Lost) -> None:
        numbers = [item.number for item in event.task.items]
        losses = self.journal.hand_back(numbers, lost=event.guilty, waited=not event.guilty)
        if not event.guilty or losses < self.attempts - 1:
            self._returned.append(self._task(event.task.items, event.task.alone))
            return
        logger.warning("%s: %s", ", ".join(map(named, numbers)), event.reason)
        if losses >= self.attempts and (event.task.alone or self.attempts == 1):
            self._finish([Report(number, "failed", event.reason) for number in numbers])
        elif event.task.alone:
            self._returned.append(self._task(event.task.items, alone=True))
        else:
            self.journal.hand_back(numbers, alone=True)

    def _finish(self, reports: Iterable[Report]) -> None:
        listed = list(reports)
        self.journal.finish(listed)
        self.progress.tell(listed)

    def _task(self, items: Sequence[Item], alone: bool = False) -> Task:
        # A task that is done again has another number, and so another folder than that of a worker that may not know
        # yet that it is dead.
        self._tasks += 1
        return Task(self._tasks, tuple(items), alone)

    def _full(self) -> DiskFullError:
        counts = self.journal.counts()
        return DiskFullError(
            errno.ENOSPC,
            f"the disk is full: {counts['done']} of {sum(counts.values())} items are done and kept; make room and run "
            "the same command again",
        )


def _last_word(report: Report) -> Report:
    if report.status != "memory":
        return report
    return Report(
        report.number,
        "failed",
        f"memory ran out with the item alone on the device: {report.reason}",
        input=report.input,
        mark=report.mark,
        seconds=report.seconds,
    )
