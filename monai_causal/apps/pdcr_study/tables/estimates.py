# SPDX-License-Identifier: Apache-2.0
"""Means over units with their bootstrap intervals, as every table has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from monai_causal.apps.pdcr_study.findings import Entry, Findings, Reader, per_unit
from monai_causal.metrics.statistics import paired_bootstrap

__all__ = [
    "bootstrap",
    "difference",
    "level",
    "mean",
    "mean_of",
    "summary",
]


def summary(findings: Findings, values: Sequence[float]) -> dict[str, float | None]:
    """Mean and bootstrap interval over units; no interval from fewer than two."""
    if len(values) < 2:
        return {"mean": values[0] if values else None, "low": None, "high": None}
    found = paired_bootstrap(values, **bootstrap(findings))
    return {"mean": found.difference, "low": found.low, "high": found.high}


def difference(findings: Findings, entries: Sequence[Entry], first: Reader, second: Reader) -> dict[str, float | None]:
    """Of two numbers of the same entries: the mean over units of first - second, with its interval."""
    a, b = per_unit(entries, first), per_unit(entries, second)
    return summary(findings, [a[unit] - b[unit] for unit in a])


def mean_of(entries: Sequence[Entry], value: Reader) -> float:
    """Over units, of something that every entry has."""
    return float(np.mean(list(per_unit(entries, value).values())))


def mean(values: Iterable[float]) -> float | None:
    """Of as many values as there are; ``None`` of none."""
    some = list(values)
    return float(np.mean(some)) if some else None


def bootstrap(findings: Findings) -> dict[str, Any]:
    """Arguments of :func:`paired_bootstrap` and :func:`compare_methods`, as the study has them."""
    settings = findings.config["statistics"]
    return {"n": settings["resamples"], "level": settings["level"], "seed": findings.config["seed"]}


def level(findings: Findings) -> str:
    """The intervals' level, in words."""
    return f"{100 * findings.config['statistics']['level']:g} %"
