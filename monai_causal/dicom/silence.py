# SPDX-License-Identifier: Apache-2.0
"""No log record of a library while it works for us: its words hold UIDs, addresses, and values of the patient's."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = ["Silence"]


class Silence:
    """Drops the records of loggers in the threads that are inside; other threads hear them as ever.

    It is a filter of the loggers, and no level: somebody else's setting is left as it is. A filter acts on the records
    of its own logger only, so each logger that speaks is named.

    Example:
        >>> silence = Silence()
        >>> with silence.of(["some.library"]):
        ...     logging.getLogger("some.library").error("DOE^JANE")
    """

    def __init__(self) -> None:
        self._here = threading.local()

    @contextmanager
    def of(self, names: Iterable[str]) -> Iterator[None]:
        """Drop what these loggers are told in this thread while the block runs; blocks may lie in each other."""
        for name in names:
            logging.getLogger(name).addFilter(self)  # which adds it once only
        depth = self._depth
        self._here.depth = depth + 1
        try:
            yield
        finally:
            self._here.depth = depth

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is heard, as :meth:`logging.Filter.filter` says it."""
        return not self._depth

    @property
    def _depth(self) -> int:
        return getattr(self._here, "depth", 0)
