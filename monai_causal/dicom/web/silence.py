# SPDX-License-Identifier: Apache-2.0
"""No log record of the libraries below while we ask: they write addresses with UIDs, and words of the server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["unheard"]

# A filter acts on records of its own logger only, so each that speaks is named; retrying belongs to dicomweb-client.
_SPEAKERS = (
    *("dicomweb_client.web", "dicomweb_client.uri", "dicomweb_client.session_utils", "retrying", "requests"),
    *("urllib3.connectionpool", "urllib3.connection", "urllib3.response", "urllib3.util.retry", "urllib3.poolmanager"),
)
_HERE = threading.local()


@contextmanager
def unheard() -> Iterator[None]:
    """Drop these records of this thread while the block runs; somebody else's settings and threads stay as they are."""
    for name in _SPEAKERS:
        logger = logging.getLogger(name)
        if _drop_here not in logger.filters:
            logger.addFilter(_drop_here)
    depth = getattr(_HERE, "depth", 0)
    _HERE.depth = depth + 1
    try:
        yield
    finally:
        _HERE.depth = depth


def _drop_here(record: logging.LogRecord) -> bool:
    return not getattr(_HERE, "depth", 0)
