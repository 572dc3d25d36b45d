# SPDX-License-Identifier: Apache-2.0
"""Results as Parquet tables, for pandas, DuckDB and whoever comes: one row per item, per region, per measure.

Rows are in the order of the items, and nothing in them knows how long anything took or how often it was begun: the same
cohort gives the same bytes. What depends on the machine is in ``timings.parquet``.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from monai_causal.cohort.journal import Journal, Row
from monai_causal.cohort.outputs import Store, read_record
from monai_causal.cohort.run import JOURNAL
from monai_causal.cohort.schema import ITEMS, MEASURES, REGIONS, TIMINGS, Column
from monai_causal.extras import require
from monai_causal.files import write_json

__all__ = ["TABLES", "gather"]

SCHEMA = "monai_causal/cohort-tables/1"
TABLES: dict[str, Mapping[str, Column]] = {
    "items": ITEMS,
    "regions": REGIONS,
    "measures": MEASURES,
    "timings": TIMINGS,
}
_GROUP = 50_000
"""Rows that are written at once: memory does not grow with the cohort."""


def gather(out: Path, to: Path | None = None) -> dict[str, Any]:
    """Write the tables of what is there, finished or not.

    Args:
        out: of the cohort.
        to: folder for the tables; by default ``tables`` in it.

    Returns:
        what ``tables.json`` holds: items by state, rows by table.

    Raises:
        ValueError: an output is not what the journal says.
        MissingExtraError: pyarrow is not installed.
    """
    require("pyarrow")
    to = out / "tables" if to is None else to
    with Journal(out / JOURNAL, look=True) as journal, ExitStack() as stack:
        to.mkdir(parents=True, exist_ok=True)
        drafts = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=to, prefix=".draft-")))
        tables = {name: stack.enter_context(_Table(drafts / f"{name}.parquet", name)) for name in TABLES}
        store, damaged = Store(out), []
        for row in journal.rows():
            record: dict[str, Any] | None = {}
            if row.state == "done":
                record = read_record(store.place(row.number), row.output or "")
            if record is None:
                damaged.append(row.number)
                continue
            tables["items"].add(_item(row, record))
            for name in ("regions", "measures"):
                for one in record.get(name, ()):
                    tables[name].add(one)
            if row.finished is not None:
                tables["timings"].add(_timing(row))
        if damaged:
            raise ValueError(
                f"the outputs of {len(damaged)} items (the first is {damaged[0]}) are gone or were changed since they "
                "were written: 'monai-causal cohort retry --damaged' and 'cohort run' make them again."
            )
        counts = journal.counts()
        rows = {name: table.close() for name, table in tables.items()}
        for name in TABLES:
            (drafts / f"{name}.parquet").replace(to / f"{name}.parquet")
        head = journal.head()
    content = {"schema": SCHEMA, "cohort": head, "items": counts, "rows": rows}
    write_json(to / "tables.json", content)
    return content


class _Table:
    """A Parquet file that is being written."""

    def __init__(self, path: Path, name: str) -> None:
        pa, parquet = require("pyarrow"), require("pyarrow.parquet")
        kinds = {
            "int": pa.int64(),
            "float": pa.float64(),
            "text": pa.string(),
            "bool": pa.bool_(),
            "floats": pa.list_(pa.float64()),
        }
        fields = [
            pa.field(column, kinds[one.kind], nullable=not one.needed, metadata={"says": one.says})
            for column, one in TABLES[name].items()
        ]
        self._arrow = pa
        self._schema = pa.schema(fields, metadata={"schema": f"monai_causal/cohort-{name}/1"})
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[Mapping[str, Any]] = []
        self._count = 0

    def add(self, row: Mapping[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= _GROUP:
            self._flush()

    def close(self) -> int:
        """Finish the file, and say how many rows it has."""
        if self._writer.is_open:
            self._flush()
            self._writer.close()
        return self._count

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(self._arrow.Table.from_pylist(self._rows, schema=self._schema))
            self._count += len(self._rows)
            self._rows = []

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _item(row: Row, record: Mapping[str, Any]) -> dict[str, Any]:
    site = row.content.get("site")
    facts = record.get("facts")
    return {
        "item": row.number,
        "unit": row.unit,
        "site": None if site is None else str(site),
        "state": row.state,
        "reason": row.reason,
        "input": row.input,
        "facts": json.dumps(facts, sort_keys=True) if facts else None,
        "notes": row.notes,
    }


def _timing(row: Row) -> dict[str, Any]:
    return {
        "item": row.number,
        "attempts": row.attempts,
        "seconds": row.seconds,
        "finished": row.finished,
        "bytes": row.bytes,
    }
