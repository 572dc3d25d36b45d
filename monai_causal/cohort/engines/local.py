# SPDX-License-Identifier: Apache-2.0
"""This machine: worker processes, each with a pipe of its own, so that one that dies takes nobody along."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from monai_causal.cohort.config import RunConfig
from monai_causal.cohort.engines.base import STARTS
from monai_causal.cohort.messages import Event, Finished, Lost, Order, Task, Unfit

__all__ = ["LocalEngine"]

AHEAD = 2
"""Tasks that a worker has at most: the one that it is at, and the next, so that it does not wait for the driver."""
_SMALL = 32  # items up to which a task waits in the pipe
_GRACE = 2.0


@dataclass(eq=False)
class _Process:
    """A worker process."""

    process: subprocess.Popen[bytes]
    connection: Connection[Any, Any]
    born: float
    heard: float
    ready: bool = False
    since: float = 0.0
    """When it began with its first task."""
    tasks: deque[Task] = field(default_factory=deque)

    @property
    def room(self) -> int:
        if not self.ready:
            return 0
        large = any(len(task.items) > _SMALL or task.alone for task in self.tasks)
        return (1 if large else AHEAD) - len(self.tasks)

    def end(self) -> None:
        """Kill it, with whatever it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self.connection.close()


class LocalEngine:
    """Workers on this machine.

    Args:
        config: how many, and how patient to be with them.
    """

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self._workers: list[_Process] = []
        self._order: Order | None = None
        self._alone = False
        self._deaths = 0

    def open(self, order: Order, alone: bool = False) -> None:
        """See :class:`~monai_causal.cohort.engines.base.Engine`."""
        self.close()
        self._order, self._alone, self._deaths = replace(order, search=tuple(sys.path)), alone, 0
        for _ in range(1 if alone else self.config.workers):
            self._start()

    @property
    def room(self) -> int:
        """See :class:`~monai_causal.cohort.engines.base.Engine`."""
        return sum(max(0, one.room) for one in self._workers)

    def hand(self, task: Task) -> None:
        """See :class:`~monai_causal.cohort.engines.base.Engine`."""
        one = max(self._workers, key=lambda one: (one.room, -len(one.tasks)))
        if not one.tasks:
            one.since = time.monotonic()
        one.tasks.append(task)
        with suppress(BrokenPipeError, ConnectionResetError):  # it is dead: that is heard next, with the task
            one.connection.send(task)

    def hear(self, patience: float) -> list[Event]:
        """See :class:`~monai_causal.cohort.engines.base.Engine`."""
        waited = wait([one.connection for one in self._workers], timeout=max(0.0, min(patience, self._until_due())))
        events: list[Event] = []
        for one in [one for one in self._workers if one.connection in waited]:
            events += self._listen(one)
        for one in list(self._workers):
            if one.process.poll() is not None and not one.connection.poll():
                events += self._bury(one, _death(one.process.returncode))
        for one, reason in self._overdue():
            events += self._bury(one, reason)
        return events

    def close(self) -> None:
        """See :class:`~monai_causal.cohort.engines.base.Engine`."""
        for one in self._workers:
            with suppress(OSError):
                one.connection.send(None)
        deadline = time.monotonic() + _GRACE
        for one in self._workers:
            # One that is at nothing leaves by itself, and gives back what it holds.
            if not one.tasks and one.ready:
                with suppress(subprocess.TimeoutExpired):
                    one.process.wait(max(0.0, deadline - time.monotonic()))
            one.end()
        self._workers = []

    def _start(self) -> None:
        assert self._order is not None
        ours, theirs = socket.socketpair()
        with theirs:
            descriptor = theirs.fileno()
            threads = str(self._order.threads)
            process = subprocess.Popen(
                [sys.executable, "-m", "monai_causal.cohort.engines.child", str(descriptor), str(os.getpid())],
                pass_fds=(descriptor,),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
            )
        now = time.monotonic()
        one = _Process(process, Connection(ours.detach()), now, now)
        self._workers.append(one)
        with suppress(BrokenPipeError, ConnectionResetError):
            one.connection.send(self._order)

    def _listen(self, one: _Process) -> Iterator[Event]:
        """Everything that a worker has said, and its death if that follows."""
        try:
            while one.connection.poll():
                kind, *said = one.connection.recv()
                one.heard = time.monotonic()
                if kind == "ready":
                    one.ready = True
                elif kind == "unfit":
                    yield Unfit(str(said[0]))
                elif kind == "done":
                    self._deaths = 0
                    task = one.tasks.popleft()
                    one.since = one.heard
                    yield Finished(task, said[1])
                    if self._alone and any(report.status == "memory" for report in said[1]):
                        # The next one that runs alone begins with the whole memory.
                        yield from self._bury(one, "memory ran out")
                        return
        except (EOFError, OSError):
            with suppress(subprocess.TimeoutExpired):
                one.process.wait(_GRACE)
            yield from self._bury(one, _death(one.process.poll()))

    def _bury(self, one: _Process, reason: str) -> list[Event]:
        """End a worker, put another in its place, and say what becomes of its tasks."""
        if one not in self._workers:
            return []
        self._workers.remove(one)
        one.end()
        if not one.tasks:
            self._deaths += not one.ready
        if self._deaths >= STARTS:
            return [Unfit(f"{STARTS} workers in a row died before they were ready; the last one: {reason}")]
        self._start()
        return [Lost(task, reason, guilty=not place) for place, task in enumerate(one.tasks)]

    def _overdue(self) -> list[tuple[_Process, str]]:
        now, found = time.monotonic(), []
        for one in self._workers:
            if not one.ready and now - one.born > self.config.start:
                found.append((one, f"the worker was not ready within {self.config.start:g} s"))
            elif one.tasks and now - one.since > self._limit(one):
                found.append((one, f"it took more than {self.config.timeout:g} s"))
            elif now - one.heard > self.config.silence:
                found.append((one, f"the worker gave no sign of life for {self.config.silence:g} s"))
        return found

    def _until_due(self) -> float:
        """Seconds until somebody may be late."""
        now = time.monotonic()
        due = [one.heard + self.config.silence for one in self._workers]
        due += [one.since + self._limit(one) for one in self._workers if one.tasks]
        due += [one.born + self.config.start for one in self._workers if not one.ready]
        return min(due, default=now) - now + 0.01

    def _limit(self, one: _Process) -> float:
        return self.config.timeout * len(one.tasks[0].items)


def _death(status: int | None) -> str:
    """How a process died, in words.

    Example:
        >>> _death(-9), _death(3)
        ('the worker died (SIGKILL)', 'the worker died (exit status 3)')
    """
    if status is not None and status < 0:
        return f"the worker died ({signal.Signals(-status).name})"
    return f"the worker died (exit status {status})"
