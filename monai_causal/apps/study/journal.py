# SPDX-License-Identifier: Apache-2.0
"""An append-only journal: one JSON line per finished item, so that a benchmark goes on where it was killed.

Every line stands for itself: it has its ``key`` and the journal's stamp (schema, study, versions). Nothing heavy is
imported.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from monai_causal.apps.study.lines import Entry, LinesFile, by_key, read_lines

__all__ = ["Journal", "carry_out", "read_journals"]


class Journal:
    """A journal that is being written.

    Args:
        path: of the file; made if it is not there, continued if it is.
        stamp: what every line says of where it comes from. A journal with another stamp is not continued: its results
            would be of two kinds.

    Attributes:
        entries: the finished items by key, in the order in which they came.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for _ in range(2):
        ...         with Journal(Path(folder) / "journal.jsonl", {"schema": "example/1"}) as journal:
        ...             if "first" not in journal.entries:
        ...                 journal.append("first", {"value": 1})
        ...     journal.entries
        {'first': {'schema': 'example/1', 'key': 'first', 'value': 1}}
    """

    def __init__(self, path: str | os.PathLike[str], stamp: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.stamp = dict(stamp)
        self.entries = by_key(read_lines(self.path), self.path.name)
        for entry in self.entries.values():
            _check_stamp(entry, self.stamp, self.path.name)
        self._file = LinesFile(self.path)

    def append(self, key: str, content: Mapping[str, Any]) -> None:
        """Write a finished item; it is on disk when this returns."""
        if key in self.entries:
            raise ValueError(f"{self.path.name} holds {key!r} already: an item is written once.")
        entry = {**self.stamp, "key": key, **content}
        self._file.add(entry)
        self.entries[key] = entry

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


def carry_out(
    keys: Iterable[str],
    work: Callable[[str], Mapping[str, Any]],
    journal: Journal,
    timing: Journal,
    what: str = "items",
) -> None:
    """Do every item that the journal has not, in order.

    Args:
        keys: of the items.
        work: what came of an item, ready for its line; ``"seconds"`` in it goes to ``timing``.
        journal: of the results.
        timing: of wall-clock times: no other file depends on how fast the machine was. An item whose time was lost by a
            kill between the two lines has none.
        what: a progress bar says.
    """
    wanted = list(keys)
    left = [key for key in wanted if key not in journal.entries]
    for key in tqdm(left, desc=what, total=len(wanted), initial=len(wanted) - len(left), disable=None):
        started = time.perf_counter()
        found = dict(work(key))
        seconds = found.pop("seconds", None)
        journal.append(key, found)
        # A time is written after its result, so a result may lack its time, and never the other way round.
        timing.append(key, {"explanation_seconds": seconds, "item_seconds": time.perf_counter() - started})


def read_journals(paths: Iterable[Path]) -> dict[str, Entry]:
    """The items of several journals (shards) by key; the files stay as they are. An item may stand in two of them if
    it is the same."""
    merged: dict[str, Entry] = {}
    stamp: dict[str, Any] | None = None
    for path in sorted(paths):
        for key, entry in by_key(read_lines(path), path.name).items():
            stamp = stamp or {name: entry.get(name) for name in ("schema", "study", "versions")}
            _check_stamp(entry, stamp, path.name)
            if merged.setdefault(key, entry) != entry:
                raise ValueError(f"{path.name}: {key!r} stands in another journal too, with another result.")
    return merged


def _check_stamp(entry: Entry, stamp: Mapping[str, Any], name: str) -> None:
    for field, wanted in stamp.items():
        if entry.get(field) != wanted:
            raise ValueError(
                f"{name} has lines with another {field}: {json.dumps(entry.get(field))} there, {json.dumps(wanted)} "
                "now. Go on with what it was begun with, or write to another folder."
            )
