# SPDX-License-Identifier: Apache-2.0
"""A table, as CSV with every digit and as Markdown for reading."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_causal.files import draft_of

__all__ = ["Table", "interval", "number"]


@dataclass(frozen=True)
class Table:
    """Rows of results.

    Attributes:
        name: of its files.
        title: a heading.
        note: what the numbers are, in words.
        rows: what the CSV holds, all with the same keys.
        head: the headings of the Markdown.
        lines: its cells.
    """

    name: str
    title: str
    note: str
    rows: Sequence[dict[str, Any]]
    head: Sequence[str]
    lines: Sequence[Sequence[str]]

    def csv(self) -> str:
        """One line per row; a missing number is an empty cell."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.rows[0])
        for row in self.rows:
            writer.writerow([repr(cell) if isinstance(cell, float) else cell for cell in row.values()])
        return text.getvalue()

    def markdown(self) -> str:
        """A heading, the table and the note."""
        lines = [self.head, ["---"] * len(self.head), *self.lines]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"## {self.title}\n\n{table}\n\n{self.note}\n"

    def write(self, folder: Path) -> None:
        for suffix, text in ((".csv", self.csv()), (".md", self.markdown())):
            with draft_of(folder / f"{self.name}{suffix}") as draft:
                draft.write_text(text, encoding="utf-8")


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many digits that matter; a dash where there is none.

    Example:
        >>> number(0.123456), number(-12.0), number(1235.0), number(None), number(0)
        ('0.123', '-12', '1,235', '-', '0')
    """
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def interval(row: dict[str, Any], value: str = "mean") -> str:
    """A mean with its interval, as far as there is one.

    Example:
        >>> interval({"mean": 0.5, "low": 0.25, "high": 0.75}), interval({"mean": 0.5, "low": None, "high": None})
        ('0.5 [0.25, 0.75]', '0.5')
    """
    if row["low"] is None:
        return number(row[value])
    return f"{number(row[value])} [{number(row['low'])}, {number(row['high'])}]"
