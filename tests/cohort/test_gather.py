# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monai_causal.cohort.gather import gather
from monai_causal.cohort.run import run_cohort
from monai_causal.cohort.schema import ITEMS, MEASURES, REGIONS, checked_row
from tests.cohort.cohorts import cohort

parquet: Any = pytest.importorskip("pyarrow.parquet", reason="extra 'bench' is not installed")


def test_every_table_has_its_schema_and_its_rows_in_order(tmp_path: Path) -> None:
    run_cohort(cohort(7, unreadable=[2]), tmp_path)
    content = gather(tmp_path)
    assert content["rows"] == {"items": 7, "regions": 6, "measures": 6, "timings": 7}
    assert content["items"] == {"pending": 0, "running": 0, "done": 6, "failed": 1}
    assert json.loads((tmp_path / "tables" / "tables.json").read_text()) == content
    items = parquet.read_table(tmp_path / "tables" / "items.parquet")
    assert items.schema.metadata == {b"schema": b"monai_causal/cohort-items/1"}
    assert items.column_names == list(ITEMS)
    assert items.schema.field("item").metadata == {b"says": ITEMS["item"].says.encode()}
    assert items.column("item").to_pylist() == list(range(7))
    assert items.column("reason").to_pylist()[2] == "ValueError: the image cannot be read"
    assert items.column("state").to_pylist() == ["done", "done", "failed", *["done"] * 4]
    regions = parquet.read_table(tmp_path / "tables" / "regions.parquet")
    assert regions.column_names == list(REGIONS)
    assert regions.column("item").to_pylist() == [0, 1, 3, 4, 5, 6]
    assert not regions.schema.field("effect").nullable


def test_tables_read_in_pandas_as_what_they_are(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="extra 'bench' is not installed")
    run_cohort(cohort(3), tmp_path)
    gather(tmp_path)
    frame = pandas.read_parquet(tmp_path / "tables" / "measures.parquet")
    assert list(frame.columns) == list(MEASURES)
    assert frame["value"].dtype == "float64"


def test_an_unfinished_cohort_is_gathered_as_far_as_it_is(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.touch()
    with pytest.raises(OSError, match="the disk is full"):
        run_cohort(cohort(20, full=str(full)), tmp_path / "out")
    content = gather(tmp_path / "out")
    assert content["items"]["pending"] > 0
    assert content["rows"]["items"] == 20
    assert content["rows"]["regions"] == content["items"]["done"]


def test_outputs_that_were_changed_are_not_gathered(tmp_path: Path) -> None:
    run_cohort(cohort(4), tmp_path)
    record = next((tmp_path / "items").rglob("item-00000002/record.json"))
    record.write_text(record.read_text().replace("effect", "defect"))
    with pytest.raises(ValueError, match=r"the outputs of 1 items \(the first is 2\) are gone or were changed"):
        gather(tmp_path)
    assert not (tmp_path / "tables" / "items.parquet").exists()


def test_rows_are_checked() -> None:
    good = {"item": 1, "model": "a", "method": "b", "region": 0, "effect": -1.0, "unit": "nats", "p_value": None}
    assert checked_row(REGIONS, good) == {key: value for key, value in good.items() if value is not None}
    for change, message in (
        ({"colour": "red"}, "a row names 'colour'"),
        ({"effect": "much"}, "a row's 'effect' is 'much': float is wanted"),
        ({"draws": True}, "a row's 'draws' is True: int is wanted"),
        ({"unit": None}, "a row lacks 'unit'"),
    ):
        with pytest.raises(ValueError, match=message):
            checked_row(REGIONS, {**good, **change})
