# SPDX-License-Identifier: Apache-2.0
"""``{results-table}``: every result page with its date and the first command that made it, read from the pages."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

__all__ = ["Page", "pages", "setup"]

# Tables that a command wrote are reached from the page that says what they answer.
_WRITTEN = {"report.md", "runtime.md", "timing.md", "table1.md"}
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATE = re.compile(rf"\b(\d{{1,2}} (?:{_MONTHS}) 20\d\d|20\d\d-\d\d-\d\d)(?!\d)")
_COMMAND = re.compile(
    r"(?:^|`|command: )(?:[A-Z_]+=\S+ )*((?:monai-causal|python benchmarks/|make bench)[^\n`]*)", re.MULTILINE
)


class Page(NamedTuple):
    """One page of results: where, under the results' folder, its title, its date, and a command."""

    path: str
    title: str
    date: str
    command: str


def pages(folder: Path) -> list[Page]:
    """Every page below a folder of results, but its own README and what commands wrote."""
    found = []
    for path in sorted(folder.rglob("*.md")):
        if path.name in _WRITTEN or (path.parent == folder and path.name in ("README.md", "index.md")):
            continue
        text = path.read_text(encoding="utf-8")
        title = re.search(r"^# (.+)$", text, re.MULTILINE)
        dates, commands = _DATE.findall(text), _COMMAND.findall(text)
        command = commands[0].split("  #")[0].split(", begun")[0].rstrip(" \\") if commands else ""
        found.append(
            Page(
                path.relative_to(folder).as_posix(),
                title[1] if title else path.stem,
                _iso(dates[0]) if dates else "",
                command,
            )
        )
    return found


def _iso(date: str) -> str:
    """A date in one way of writing, so that a column of them can be read down."""
    return date if date[4] == "-" else datetime.strptime(date, "%d %B %Y").date().isoformat()


class _ResultsTable(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        folder = Path(self.env.doc2path(self.env.docname)).parent
        lines = ["| page | date | made by (the first command) |", "| --- | --- | --- |"]
        for page in pages(folder):
            self.env.note_dependency(str(folder / page.path))
            command = f"`{page.command}`" if page.command else ""
            name = page.path.removesuffix(".md").removesuffix("/README")
            lines.append(f"| [{name}]({page.path}) | {page.date} | {command} |")
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, source="results"), self.content_offset, holder)
        return holder.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive ``results-table``."""
    app.add_directive("results-table", _ResultsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
