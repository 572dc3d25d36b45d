# SPDX-License-Identifier: Apache-2.0
"""A benchmark in parts: the page and the JSON that come out, and the tables on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_causal.files import draft_of, write_json

__all__ = ["Section", "table", "write_report"]


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Attributes:
        name: of the part.
        title: a heading.
        plan: what is measured, on how many items, what counts as a pass; written before the run.
        rows: the table, one dictionary per line.
        findings: what came out, in sentences; reached and missed alike.
    """

    name: str
    title: str
    plan: str
    rows: list[dict[str, Any]]
    findings: list[str] = field(default_factory=list)


def write_report(
    folder: Path,
    stem: str,
    sections: Sequence[Section],
    about: dict[str, Any],
    *,
    schema: str,
    title: str,
    closing: str,
) -> tuple[Path, Path]:
    """Write ``stem.json`` and ``stem.md``.

    Args:
        folder: where to.
        stem: of both names.
        sections: in their order.
        about: the run, for the JSON; ``quick`` says that its figures mean nothing.
        schema: of the JSON.
        title: of the page.
        closing: machine and command, in a sentence.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"part": section.name, **row} for section in sections for row in section.rows]
    content = {"schema": schema, **about, "findings": {s.name: s.findings for s in sections}, "rows": rows}
    blocks = [f"# {title}"]
    if about["quick"]:
        blocks.append(
            "**A quick run on small numbers: it shows that the benchmark works, and its figures mean nothing.**"
        )
    for section in sections:
        blocks += [f"## {section.title}", section.plan, table(section.rows)]
        blocks.append("\n".join(f"- {line}" for line in section.findings))
    blocks += ["## Machine and command", closing]
    page = folder / f"{stem}.md"
    with draft_of(page) as draft:
        draft.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return write_json(folder / f"{stem}.json", content), page


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table with a column for every key of any row, in the order in which keys appear."""
    heads = list(dict.fromkeys(key for row in rows for key in row))
    lines = [heads, ["---"] * len(heads), *([_cell(row.get(head, "")) for head in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value).replace("|", "\\|")
