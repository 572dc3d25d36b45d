# SPDX-License-Identifier: Apache-2.0
"""Who is explained, and what stands beside the maps: fills, joint effects, traced errors, components."""

from __future__ import annotations

from typing import Any

import numpy as np

from monai_causal.apps.pdcr_study.findings import Entry, Findings, per_unit, read
from monai_causal.apps.pdcr_study.table import Table, interval, number
from monai_causal.apps.pdcr_study.tables.estimates import difference, level, mean, mean_of, summary

__all__ = [
    "component_table",
    "fill_table",
    "network_table",
    "tracing_table",
    "verification_table",
]


def network_table(findings: Findings) -> Table:
    """Who is explained."""
    rows: list[dict[str, Any]] = []
    for name, entry in findings.networks.items():
        overlaps = [one for one in entry["dice"] if one is not None]
        rows.append(
            {
                "network": name,
                "parameters": entry["parameters"],
                "weights": entry["weights"],
                "images": len(overlaps),
                **summary(findings, overlaps),
            }
        )
    return Table(
        "networks",
        "The networks",
        "Dice points of the whole image against the label, on the images that are explained; weights: digest.",
        rows,
        ["network", "parameters", "weights", "n", "Dice"],
        [
            [one["network"], f"{one['parameters']:,}", one["weights"], str(one["images"]), interval(one)]
            for one in rows
        ],
    )  # fmt: skip


def fill_table(findings: Findings) -> Table | None:
    """Section 3.3: fills against the three principles, over all networks."""
    entries = findings.results("fills")
    if not entries:
        return None
    measures = ("disruption", "unchanged", "plausible", "seam", "reliability", "agreement", "effect")
    rows: list[dict[str, Any]] = []
    lines = []
    for fill in entries[0]["result"]:
        cells = []
        for measure in measures:
            units = per_unit(entries, read(fill, measure))
            row = {"fill": fill, "measure": measure, "images": len(units), **summary(findings, list(units.values()))}
            rows.append(row)
            cells.append(interval(row))
        lines.append([fill, *cells])
    settings = findings.config["fills"]
    return Table(
        "fills",
        "Fills against the three principles",
        "Disruption: change of a patch over the image's spread; unchanged: share of patches below "
        f"{settings['unchanged_below']:g} of it. Plausible: share that look like real patches of other images, 0.95 "
        "for real ones by construction; seam: step across the border, 1 as it was. Attributable: reliability, the "
        "share of the effects' variance that the region explains and the draw does not (a dash where nothing is "
        "drawn); agreement, rank correlation of the effects with those under the other fills. Effect: mean |ATE| in "
        f"Dice points. Means over images with {level(findings)} bootstrap intervals.",
        rows,
        ["fill", "disruption", "unchanged", "plausible", "seam", "reliability", "agreement", "effect"],
        lines,
    )


def verification_table(findings: Findings) -> Table | None:
    """Do the named regions matter jointly? Their effect at once against that of as many unnamed ones."""
    checked = findings.config["verification"]
    if checked is None:
        return None
    rows: list[dict[str, Any]] = []
    for network in findings.networks:
        entries = findings.results("method", network, checked["method"])
        for side in ("named", "supporting", "suppressing"):
            found = [one for one in entries if one["result"]["verification"][side] is not None]
            if not found:
                continue

            def joint(one: Entry, side: str = side) -> float:
                return _sized(one["result"]["verification"][side]["effect"], side)

            def random(one: Entry, side: str = side) -> float:
                return float(np.mean([_sized(e, side) for e in one["result"]["verification"][side]["random"]]))

            rows.append(
                {
                    "network": network, "regions": side, "maps": len(found),
                    "count": mean_of(found, read("verification", side, "regions")),
                    "effect": mean_of(found, joint),
                    "random": mean_of(found, random),
                    **difference(findings, found, joint, random),
                    "significant": sum(one["result"]["verification"][side]["p"] <= 0.05 for one in found),
                }
            )  # fmt: skip
    if not rows:
        return None
    return Table(
        "verification",
        "Do the named regions matter jointly?",
        f"All regions that '{checked['method']}' calls relevant are replaced at once, and {checked['sets']} random "
        "sets of as many others. Dice points: of 'named' the magnitude, of 'supporting' the loss, of 'suppressing' the "
        f"gain; difference with a {level(findings)} bootstrap interval over images; maps in which at most one set in "
        "twenty does as much (p <= 0.05).",
        rows,
        ["network", "regions", "maps", "how many", "replaced at once", "random sets", "difference", "p <= 0.05"],
        [
            [
                one["network"], one["regions"], str(one["maps"]), number(one["count"]), number(one["effect"]),
                number(one["random"]), interval(one), f"{one['significant']} of {one['maps']}",
            ]
            for one in rows
        ],
    )  # fmt: skip


