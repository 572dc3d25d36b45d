# SPDX-License-Identifier: Apache-2.0
"""The journal: a row per item in SQLite with a write-ahead log, one writer. A committed row is what happened.

Nothing heavy is imported. Items are read in pieces: memory does not grow with the cohort.
"""

from __future__ import annotations

import contextlib
import errno
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from monai_causal.cohort.items import Item
from monai_causal.cohort.messages import Report

__all__ = ["STATES", "Journal", "Row"]

SCHEMA = "monai_causal/cohort-journal/1"
STATES = ("pending", "running", "done", "failed")
_PIECE = 1000
_TABLES = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items (
    number INTEGER PRIMARY KEY,
    content TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    alone INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    losses INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    notes TEXT,
    input TEXT,
    mark TEXT,
    output TEXT,
    bytes INTEGER,
    seconds REAL,
    finished REAL
);
CREATE INDEX IF NOT EXISTS open_items ON items (alone, number) WHERE state IN ('pending', 'running');
CREATE INDEX IF NOT EXISTS recent_items ON items (finished) WHERE finished IS NOT NULL;
"""


class Row(NamedTuple):
    """What the journal knows of an item."""

    number: int
    unit: int
    content: dict[str, Any]
    state: str
    attempts: int
    reason: str | None
    notes: str | None
    input: str | None
    output: str | None
    bytes: int | None
    seconds: float | None
    finished: float | None


class Journal:
    """A journal, to write or to look at.

    Args:
        path: of the database; made if it is not there.
        look: only look: nothing is written, and a run may be writing meanwhile.
    """

    def __init__(self, path: Path, look: bool = False) -> None:
        if look and not path.is_file():
            raise ValueError("this folder holds no cohort: 'monai-causal cohort run' begins one.")
        self.path = path
        self._base = sqlite3.connect(path, isolation_level=None, timeout=60)
        try:
            if not look:
                self._base.execute("PRAGMA journal_mode = WAL")
                # A commit is in the log, though perhaps not on the disk: a kill loses nothing, and after a power cut
                # the journal is whole and lacks at most the last items, which are done again.
                self._base.execute("PRAGMA synchronous = NORMAL")
                self._base.executescript(_TABLES)
            known = self._about("schema")
        except sqlite3.DatabaseError as error:
            self._base.close()
            raise _readable(error) from None
        if known is not None and known != SCHEMA:
            raise ValueError(f"the journal has schema {known!r}; {SCHEMA!r} is read here.")

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._base.close()

    # -- beginning ---------------------------------------------------------------------------------------------------

    def begin(self, head: Mapping[str, Any]) -> bool:
        """Say what is done here, or check that it is what was begun here. True if the items are listed already.

        Args:
            head: all that decides results: configuration, digests, versions.

        Raises:
            ValueError: something else was begun here.
        """
        wanted = json.loads(json.dumps(head))
        text = self._about("head")
        if text is None:
            with self._writing():
                self._tell("schema", SCHEMA)
                self._tell("head", json.dumps(wanted))
            return False
        known = json.loads(text)
        for key in sorted(known.keys() | wanted.keys()):
            if known.get(key) != wanted.get(key):
                then, now = _first_difference(known.get(key), wanted.get(key), key)
                raise ValueError(
                    f"this cohort was begun with another {then[0]}: {then[1]} then, {now} now. Go on with what it was "
                    "begun with, or write to another folder."
                )
        return self._about("listed") is not None

    def enlist(self, contents: Iterable[Mapping[str, Any]]) -> int:
        """Write the items of a listing, and return how many there are."""
        with self._writing():
            self._base.execute("DELETE FROM items")
        count = 0
        for piece in _pieces(contents, _PIECE):
            rows = [(count + place, json.dumps(one, sort_keys=True)) for place, one in enumerate(piece)]
            with self._writing():
                self._base.executemany("INSERT INTO items (number, content) VALUES (?, ?)", rows)
            count += len(rows)
        with self._writing():
            self._tell("listed", str(count))
        return count

    def compare(self, contents: Iterable[Mapping[str, Any]]) -> None:
        """Check a listing against the one that was begun with.

        Raises:
            ValueError: an item is another one, there are more, or fewer.
        """
        number = 0
        for piece in _pieces(contents, _PIECE):
            known = self._base.execute(
                "SELECT content FROM items WHERE number >= ? ORDER BY number LIMIT ?", (number, len(piece))
            ).fetchall()
            for place, one in enumerate(piece):
                if place >= len(known):
                    raise ValueError(_other_items(f"there are more than the {number + place} of then"))
                if known[place][0] != json.dumps(one, sort_keys=True):
                    raise ValueError(_other_items(f"item {number + place} is not the one of then"))
            number += len(piece)
        if number != self.total():
            raise ValueError(_other_items(f"there are {number}, and were {self.total()} then"))

    def made_of(self) -> Iterator[tuple[Item, str, str]]:
        """The items that are done, each with its mark and the digest of what it was made of."""
        last = -1
        while rows := self._base.execute(
            "SELECT number, content, mark, input FROM items WHERE state = 'done' AND number > ? ORDER BY number "
            "LIMIT ?",
            (last, _PIECE),
        ).fetchall():
            for number, content, mark, digest in rows:
                yield Item(number, json.loads(content)), mark or "", digest or ""
            last = rows[-1][0]

    def mark(self, number: int, mark: str) -> None:
        """An item's files were touched, and are what they were."""
        with self._writing():
            self._base.execute("UPDATE items SET mark = ? WHERE number = ?", (mark, number))

    def put_back(self) -> int:
        """What a killed run was at is to be done again; says how many items that are."""
        with self._writing():
            return self._base.execute("UPDATE items SET state = 'pending' WHERE state = 'running'").rowcount

    # -- running -----------------------------------------------------------------------------------------------------

    def groups(self, batch: int) -> Iterator[tuple[Item, ...]]:
        """What is pending, in groups of neighbours: those of a whole group of the listing that are not finished."""
        for _, group in groupby(self._pending(alone=0), lambda item: item.number // batch):
            yield tuple(group)

    def lonely(self) -> Iterator[Item]:
        """What is pending and has to run alone."""
        yield from self._pending(alone=1)

    def start(self, numbers: Sequence[int]) -> None:
        """Items are on their way to a worker."""
        with self._writing():
            self._base.executemany(
                "UPDATE items SET state = 'running', attempts = attempts + 1 WHERE number = ?",
                [(number,) for number in numbers],
            )

    def finish(self, reports: Sequence[Report]) -> None:
        """Items are done or failed. All of them, or none if this raises."""
        rows = [
            (
                one.status,
                one.reason or None,
                json.dumps(one.notes) if one.notes else None,
                one.input or None,
                one.mark,
                one.output or None,
                one.size,
                one.seconds,
                time.time(),
                one.number,
            )
            for one in reports
        ]
        with self._writing():
            self._base.executemany(
                "UPDATE items SET state = ?, reason = ?, notes = ?, input = ?, mark = ?, output = ?, bytes = ?, "
                "seconds = ?, finished = ? WHERE number = ?",
                rows,
            )

    def hand_back(
        self, numbers: Sequence[int], *, lost: bool = False, waited: bool = False, alone: bool = False
    ) -> int:
        """Items are to be done again.

        Args:
            numbers: of the items.
            lost: they took a worker down, or may have.
            waited: they were never begun.
            alone: from now on each of them by itself.

        Returns:
            how often the worst of them has taken a worker down.
        """
        with self._writing():
            self._base.executemany(
                "UPDATE items SET state = 'pending', losses = losses + ?, attempts = attempts - ?, "
                "alone = max(alone, ?) WHERE number = ?",
                [(int(lost), int(waited), int(alone), number) for number in numbers],
            )
            return max(self._losses(number) for number in numbers)

    # -- looking -----------------------------------------------------------------------------------------------------

    def total(self) -> int:
        """Items in all; 0 while they are being listed."""
        return int(self._about("listed") or 0)

    def counts(self) -> dict[str, int]:
        """Items by state."""
        found = dict(self._base.execute("SELECT state, count(*) FROM items GROUP BY state").fetchall())
        return {state: found.get(state, 0) for state in STATES}

    def head(self) -> dict[str, Any]:
        """What is done here."""
        content: dict[str, Any] = json.loads(self._about("head") or "{}")
        return content

    def reasons(self, most: int = 10) -> list[tuple[str, int, int]]:
        """Why items failed, how many, and the first of them; the most frequent first."""
        return self._base.execute(
            "SELECT reason, count(*), min(number) FROM items WHERE state = 'failed' GROUP BY reason "
            "ORDER BY count(*) DESC, min(number) LIMIT ?",
            (most,),
        ).fetchall()

    def pace(self, last: int = 200) -> float | None:
        """Items per second over the last ones that ended; None where that cannot be told."""
        ended = self._base.execute(
            "SELECT finished FROM items WHERE finished IS NOT NULL ORDER BY finished DESC LIMIT ?", (last,)
        ).fetchall()
        span = ended[0][0] - ended[-1][0] if len(ended) > 1 else 0.0
        return (len(ended) - 1) / span if span > 0 else None

    def rows(self) -> Iterator[Row]:
        """Every item in order."""
        unit, source = ("unit", "items JOIN units USING (number)") if self._grouped() else ("number", "items")
        query = (
            f"SELECT number, {unit}, content, state, attempts, reason, notes, input, output, bytes, seconds, finished "
            f"FROM {source} WHERE number > ? ORDER BY number LIMIT ?"
        )
        last = -1
        while found := self._base.execute(query, (last, _PIECE)).fetchall():
            for row in found:
                number, unit_of, content, *rest = row
                yield Row(number, unit_of, json.loads(content), *rest)
            last = found[-1][0]

    def _grouped(self) -> bool:
        """Make a table of who belongs together, in this connection alone; False where no item names a patient."""
        if not self._base.execute(
            "SELECT 1 FROM items WHERE json_extract(content, '$.patient') IS NOT NULL LIMIT 1"
        ).fetchone():
            return False
        self._base.execute(
            "CREATE TEMP TABLE IF NOT EXISTS units AS SELECT number, min(number) OVER (PARTITION BY "
            "coalesce('p' || json_extract(content, '$.patient'), number)) AS unit FROM items"
        )
        self._base.execute("CREATE UNIQUE INDEX IF NOT EXISTS temp.unit_of ON units (number)")
        return True

    # -- again -------------------------------------------------------------------------------------------------------

    def again(self, numbers: Iterable[int] | None = None) -> int:
        """Failed items are pending again, as if they had never been begun; says how many.

        Args:
            numbers: other items, whatever their state, instead.
        """
        cleared = (
            "UPDATE items SET state = 'pending', alone = 0, losses = 0, reason = NULL, notes = NULL, input = NULL, "
            "mark = NULL, output = NULL, bytes = NULL, seconds = NULL, finished = NULL WHERE "
        )
        with self._writing():
            if numbers is None:
                return self._base.execute(cleared + "state = 'failed'").rowcount
            return sum(self._base.execute(cleared + "number = ?", (number,)).rowcount for number in numbers)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _pending(self, alone: int) -> Iterator[Item]:
        last = -1
        while rows := self._base.execute(
            "SELECT number, content, state FROM items WHERE state IN ('pending', 'running') AND alone = ? AND "
            "number > ? ORDER BY number LIMIT ?",
            (alone, last, _PIECE),
        ).fetchall():
            yield from (Item(number, json.loads(content)) for number, content, state in rows if state == "pending")
            last = rows[-1][0]

    def _losses(self, number: int) -> int:
        (found,) = self._base.execute("SELECT losses FROM items WHERE number = ?", (number,)).fetchone()
        return int(found)

    def _about(self, key: str) -> str | None:
        found = self._base.execute("SELECT value FROM about WHERE key = ?", (key,)).fetchone()
        return None if found is None else str(found[0])

    def _tell(self, key: str, value: str) -> None:
        self._base.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (key, value))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction: all of the block or nothing."""
        try:
            self._base.execute("BEGIN IMMEDIATE")
            yield
            self._base.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            self._roll_back()
            raise _readable(error) from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.DatabaseError):
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")


def _pieces(contents: Iterable[Mapping[str, Any]], size: int) -> Iterator[list[Mapping[str, Any]]]:
    piece: list[Mapping[str, Any]] = []
    for one in contents:
        piece.append(one)
        if len(piece) == size:
            yield piece
            piece = []
    if piece:
        yield piece


def _readable(error: sqlite3.DatabaseError) -> OSError | ValueError:
    """What SQLite says, as what a caller expects: a full disk is an OSError like any other."""
    if "full" in str(error):
        return OSError(errno.ENOSPC, "the disk is full: the journal cannot be written")
    if isinstance(error, sqlite3.OperationalError):
        return OSError(errno.EIO, f"the journal cannot be read or written: {error}")
    return ValueError(f"the journal is damaged: {error}")


def _other_items(what: str) -> str:
    return (
        f"the items are not those that this cohort was begun with: {what}. Go on with the same listing, or write to "
        "another folder."
    )


def _first_difference(known: Any, wanted: Any, key: str) -> tuple[tuple[str, str], str]:
    """Where two records part, as deep as it can be told."""
    if isinstance(known, dict) and isinstance(wanted, dict):
        for name in sorted(known.keys() | wanted.keys()):
            if known.get(name) != wanted.get(name):
                return _first_difference(known.get(name), wanted.get(name), f"{key}.{name}")
    return (key, _short(known)), _short(wanted)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
