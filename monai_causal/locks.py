# SPDX-License-Identifier: Apache-2.0
"""One run at a time in one folder. The system gives the lock back when a process ends, however it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["alone_in", "is_taken"]


@contextmanager
def alone_in(path: Path) -> Iterator[None]:
    """Hold the lock that a file stands for.

    Raises:
        ValueError: somebody else holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _locked(descriptor):
            raise ValueError("another run is at work in this folder: wait for its end, or give another folder.")
        yield
    finally:
        os.close(descriptor)


def is_taken(path: Path) -> bool:
    """Whether somebody holds the lock."""
    if not path.exists():
        return False
    descriptor = os.open(path, os.O_RDWR)
    try:
        return not _locked(descriptor)
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:
        raise ValueError(
            "this system has no file locks of POSIX (fcntl), which a run needs: use Linux or macOS."
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
