# SPDX-License-Identifier: Apache-2.0
"""What is written comes back to the digit."""

from __future__ import annotations

from pathlib import Path

from monai_causal.apps.mcdrl.rows import as_csv, read_csv, write_csv


def test_every_digit_comes_back(tmp_path: Path) -> None:
    rows = [{"name": "a, b", "value": 0.1 + 0.2}, {"name": "7", "value": None}]
    write_csv(tmp_path / "rows.csv", rows)
    assert read_csv(tmp_path / "rows.csv", ["name"]) == rows
    assert as_csv([]) == ""
