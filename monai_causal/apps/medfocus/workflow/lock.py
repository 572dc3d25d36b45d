# SPDX-License-Identifier: Apache-2.0
"""One run at a time in one folder. The system gives the lock back when a process ends, however it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["alone_in"]


@contextmanager
def alone_in(path: Path) -> Iterator[None]:
    """Hold the lock that a file stands for.

    Raises:
        ValueError: somebody else holds it, or this system has no such locks.
    """
    try:
        import fcntl
    except ImportError:
        raise ValueError(
            "this system has no file locks of POSIX (fcntl), which a run needs: use Linux or macOS."
        ) from None
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                "another run is at work in this folder: wait for its end, or give another folder."
            ) from None
        yield
    finally:
        os.close(descriptor)
