# SPDX-License-Identifier: Apache-2.0
"""Tables as CSV that gives back every digit. Nothing heavy is imported."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_causal.files import draft_of

__all__ = ["as_csv", "read_csv", "write_csv"]

Row = dict[str, Any]


def as_csv(rows: Sequence[Row]) -> str:
    """Rows with the same keys; empty where there is no value.

    Example:
        >>> as_csv([{"a": 0.1, "b": None}])
        'a,b\\n0.1,\\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if rows:
        writer.writerow(rows[0])
    for row in rows:
        cells = row.values()
        writer.writerow(["" if cell is None else repr(cell) if isinstance(cell, float) else cell for cell in cells])
    return text.getvalue()


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Whole or not at all."""
    with draft_of(path) as draft:
        draft.write_text(as_csv(rows), encoding="utf-8")


def read_csv(path: Path, texts: Sequence[str]) -> list[Row]:
    """What :func:`write_csv` wrote; all columns but ``texts`` are numbers, or nothing."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {name: cell if name in texts else float(cell) if cell else None for name, cell in row.items()}
            for row in csv.DictReader(file)
        ]
