# SPDX-License-Identifier: Apache-2.0
"""Files of JSON lines that only grow, so that what was killed goes on where it was.

A line is whole once its newline is on disk: what stands behind the last newline was torn by a kill, and is dropped.
Nothing heavy is imported.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Entry", "LinesFile", "by_key", "read_lines", "reason_of"]

Entry = dict[str, Any]


def read_lines(path: Path) -> list[Entry]:
    """What the whole lines of a file hold; the file stays as it is, and one that is not there holds nothing."""
    lines = []
    for number, line in enumerate(_whole_part(path).splitlines(), start=1):
        try:
            content = json.loads(line)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise ValueError(_damaged(path.name, number))
        lines.append(content)
    return lines


def by_key(lines: Sequence[Entry], name: str, first: int = 1) -> dict[str, Entry]:
    """Items by their ``key``, in the order in which they came; ``first`` is the number of the first line, for
    errors.

    Example:
        >>> by_key([{"key": "a", "value": 1}], "journal.jsonl")
        {'a': {'key': 'a', 'value': 1}}
    """
    entries: dict[str, Entry] = {}
    for number, entry in enumerate(lines, start=first):
        if not isinstance(entry.get("key"), str):
            raise ValueError(_damaged(name, number))
        if entry["key"] in entries:
            raise ValueError(f"{name}, line {number}: {entry['key']!r} stands there twice.")
        entries[entry["key"]] = entry
    return entries


class LinesFile:
    """A file of lines that is being written; made if it is not there, freed of a torn end if it is."""

    def __init__(self, path: Path) -> None:
        whole = len(_whole_part(path))
        self._file = path.open("r+b" if path.exists() else "xb")
        self._file.truncate(whole)
        self._file.seek(whole)

    def add(self, content: Mapping[str, Any]) -> None:
        """Write a line; it is on disk when this returns."""
        # NaN is no JSON: whoever has one says null, and means it.
        self._file.write(json.dumps(content, allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def reason_of(error: Exception) -> str:
    """Why an item failed, in one line for its entry."""
    # What the system says of a file names the file, and a file name may name a patient.
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{type(error).__name__}: {' '.join(str(text).split())}"


def _whole_part(path: Path) -> bytes:
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]


def _damaged(name: str, number: int) -> str:
    return f"{name}, line {number}: no item of a study. The file was changed by hand or damaged."
