# SPDX-License-Identifier: Apache-2.0
"""Table 3, Fig. 8 and Fig. 3: what PdCR's maps are made of, how fast they settle, and what its settings do to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from monai_causal.apps.pdcr_study.findings import Entry, Findings, per_unit, read
from monai_causal.apps.pdcr_study.table import Table, interval, number
from monai_causal.apps.pdcr_study.tables.estimates import mean, mean_of, summary

__all__ = [
    "STEPS",
    "convergence_table",
    "histogram_table",
    "profile_table",
    "settings_table",
]

STEPS = (1, 2, 3, 5, 10, 20, 30, 40, 50, 75, 100, 150, 200)
"""Numbers of draws at which the convergence is read, as far as there are so many."""


def profile_table(findings: Findings) -> Table | None:
    """Table 3: shares of supporting, suppressing and irrelevant regions, and the extremes, averaged over images."""
    rows: list[dict[str, Any]] = []
    for network, label, entries in _pdcr_maps(findings):
        shares = {
            name: 100 * mean_of(entries, read("profile", "shares", name))
            for name in ("supporting", "suppressing", "irrelevant")
        }
        extremes = {name: mean_of(entries, read("profile", name)) for name in ("minimum", "maximum")}
        rows.append(
            {
                "network": network,
                "method": label,
                "images": len({one["unit"] for one in entries}),
                "maps": len(entries),
                **shares,
                **extremes,
                "baseline": mean_of(entries, read("baseline")),
                "evaluations": mean_of(entries, read("evaluations")),
                "not_settled": sum(one["result"]["not_settled"] for one in entries),
            }
        )
    if not rows:
        return None
    return Table(
        "profile",
        "Table 3: how the maps are made up",
        "Averages over images. Supporting: replacing the region lowers the Dice (the paper's positive contribution). "
        "Min / max: strongest support and suppression, in Dice points. The RoI's own cells are left out.",
        rows,
        ["network", "map", "n", "supporting %", "suppressing %", "irrelevant %", "min / max", "Dice before", "asked"],
        [
            [
                one["network"], one["method"], str(one["images"]), f"{one['supporting']:.2f}",
                f"{one['suppressing']:.2f}", f"{one['irrelevant']:.2f}",
                f"{one['minimum']:.2f} / {one['maximum']:.2f}", number(one["baseline"], 4),
                f"{one['evaluations']:,.0f}",
            ]
            for one in rows
        ],
    )  # fmt: skip


def histogram_table(findings: Findings) -> Table | None:
    """Fig. 8: shares of regions over the paper's bins."""
    rows: list[dict[str, Any]] = []
    lines, head = [], ["network", "map"]
    for network, label, entries in _pdcr_maps(findings):
        edges = entries[0]["result"]["profile"]["edges"]
        line = [network, label]
        for place, (low, high) in enumerate(edges):

            def share(one: Entry, place: int = place) -> float:
                counts = one["result"]["profile"]["histogram"]
                return 100.0 * counts[place] / sum(counts)

            average = mean_of(entries, share)
            rows.append({"network": network, "method": label, "low": low, "high": high, "share": average})
            line.append(f"{average:.2f}")
        lines.append(line)
        head = ["network", "map", *(_bin(low, high) for low, high in edges)]
    if not rows:
        return None
    note = "Per cent of regions by the size of their effect in Dice points, averaged over images."
    return Table("histogram", "Fig. 8: effects over the paper's bins", note, rows, head, lines)


def convergence_table(findings: Findings) -> Table | None:
    """Fig. 3 in numbers: how far the running mean of the strongest region still is from its last value."""
    rows: list[dict[str, Any]] = []
    for network, label, entries in _pdcr_maps(findings):
        longest = max(len(one["result"]["strongest"]["draws"]) for one in entries)
        for step in (step for step in STEPS if step < longest):

            def away(one: Entry, step: int = step) -> float | None:
                draws = one["result"]["strongest"]["draws"]
                if len(draws) <= step:
                    return None
                return abs(float(np.mean(draws[:step])) - float(np.mean(draws)))

            units = list(per_unit(entries, away).values())
            if units:
                rows.append(
                    {"network": network, "method": label, "draws": step, "images": len(units),
                     **summary(findings, units)}
                )  # fmt: skip
    if not rows:
        return None
    steps = sorted({row["draws"] for row in rows})
    found = {(row["network"], row["method"], row["draws"]): row["mean"] for row in rows}
    maps = list(dict.fromkeys((row["network"], row["method"]) for row in rows))
    return Table(
        "convergence",
        "Fig. 3: convergence over draws",
        "Of the strongest region of each map: distance of the mean of the first draws from the mean of all of them, in "
        "Dice points, averaged over images.",
        rows,
        ["network", "map", *(f"{step} draws" for step in steps)],
        [[network, label, *(number(found.get((network, label, step))) for step in steps)] for network, label in maps],
    )


