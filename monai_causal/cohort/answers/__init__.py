# SPDX-License-Identifier: Apache-2.0
"""What the tables say of the cohort as a whole: shares per architecture and site, mean maps over aligned RoIs,
comparisons with intervals, and which cases to look at first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_causal.cohort.answers.blocks import blocks
from monai_causal.cohort.answers.comparisons import compared, measured, summaries
from monai_causal.cohort.answers.mean_maps import MeanMaps, draw_mean_maps
from monai_causal.cohort.answers.outliers import RIGHT, STRANGE, listed, rightness, strangeness
from monai_causal.cohort.answers.page import page_of
from monai_causal.cohort.answers.shares import Shares
from monai_causal.extras import require
from monai_causal.files import draft_of, write_json

__all__ = ["in_words", "write_answers"]

SCHEMA = "monai_causal/cohort-answers/1"
PICTURE = "mean_maps.png"


def write_answers(tables: Path, level: float = 0.95, resamples: int = 10_000) -> dict[str, Any]:
    """Write ``answers.json``, ``answers.md`` and, for planes, ``mean_maps.png`` beside the tables.

    Args:
        tables: what :func:`monai_causal.cohort.gather.gather` wrote.
        level: of the intervals.
        resamples: of the bootstrap.

    Returns:
        what ``answers.json`` holds.
    """
    items = require("pyarrow.parquet").read_table(tables / "items.parquet", columns=["item", "unit", "site", "state"])
    numbers = items.column("item").to_pylist()
    units = dict(zip(numbers, items.column("unit").to_pylist(), strict=True))
    sites = dict(zip(numbers, items.column("site").to_pylist(), strict=True))
    values = measured(tables)
    shares, maps = Shares(sites, units), MeanMaps()
    for block in blocks(tables):
        shares.add(block)
        maps.add(block)
    strange = []
    for block in blocks(tables):
        found = strangeness(block, maps)
        if found is not None:
            row = {"item": block.item, **block.kind._asdict(), "strangeness": found}
            strange.append({**row, "right": rightness(values, block), "site": sites[block.item]})
    states = items.column("state").to_pylist()
    content = {
        "schema": SCHEMA,
        "items": {state: states.count(state) for state in sorted(set(states))},
        "level": level,
        "resamples": resamples,
        "right_from": RIGHT,
        "shares": shares.rows(),
        "measures": summaries(values, units, sites, level, resamples),
        "comparisons": compared(values, units, level, resamples),
        "mean_maps": maps.rows(),
        "outliers": listed(strange),
    }
    write_json(tables / "answers.json", content)
    drawn = draw_mean_maps(maps, tables / PICTURE)
    with draft_of(tables / "answers.md") as draft:
        draft.write_text(page_of(content, PICTURE if drawn else None), encoding="utf-8")
    return content


def in_words(content: dict[str, Any], tables: Path) -> str:
    """What a person wants to read at the end of a command."""
    counts = ", ".join(f"{count} {state}" for state, count in content["items"].items())
    lines = [f"Items: {counts}."]
    right = [row for row in content["outliers"] if row["right"] is not None and row["right"] >= RIGHT]
    for row in [row for row in right if row["strangeness"] >= STRANGE][:3]:
        lines.append(
            f"Look at item {row['item']}: {row['model']} is right ({row['right']:.2f}), and {row['method']} finds "
            f"reasons unlike all others' (strangeness {row['strangeness']:.2f})."
        )
    lines.append(f"Tables (Parquet) and answers.md: {tables}. They explain models and say nothing about patients.")
    return "\n".join(lines)
