# SPDX-License-Identifier: Apache-2.0
"""Models, methods and sites beside each other: means with intervals, and differences on the same items."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from monai_causal.cohort.answers.shares import EVERYWHERE
from monai_causal.extras import require
from monai_causal.metrics import holm, paired_bootstrap

__all__ = ["Measured", "compared", "measured", "summaries"]


class Measured(NamedTuple):
    """What values have in common that may be averaged."""

    model: str
    method: str
    question: str
    name: str


Values = dict[Measured, dict[int, float]]
"""By item."""


def measured(tables: Path) -> Values:
    """All measures that have a value."""
    found: Values = {}
    with require("pyarrow.parquet").ParquetFile(tables / "measures.parquet") as file:
        columns = ["item", "model", "method", "question", "name", "value"]
        for batch in file.iter_batches(columns=columns):
            for row in zip(*(batch.column(name).to_pylist() for name in columns), strict=True):
                item, model, method, question, name, value = row
                if value is not None and math.isfinite(value):
                    found.setdefault(Measured(model, method, question or "", name), {})[item] = value
    return found


def summaries(
    values: Values, units: Mapping[int, int], sites: Mapping[int, str | None], level: float, resamples: int
) -> list[dict[str, Any]]:
    """Mean of every measure over units, with its interval, all sites together and site by site."""
    rows = []
    for what, by_item in sorted(values.items()):
        places = [EVERYWHERE, *sorted({site for item in by_item if (site := sites.get(item)) is not None})]
        for place in places:
            kept = {item: one for item, one in by_item.items() if place == EVERYWHERE or sites.get(item) == place}
            means = list(_by_unit(kept, units).values())
            low = high = None
            if len(means) > 1:
                interval = paired_bootstrap(means, n=resamples, level=level)
                low, high = interval.low, interval.high
            row = {"units": len(means), "items": len(kept), "mean": float(np.mean(means)), "low": low, "high": high}
            rows.append({**what._asdict(), "site": place, **row})
    return rows


def compared(values: Values, units: Mapping[int, int], level: float, resamples: int) -> list[dict[str, Any]]:
    """Every two (model, method) on the items that both have a value of, corrected by Holm within a measure."""
    rows: list[dict[str, Any]] = []
    for question, name in sorted({(one.question, one.name) for one in values}):
        rivals = sorted(one for one in values if (one.question, one.name) == (question, name))
        found = []
        for first, second in combinations(rivals, 2):
            both = values[first].keys() & values[second].keys()
            a, b = (_by_unit({item: values[one][item] for item in both}, units) for one in (first, second))
            if len(a) > 1:
                order = sorted(a)
                test = paired_bootstrap(
                    [a[unit] for unit in order], [b[unit] for unit in order], n=resamples, level=level
                )
                found.append((first, second, test))
        corrected = [float(p) for p in holm([test.p for _, _, test in found])] if found else []
        rows += [
            {
                "question": question,
                "name": name,
                "first": f"{first.model}, {first.method}",
                "second": f"{second.model}, {second.method}",
                "units": test.images,
                "difference": test.difference,
                "low": test.low,
                "high": test.high,
                "p": test.p,
                "p_holm": p,
            }
            for (first, second, test), p in zip(found, corrected, strict=True)
        ]
    return rows


def _by_unit(values: Mapping[int, float], units: Mapping[int, int]) -> dict[int, float]:
    """Items of one patient averaged: they are no independent witnesses."""
    grouped: dict[int, list[float]] = {}
    for item in sorted(values):
        grouped.setdefault(units.get(item, item), []).append(values[item])
    return {unit: float(np.mean(some)) for unit, some in grouped.items()}
