# SPDX-License-Identifier: Apache-2.0
"""Small cohorts, and what came of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_causal.cohort.config import CohortConfig, as_config
from monai_causal.cohort.journal import Journal, Row
from monai_causal.cohort.run import JOURNAL


def cohort(count: int = 10, batch: int = 1, *, run: dict[str, Any] | None = None, **settings: Any) -> CohortConfig:
    """Numbers, with the faults that settings ask for."""
    return as_config(
        {
            "items": {"kind": "numbers", "count": count},
            "job": {"name": "tests.cohort.faulty:Faulty", "settings": settings},
            "batch": batch,
            "run": {"workers": 2, **(run or {})},
        }
    )


def rows_of(out: Path) -> list[Row]:
    with Journal(out / JOURNAL, look=True) as journal:
        return list(journal.rows())


def failures(out: Path) -> dict[int, str | None]:
    return {row.number: row.reason for row in rows_of(out) if row.state == "failed"}


def outputs(out: Path) -> dict[str, bytes]:
    """Everything that is published, by name."""
    files = sorted(path for path in (out / "items").rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}
