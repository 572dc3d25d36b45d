# SPDX-License-Identifier: Apache-2.0
"""An append-only journal: one JSON line per finished item, so that a study goes on where it was killed.

The first line says what is being done (schema, configuration, seed, versions); every other one is an item with its
``key``. A line is whole once its newline is on disk: what stands behind the last newline was torn by a kill, and is
dropped. This module imports nothing heavy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["SCHEMA", "Journal", "read_journal"]

SCHEMA = "monai_causal/pdcr-study/1"


class Journal:
    """A journal that is being written.

    Args:
        path: of the file; made if it is not there, continued if it is.
        head: what is done. A journal begun with another head is not continued: its results would be of two kinds.

    Attributes:
        entries: the finished items by key, in the order in which they came.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Journal(Path(folder) / "journal.jsonl", {"seed": 0}) as journal:
        ...         journal.append("first", {"value": 1})
        ...     with Journal(Path(folder) / "journal.jsonl", {"seed": 0}) as journal:
        ...         list(journal.entries), "second" in journal.entries
        (['first'], False)
    """

    def __init__(self, path: str | os.PathLike[str], head: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.head = {"schema": SCHEMA, **head}
        self.entries: dict[str, dict[str, Any]] = {}
        whole = _whole_part(self.path)
        if whole:
            known, self.entries = _parsed(whole, self.path.name)
            _check_same(known, json.loads(json.dumps(self.head)), self.path.name)
        self._file = self.path.open("r+b" if self.path.exists() else "xb")
        self._file.truncate(len(whole))
        self._file.seek(len(whole))
        if not whole:
            self._write(self.head)

    def append(self, key: str, content: Mapping[str, Any]) -> None:
        """Write a finished item; it is on disk when this returns."""
        if key in self.entries:
            raise ValueError(f"{self.path.name} holds {key!r} already: an item is written once.")
        entry = {"key": key, **content}
        self._write(entry)
        self.entries[key] = entry

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def _write(self, content: Mapping[str, Any]) -> None:
        # NaN is no JSON: whoever has one says null, and means it.
        self._file.write(json.dumps(content, allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def read_journal(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The head and the finished items of a journal, by key; the file stays as it is."""
    path = Path(path)
    whole = _whole_part(path)
    if not whole:
        raise ValueError(f"{path.name} holds nothing: run the study first.")
    return _parsed(whole, path.name)


def _whole_part(path: Path) -> bytes:
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]


def _parsed(whole: bytes, name: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    entries: dict[str, dict[str, Any]] = {}
    head: dict[str, Any] = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            content = json.loads(line)
        except ValueError:
            content = None
        if not isinstance(content, dict) or (number > 1 and not isinstance(content.get("key"), str)):
            raise ValueError(f"{name}, line {number}: no item of a study. The file was changed by hand or damaged.")
        if number == 1:
            head = content
            if head.get("schema") != SCHEMA:
                raise ValueError(f"{name} has schema {head.get('schema')!r}; {SCHEMA!r} is read here.")
        elif content["key"] in entries:
            raise ValueError(f"{name}, line {number}: {content['key']!r} stands there twice.")
        else:
            entries[content["key"]] = content
    return head, entries


def _check_same(known: dict[str, Any], wanted: dict[str, Any], name: str) -> None:
    for field in sorted(known.keys() | wanted.keys()):
        if known.get(field) != wanted.get(field):
            raise ValueError(
                f"{name} was begun with another {field}: {_short(known.get(field))} then, {_short(wanted.get(field))} "
                "now. Go on with what it was begun with, or write to another folder."
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
