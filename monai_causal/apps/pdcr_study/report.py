# SPDX-License-Identifier: Apache-2.0
"""From the journal of a study to its tables, figures and page. The same journal gives the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_causal.apps.pdcr_study import figures
from monai_causal.apps.pdcr_study.findings import Findings, read_findings
from monai_causal.apps.pdcr_study.table import Table
from monai_causal.apps.pdcr_study.tables import attribution, checks, maps
from monai_causal.files import draft_of

__all__ = ["in_words", "write_report"]

APART = ("area_tests",)
"""Tables that have files but no place on the page: they say again what another one says."""
CAVEAT = "This explains models. It is no statement about a patient."


def write_report(out: Path) -> Findings:
    """Write ``report.md`` and, for every table, ``NAME.csv``, ``NAME.md`` and where it helps ``NAME.png``.

    Args:
        out: folder of a study; unfinished ones get a report that says so.
    """
    findings = read_findings(out)
    drawn = {table.name: table for table in _tables(findings)}
    for table in drawn.values():
        table.write(out)
    pictures = _draw(findings, drawn, out)
    with draft_of(out / "report.md") as draft:
        draft.write_text(_page(findings, drawn, pictures), encoding="utf-8")
    return findings


def in_words(findings: Findings, out: Path) -> str:
    """How far a study has come, in a few lines."""
    lines = [f"{len(findings.entries)} of {findings.head['items']} items done, {len(findings.failed)} failed."]
    if findings.missing:
        lines.append("The same command goes on with what is missing.")
    lines += [f"Look at {out / 'report.md'}.", CAVEAT]
    return "\n".join(lines)


def _tables(findings: Findings) -> list[Table]:
    found = [
        checks.network_table(findings) if findings.networks else None,
        attribution.attribution_table(findings),
        attribution.comparison_table(findings),
        attribution.curve_table(findings),
        attribution.attribution_table(findings, "area"),
        attribution.comparison_table(findings, "area"),
        maps.profile_table(findings),
        maps.histogram_table(findings),
        maps.convergence_table(findings),
        maps.settings_table(findings),
        checks.fill_table(findings),
        checks.verification_table(findings),
        checks.tracing_table(findings),
        checks.component_table(findings),
    ]
    return [table for table in found if table is not None and table.rows]


def _draw(findings: Findings, drawn: dict[str, Table], out: Path) -> dict[str, str]:
    """Draw what there is; the pictures' file names by the table beneath which they stand."""
    top = (findings.config["metrics"] or {}).get("top")
    if "attribution" in drawn:
        figures.save_bars(out / "attribution.png", drawn["attribution"], f"averaged attribution, top {top}")
    if "curves" in drawn:
        figures.save_curves(out / "curves.png", findings)
    if "profile" in drawn:
        figures.save_shares(out / "profile.png", drawn["profile"])
        figures.save_histogram(out / "histogram.png", findings)
        figures.save_convergence_figure(out / "convergence.png", findings)
    if "fills" in drawn:
        figures.save_fill_bars(out / "fills.png", drawn["fills"])
    if "components" in drawn:
        figures.save_component_bars(out / "components.png", drawn["components"])
    figures.save_examples(out / "examples.png", findings, out / "maps")
    return {name: f"{name}.png" for name in (*drawn, "examples") if (out / f"{name}.png").exists()}


def _page(findings: Findings, drawn: dict[str, Table], pictures: dict[str, str]) -> str:
    config, head = findings.config, findings.head
    parts = config["data"]["parts"]
    units = {entry["unit"] for entry in findings.entries}
    blocks = [
        f"# {config['title']}",
        f"{len(findings.entries)} of {head['items']} items done, {len(findings.failed)} failed"
        + (f", **{findings.missing} not yet done**." if findings.missing else "."),
        f"Data: {config['data']['name']}, {len(head['images'])} images explained ({len(units)} units for the "
        f"intervals: patients where known, else images), donors from {parts['donors']} others. Effects are after - "
        "before, in Dice points: negative supports. Attributions are measured with draws of seed "
        f"{config['seed'] + 1}, maps made with seed {config['seed']}.",
    ]
    if "examples" in pictures:
        blocks.append("![The maps of one RoI](examples.png)")
    for name, table in drawn.items():
        if name in APART:
            continue
        picture = f"\n![{table.title}]({pictures[name]})\n" if name in pictures else ""
        blocks.append(table.markdown().rstrip("\n") + (f"\n{picture}" if picture else ""))
    blocks += ["## What failed", _failures(findings), "## How it was made", _origin(head), f"*{CAVEAT}*"]
    return "\n\n".join(block.rstrip("\n") for block in blocks) + "\n"


def _failures(findings: Findings) -> str:
    if not findings.failed:
        return "Nothing."
    reasons: dict[str, list[str]] = {}
    for entry in findings.failed:
        reasons.setdefault(entry["reason"], []).append(entry["key"].replace("|", " / "))
    return "\n".join(
        f"- {len(keys)} x {reason} ({', '.join(keys[:3])}{' ...' if len(keys) > 3 else ''})"
        for reason, keys in reasons.items()
    )


def _origin(head: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in head["versions"].items())
    config = head["config"]
    seeds = f"seed {config['seed']}, donors' seed {config['donors']['seed']}"
    return (
        f"{versions}; {seeds}. The whole configuration and the digests of all images stand in the journal's first line."
    )
