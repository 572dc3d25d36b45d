# SPDX-License-Identifier: Apache-2.0
"""An append-only journal: one JSON line per finished item, so that a study goes on where it was killed.

The first line says what is being done (schema, configuration, seed, versions); every other one is an item with its
``key``. Nothing heavy is imported.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_causal.apps.study.lines import Entry, LinesFile, by_key, read_lines

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
        known, self.entries = _parsed(self.path)
        if known is not None:
            _check_same(known, json.loads(json.dumps(self.head)), self.path.name)
        self._file = LinesFile(self.path)
        if known is None:
            self._file.add(self.head)

    def append(self, key: str, content: Mapping[str, Any]) -> None:
        """Write a finished item; it is on disk when this returns."""
        if key in self.entries:
            raise ValueError(f"{self.path.name} holds {key!r} already: an item is written once.")
        entry = {"key": key, **content}
        self._file.add(entry)
        self.entries[key] = entry

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


def read_journal(path: str | os.PathLike[str]) -> tuple[Entry, dict[str, Entry]]:
    """The head and the finished items of a journal, by key; the file stays as it is."""
    head, entries = _parsed(Path(path))
    if head is None:
        raise ValueError(f"{Path(path).name} holds nothing: run the study first.")
    return head, entries


def _parsed(path: Path) -> tuple[Entry | None, dict[str, Entry]]:
    lines = read_lines(path)
    if not lines:
        return None, {}
    head = lines[0]
    if head.get("schema") != SCHEMA:
        raise ValueError(f"{path.name} has schema {head.get('schema')!r}; {SCHEMA!r} is read here.")
    return head, by_key(lines[1:], path.name, first=2)


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
