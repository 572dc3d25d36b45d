# SPDX-License-Identifier: Apache-2.0
"""Who did what when: a log that only grows, of pseudonyms and digests, in which no line can be changed unnoticed.

Every line holds the digest of the line before it, so that a line that was changed, taken out or put in breaks the
chain. Whoever can write the file can write all of it anew; a copy of the last digest, kept elsewhere, shows even that.
"""

from __future__ import annotations

import getpass
import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from monai_causal.apps.study.lines import Entry, LinesFile, read_lines

__all__ = ["SCHEMA", "AuditLog", "check_audit"]

SCHEMA = "monai_causal/medfocus-audit/1"
_FIRST = "0" * 64


class AuditLog:
    """An audit log that is being written.

    Args:
        path: of the file; made if it is not there, continued if it is.
        now: gives the time.

    Raises:
        ValueError: its chain is broken.
    """

    def __init__(self, path: Path, now: Callable[[], datetime] | None = None) -> None:
        self._now = now or (lambda: datetime.now(timezone.utc))
        self._last = check_audit(path)
        self._user = _user()
        self._file = LinesFile(path)

    def note(self, event: str, **content: Any) -> None:
        """Write an event; it is on disk when this returns."""
        line = {
            "schema": SCHEMA,
            "at": self._now().isoformat(timespec="seconds"),
            "user": self._user,
            "event": event,
            **content,
            "before": self._last,
        }
        self._file.add(line)
        self._last = _digest(line)

    def close(self) -> None:
        self._file.close()


def check_audit(path: Path) -> str:
    """Follow the chain of a log.

    Returns:
        The digest of its last line.

    Raises:
        ValueError: the chain is broken; the message says at which line.
    """
    last = _FIRST
    for number, line in enumerate(read_lines(path), start=1):
        if line.get("schema") != SCHEMA or line.get("before") != last:
            raise ValueError(
                f"{path.name}, line {number}: the chain of digests is broken, so that a line was changed, taken out or "
                "put in. Keep the file as evidence, and move it away to go on."
            )
        last = _digest(line)
    return last


def _digest(line: Entry) -> str:
    return hashlib.sha256(json.dumps(line, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _user() -> str:
    """Under whose account this runs; a container may have none by name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unnamed"
