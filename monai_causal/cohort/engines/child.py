# SPDX-License-Identifier: Apache-2.0
"""A worker process of the local engine: reads tasks from the pipe that it inherits, and answers into it.

Run by :mod:`monai_causal.cohort.engines.local` as ``python -m monai_causal.cohort.engines.child DESCRIPTOR PARENT``.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from monai_causal.apps.study.lines import reason_of
from monai_causal.cohort.working import Worker, prepare

__all__ = ["serve"]

_BEAT = 1.0


def serve(descriptor: int, parent: int) -> None:
    """Do tasks until the driver closes the pipe, or is gone.

    Args:
        descriptor: of the inherited end of the pipe.
        parent: process number of the driver.
    """
    connection: Connection[Any, Any] = Connection(descriptor)
    lock = threading.Lock()

    def say(*message: Any) -> None:
        with lock:
            connection.send(message)

    order = connection.recv()
    threading.Thread(target=_live, args=(say, parent), daemon=True).start()
    try:
        prepare(order)
        worker = Worker(order)
    except Exception as error:  # whatever a job lacks, the driver tells it
        say("unfit", reason_of(error))
        return
    say("ready")
    try:
        while (task := connection.recv()) is not None:
            say("done", task.number, worker(task))
    except (EOFError, BrokenPipeError, ConnectionResetError):  # nobody is interested any more
        return


def _live(say: Any, parent: int) -> None:
    """Give signs of life, and die with the driver, with all that was started here."""
    while os.getppid() == parent:
        try:
            say("beat")
        except OSError:
            break
        time.sleep(_BEAT)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
