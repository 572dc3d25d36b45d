# SPDX-License-Identifier: Apache-2.0
"""The answers as a page in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["page_of"]

_MOST = 20
Cell = Callable[[Mapping[str, Any]], str]


def page_of(content: Mapping[str, Any], picture: str | None) -> str:
    """The page."""
    level = f"{100 * content['level']:g} %"
    parts = ["# What the cohort says", _counts(content["items"])]
    if content["outliers"]:
        parts += [
            "## Look at these first",
            f"Answered right (at least {content['right_from']:g}) for reasons unlike those of all other cases: "
            "strangeness is 1 - the correlation of the map with the mean of all others, regions aligned by their names "
            f"or by their places relative to the RoI. The first {min(_MOST, len(content['outliers']))} of "
            f"{len(content['outliers'])} maps; then come answers of unknown truth, then wrong ones.",
            _table(
                content["outliers"][:_MOST],
                {
                    "item": lambda row: str(row["item"]),
                    "site": lambda row: row["site"] or "",
                    **_WHO,
                    "right": lambda row: _number(row["right"], 2),
                    "strangeness": lambda row: _number(row["strangeness"], 2),
                },
            ),
        ]
    if content["shares"]:
        parts += [
            "## What the maps are made of",
            "Per cent of regions, averaged over patients. Supporting: replacing the region lowers the score.",
            _table(
                content["shares"],
                {
                    **_WHO,
                    "site": lambda row: row["site"],
                    "patients": lambda row: str(row["units"]),
                    "supporting %": lambda row: _number(100 * row["supporting"], 2),
                    "suppressing %": lambda row: _number(100 * row["suppressing"], 2),
                    "irrelevant %": lambda row: _number(100 * row["irrelevant"], 2),
                    "strongest": lambda row: (
                        f"{row['strongest_support']:.3g} / {row['strongest_suppression']:+.3g} {row['unit']}"
                    ),
                },
            ),
        ]
    if picture is not None:
        parts += [
            "## Mean maps over aligned RoIs",
            "Mean effect of every place, seen from the RoI's centre (+). Red supports. Grey: fewer than a tenth of the "
            "maps reach there.",
            f"![Mean maps]({picture})",
        ]
    if content["measures"]:
        parts += [
            "## Measures",
            f"Means over patients with bootstrap intervals ({level}).",
            _table(
                content["measures"],
                {
                    "measure": lambda row: row["name"],
                    **_WHO,
                    "site": lambda row: row["site"],
                    "patients": lambda row: str(row["units"]),
                    "mean": lambda row: f"{_number(row['mean'])} [{_number(row['low'])}, {_number(row['high'])}]",
                },
            ),
        ]
    if content["comparisons"]:
        parts += [
            "## Differences on the same items",
            f"First minus second, paired bootstrap over patients ({level}), p corrected by Holm within a measure.",
            _table(
                content["comparisons"],
                {
                    "measure": lambda row: row["name"],
                    "question": lambda row: row["question"],
                    "first": lambda row: row["first"],
                    "second": lambda row: row["second"],
                    "patients": lambda row: str(row["units"]),
                    "difference": lambda row: (
                        f"{_number(row['difference'])} [{_number(row['low'])}, {_number(row['high'])}]"
                    ),
                    "p": lambda row: _number(row["p_holm"], 4),
                },
            ),
        ]
    parts.append("This explains models. It is no statement about patients.")
    return "\n\n".join(parts) + "\n"


_WHO: dict[str, Cell] = {
    "model": lambda row: row["model"],
    "method": lambda row: row["method"],
    "question": lambda row: row["question"],
}


def _counts(items: Mapping[str, int]) -> str:
    return "Items: " + ", ".join(f"{count} {state}" for state, count in items.items()) + "."


def _table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Cell]) -> str:
    lines = [list(columns), ["---"] * len(columns)]
    lines += [[cell(row).replace("|", "\\|") for cell in columns.values()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
