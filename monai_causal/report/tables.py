# SPDX-License-Identifier: Apache-2.0
"""Tables of a benchmark: columns with what belongs to them, so that a value and its interval stand in one cell."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_causal.report.content import number
from monai_causal.report.facts import said

__all__ = ["Cell", "Column", "Table", "quantity", "read_csv", "read_json", "rows_of_json", "table_of"]

MOST_ROWS = 250
"""Of a table on a page; the file holds all of them."""
_LARGEST = 20_000_000


@dataclass(frozen=True)
class Column:
    """A column; ``of`` says what its cells put together: a value, an interval, a value and its spread."""

    name: str
    numeric: bool
    of: str = ""


@dataclass(frozen=True)
class Cell:
    """What is read, and what is sorted by: a number where the column is numeric, in full.

    Attributes:
        low, high: of the interval, as they are read.
        parts: all numbers of the cell: a value, with an interval's ends or a spread.
    """

    text: str
    sort: str
    low: str = ""
    high: str = ""
    parts: tuple[float, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table and how much of it is shown."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: int

    @property
    def left_out(self) -> int:
        """Rows that only the file holds."""
        return self.total - len(self.rows)


def read_csv(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file, by its head.

    Raises:
        ValueError: it is too large, or no text.
    """
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"its {path.stat().st_size / 1e6:.0f} MB are too much for a page.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        return [{name or "": value or "" for name, value in line.items() if name is not None} for line in _lines(text)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError("it cannot be read as CSV.") from error


def rows_of_json(content: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
    """Every list of records in a JSON file, by its key; records within records become columns of their own."""
    found = {}
    for key, value in content.items():
        if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
            rows = [_flat(one) for one in value]
            names = list(dict.fromkeys(name for row in rows for name in row))
            found[str(key)] = [{name: row.get(name, "") for name in names} for row in rows]
    return found


def table_of(name: str, rows: Sequence[Mapping[str, str]]) -> Table | None:
    """A table; ``None`` where there is nothing in it."""
    names = [one for one in (rows[0] if rows else {}) if any(row[one] for row in rows)]
    if not names:
        return None
    numeric = {one: all(_is_number(row[one]) for row in rows if row[one]) for one in names}
    taken: set[str] = set()
    columns: list[tuple[Column, tuple[str, ...]]] = []
    for place, one in enumerate(names):
        if one in taken:
            continue
        low, high, spread = _company(one, names, place, numeric)
        if low and high:
            taken |= {low, high}
            columns.append((Column(one, True, f"{low} to {high}"), (one, low, high)))
        elif spread:
            taken.add(spread)
            columns.append((Column(one.removesuffix("_mean"), True, f"\u00b1 {spread}"), (one, spread)))
        else:
            columns.append((Column(one, numeric[one]), (one,)))
    shown = [tuple(_cell(column, [row[part] for part in parts]) for column, parts in columns) for row in rows]
    return Table(name, tuple(column for column, _ in columns), tuple(shown[:MOST_ROWS]), len(rows))


def _company(name: str, names: Sequence[str], place: int, numeric: Mapping[str, bool]) -> tuple[str, str, str]:
    """The columns that hold an interval or a spread of this one: ``x_low`` and ``x_high``, ``low`` and ``high`` right
    behind it, or ``x_sd`` of ``x_mean``."""
    if not numeric[name]:
        return "", "", ""
    known = {one for one in names if numeric[one]}
    if {f"{name}_low", f"{name}_high"} <= known:
        return f"{name}_low", f"{name}_high", ""
    if list(names[place + 1 : place + 3]) == ["low", "high"] and {"low", "high"} <= known:
        return "low", "high", ""
    spread = f"{name.removesuffix('_mean')}_sd"
    return "", "", spread if name.endswith("_mean") and spread in known else ""


def _cell(column: Column, parts: Sequence[str]) -> Cell:
    if not column.numeric:
        return Cell(parts[0], parts[0])
    shown = [number(float(part)) if part else number(None) for part in parts]
    if not parts[0]:
        return Cell(shown[0], "")
    numbers = tuple(float(part) if part else math.nan for part in parts)
    if len(parts) == 3:
        return Cell(shown[0], parts[0], shown[1], shown[2], parts=numbers)
    if len(parts) == 2:
        return Cell(f"{shown[0]} \u00b1 {shown[1]}", parts[0], parts=numbers)
    return Cell(_plain(parts[0], shown[0]), parts[0], parts=numbers)


def quantity(cell: Cell) -> tuple[float, float, float]:
    """A value and where its interval or spread ends; not a number where there is none."""
    if len(cell.parts) == 3:
        return cell.parts[0], cell.parts[1], cell.parts[2]
    if len(cell.parts) == 2:
        return cell.parts[0], cell.parts[0] - cell.parts[1], cell.parts[0] + cell.parts[1]
    return (math.nan,) * 3


def _plain(text: str, shown: str) -> str:
    """Whole numbers stay as they are written: a year or a seed is no quantity."""
    return text if text.lstrip("-").isdigit() and len(text) < 10 else shown


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) or text.lower() == "nan"
    except ValueError:
        return False


def _lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def _flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= _flat(value, f"{name}.")
        elif isinstance(value, float):
            found[name] = repr(value)
        else:
            found[name] = said(value) if not isinstance(value, int) or isinstance(value, bool) else str(value)
    return found


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        ValueError: it is too large, or no JSON.
    """
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"its {path.stat().st_size / 1e6:.0f} MB are too much for a page.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError("it cannot be read as JSON.") from error
