# SPDX-License-Identifier: Apache-2.0
"""The two files that come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_causal.files import draft_of, write_json

__all__ = ["Section", "write_report"]

SCHEMA = "monai_causal/benchmark-dicom-reading/1"


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Attributes:
        name: of the part.
        title: a heading.
        plan: what is measured, on how many items, what counts as a pass; written before the run.
        rows: the table, one dictionary per line, all with the same keys.
        findings: what came out, in sentences; reached and missed alike.
    """

    name: str
    title: str
    plan: str
    rows: list[dict[str, Any]]
    findings: list[str] = field(default_factory=list)


def write_report(folder: Path, stem: str, sections: Sequence[Section], about: dict[str, Any]) -> tuple[Path, Path]:
    """Write ``stem.json`` and ``stem.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"part": section.name, **row} for section in sections for row in section.rows]
    content = {"schema": SCHEMA, **about, "findings": {s.name: s.findings for s in sections}, "rows": rows}
    blocks = ["# Reading radiographs, measured"]
    if about["quick"]:
        blocks.append(
            "**A quick run on small numbers: it shows that the benchmark works, and its figures mean nothing.**"
        )
    for section in sections:
        blocks += [f"## {section.title}", section.plan, _table(section.rows)]
        blocks.append("\n".join(f"- {line}" for line in section.findings))
    machine = about["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    blocks += [
        "## Machine and command",
        f"`{about['command']}`, begun {about['begun']}, seed {about['seed']}; {machine['cpu']}, {machine['cores']} "
        f"cores, load {machine['load_before']} before, "
        f"{machine['memory_gib']} GiB; python {machine['versions']['python']}, {versions}; commit "
        f"{machine['commit']}; minutes per part: {about['minutes_per_part']}.",
    ]
    page = folder / f"{stem}.md"
    with draft_of(page) as draft:
        draft.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return write_json(folder / f"{stem}.json", content), page


def _table(rows: Sequence[dict[str, Any]]) -> str:
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([_cell(row[head]) for head in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value).replace("|", "\\|")