def tracing_table(findings: Findings) -> Table | None:
    """What made the worst boxes: share of the box answered with the class, before and after."""
    settings = findings.config["tracing"]
    if settings is None:
        return None
    rows: list[dict[str, Any]] = []
    for network in findings.networks:
        for error in settings["errors"]:
            entries = findings.results("tracing", network, error)
            traced = [one for one in entries if one["result"]["traced"]]
            joined = [one for one in traced if one["result"].get("joint")]

            rows.append(
                {
                    "network": network,
                    "error": error,
                    "images": len(entries),
                    "boxes": len(traced),
                    "named": len(joined),
                    "wrong": mean(one["result"]["wrong"] for one in joined),
                    "before": mean(one["result"]["share"] for one in joined),
                    "effect": mean(one["result"]["joint"]["effect"] for one in joined),
                    "random": mean(_of_random_sets(one) for one in joined),
                    **difference(findings, joined, read("joint", "effect"), _of_random_sets),
                    "significant": sum(one["result"]["joint"]["p"] <= 0.05 for one in joined),
                }
            )
    return Table(
        "tracing",
        "What made a missegmented box",
        f"The box with most of an error in each image, if at least {100 * settings['least']:g} % of it is wrong; its "
        f"score is the share of it that is answered with the class. The {settings['top']} regions that take most of "
        f"the error away are replaced at once, and {settings['sets']} random sets of as many others; what changes, "
        "in shares of the box. Named: boxes for which there is such a region at all.",
        rows,
        [
            "network", "error", "n", "boxes", "named", "wrong", "answered before", "named replaced", "random sets",
            "difference", "p <= 0.05",
        ],
        [
            [
                one["network"], one["error"], str(one["images"]), str(one["boxes"]), str(one["named"]),
                number(one["wrong"]), number(one["before"]), number(one["effect"]), number(one["random"]),
                interval(one), f"{one['significant']} of {one['named']}",
            ]
            for one in rows
        ],
    )  # fmt: skip


def component_table(findings: Findings) -> Table | None:
    """Which block of a network supports the RoI."""
    rows: list[dict[str, Any]] = []
    for network in findings.networks:
        for task in dict.fromkeys(entry["task"] for entry in findings.results("components", network)):
            entries = findings.results("components", network, task)
            for place, component in enumerate(entries[0]["result"]["components"]):
                effects = per_unit(entries, read("effects", place))
                rows.append(
                    {
                        "network": network, "method": task, "component": component, "images": len(effects),
                        **summary(findings, list(effects.values())),
                        "relevant": sum(one["result"]["relevant"][place] for one in entries), "maps": len(entries),
                    }
                )  # fmt: skip
    if not rows:
        return None
    return Table(
        "components",
        "Which block supports the RoI",
        "Average effect of replacing a block's activation by what the block makes of other images, in Dice points "
        f"(negative: it supports), with a {level(findings)} bootstrap interval over images; maps in which it is "
        "relevant. A block that also feeds a skip connection is replaced on both ways.",
        rows,
        ["network", "map", "block", "n", "effect", "relevant"],
        [
            [
                one["network"], one["method"], f"`{one['component']}`", str(one["images"]), interval(one),
                f"{one['relevant']} of {one['maps']}",
            ]
            for one in rows
        ],
    )  # fmt: skip


def _sized(effect: float, side: str) -> float:
    return {"named": abs(effect), "supporting": -effect, "suppressing": effect}[side]


def _of_random_sets(entry: Entry) -> float:
    return float(np.mean(entry["result"]["joint"]["random"]))
