# SPDX-License-Identifier: Apache-2.0
"""A value stands with its interval or spread; numbers are told from text; what is empty is not shown."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from monai_causal.report.tables import MOST_ROWS, quantity, read_csv, read_json, rows_of_json, table_of


def test_intervals_join_their_value_however_they_are_named() -> None:
    row = {"method": "a", "mean": "2.0", "low": "1.0", "high": "3.0", "in": "0.5", "in_low": "0.25", "in_high": "0.75"}
    table = table_of("t", [row])
    assert table is not None
    assert [(one.name, one.of) for one in table.columns] == [
        ("method", ""), ("mean", "low to high"), ("in", "in_low to in_high"),
    ]  # fmt: skip
    assert quantity(table.rows[0][1]) == (2.0, 1.0, 3.0)
    assert (table.rows[0][2].low, table.rows[0][2].high) == ("0.25", "0.75")


def test_a_spread_joins_its_mean() -> None:
    table = table_of("t", [{"tdd_mean": "0.5", "tdd_sd": "0.125"}])
    assert table is not None
    assert [one.name for one in table.columns] == ["tdd"]
    assert quantity(table.rows[0][0]) == (0.5, 0.375, 0.625)


def test_numbers_are_told_from_text_and_gaps_stay_gaps() -> None:
    table = table_of("t", [{"n": "10", "t": "x", "gone": ""}, {"n": "", "t": "7", "gone": ""}])
    assert table is not None
    assert [(one.name, one.numeric) for one in table.columns] == [("n", True), ("t", False)]
    assert [row[0].sort for row in table.rows] == ["10", ""]
    assert all(math.isnan(value) for value in quantity(table.rows[1][0]))


def test_a_long_table_says_how_much_is_left_out() -> None:
    table = table_of("t", [{"n": str(number)} for number in range(MOST_ROWS + 5)])
    assert table is not None
    assert (len(table.rows), table.left_out) == (MOST_ROWS, 5)


def test_records_within_records_become_columns() -> None:
    rows = rows_of_json({"rows": [{"a": {"b": 1.5, "c": [1, 2]}}, {"d": True}], "note": "text", "list": [1]})
    assert rows == {"rows": [{"a.b": "1.5", "a.c": "1, 2", "d": ""}, {"a.b": "", "a.c": "", "d": "yes"}]}


@pytest.mark.parametrize(("read", "name"), [(read_csv, "CSV"), (read_json, "JSON")])
def test_what_cannot_be_read_is_said(tmp_path: Path, read: object, name: str) -> None:
    (tmp_path / "file").write_bytes(b"\xff\xfe\x00broken")
    with pytest.raises(ValueError, match=f"cannot be read as {name}"):
        read(tmp_path / "file")  # type: ignore[operator]


def test_a_file_without_lines_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    assert table_of("t", read_csv(tmp_path / "empty.csv")) is None