def settings_table(findings: Findings) -> Table | None:
    """Ablations: PdCR's settings and sizes of the RoI beside each other, over all networks.

    Agreement is with the setting that asked most about the same regions of the same RoI: the rank correlation of the
    maps, and the share of regions that both call supporting, suppressing or irrelevant alike.
    """
    maps = [entry for _, _, entries in _pdcr_maps(findings) for entry in entries]
    kinds = [(label, rule) for label in findings.pdcr for rule in dict.fromkeys(one["rule"] for one in maps)]
    if len(kinds) < 2:
        return None
    rows: list[dict[str, Any]] = []
    for label, rule in kinds:
        entries = [one for one in maps if (one["task"], one["rule"]) == (label, rule)]
        if not entries:
            continue
        agreed = {
            name: mean(agreement[name] for agreement in (_agreement(one, maps) for one in entries) if name in agreement)
            for name in ("correlation", "same_call")
        }
        rows.append(
            {
                "method": label,
                "roi": rule,
                "images": len({one["unit"] for one in entries}),
                "maps": len(entries),
                "regions": mean(one["result"]["regions"] for one in entries),
                "evaluations": mean(one["result"]["evaluations"] for one in entries),
                "relevant": mean(100 * one["result"]["relevant"] / one["result"]["regions"] for one in entries),
                "baseline": mean(one["result"]["baseline"] for one in entries),
                **agreed,
                **summary(findings, list(per_unit(entries, read("attribution")).values())),
            }
        )
    return Table(
        "settings",
        "Settings beside each other",
        "Over all networks and images. Attribution: as in Table 2. Agreement: with the map that asked most about the "
        "same regions and RoI (a dash for that map itself): rank correlation of the effects, and the share of regions "
        "called alike (supporting, suppressing, irrelevant).",
        rows,
        ["setting", "RoI", "n", "regions", "asked", "relevant %", "attribution", "rank correlation", "called alike %"],
        [
            [
                one["method"], one["roi"], str(one["images"]), number(one["regions"]), f"{one['evaluations']:,.0f}",
                number(one["relevant"]), interval(one), number(one["correlation"]),
                number(None if one["same_call"] is None else 100 * one["same_call"]),
            ]
            for one in rows
        ],
    )  # fmt: skip


def _pdcr_maps(findings: Findings) -> list[tuple[str, str, list[Entry]]]:
    found = [
        (network, label, findings.results("method", network, label))
        for network in findings.networks
        for label in findings.pdcr
    ]
    return [one for one in found if one[2]]


def _agreement(entry: Entry, maps: Sequence[Entry]) -> dict[str, float]:
    """With the map that asked most about the same: nothing of that map itself, and no correlation of a map without
    effects."""
    own = entry["result"]
    rivals = [
        one
        for one in maps
        if all(one[key] == entry[key] for key in ("network", "image", "roi")) and one["result"]["ids"] == own["ids"]
    ]
    most = max(rivals, key=lambda one: one["result"]["evaluations"])
    if most is entry:
        return {}
    first, second = np.array(own["effects"]), np.array(most["result"]["effects"])
    found = {"same_call": float((np.sign(first) == np.sign(second)).mean())}
    if np.ptp(first) > 0 and np.ptp(second) > 0:
        found["correlation"] = float(stats.spearmanr(first, second).statistic)
    return found


def _bin(low: float | None, high: float | None) -> str:
    if low is None:
        return f"{high:g} or less"
    if high is None:
        return f"{low:+g} or more"
    return f"within ±{high:g}" if low < 0 < high else f"{low:+g} to {high:+g}"
