# SPDX-License-Identifier: Apache-2.0
"""What the paper says of its results, held against a benchmark's rows.

The published text gives these claims and few numbers (section 5.1); each is answered yes or no, with the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["verdict"]

Row = dict[str, Any]
OURS = "medfocus"


def verdict(rows: Sequence[Row]) -> list[str]:
    """A sentence per claim, model, data set and mode.

    Args:
        rows: of :func:`~monai_causal.apps.medground.tables.stacked`.
    """
    sentences = []
    for model, dataset, mode in dict.fromkeys((row["model"], row["dataset"], row["mode"]) for row in rows):
        some = [
            row for row in rows if (row["model"], row["dataset"], row["mode"]) == (model, dataset, mode) and row["n"]
        ]
        where = f"{model} on {dataset}, {mode}"
        for metric, called in (("iou", "IoU"), ("f1", "F1")):
            sentences += _best(some, metric, called, where)
        sentences += _broad(some, where)
        sentences += _ranking(some, where)
    return sentences


def _best(rows: Sequence[Row], metric: str, called: str, where: str) -> list[str]:
    """Published: MedFocus has the best IoU and F1 on every data set."""
    ranked = sorted(rows, key=lambda row: -row[metric])
    place = next((number for number, row in enumerate(ranked, 1) if row["method"] == OURS), None)
    if place is None or len(ranked) < 2:
        return []
    ours, best = ranked[place - 1], ranked[0] if place > 1 else ranked[1]
    said = "yes" if place == 1 else "no"
    return [
        f"{where}: MedFocus has the best {called}: {said} (place {place} of {len(ranked)}, {100 * ours[metric]:.2f}; "
        f"{best['method']} {100 * best[metric]:.2f})."
    ]


def _broad(rows: Sequence[Row], where: str) -> list[str]:
    """Published: gradient-weighted attention has a near-perfect recall and a very low precision."""
    row = next((row for row in rows if row["method"] == "gradient-attention"), None)
    if row is None:
        return []
    said = "yes" if row["recall"] >= 0.9 and row["precision"] < 0.5 * row["recall"] else "no"
    return [
        f"{where}: gradient-weighted attention covers nearly everything (recall at least 90, precision below half of "
        f"it): {said} (recall {100 * row['recall']:.2f}, precision {100 * row['precision']:.2f})."
    ]


def _ranking(rows: Sequence[Row], where: str) -> list[str]:
    ranked = sorted(rows, key=lambda row: -row["iou"])
    return [f"{where}: ranking by IoU: {', '.join(row['method'] for row in ranked)}."] if len(ranked) > 2 else []
