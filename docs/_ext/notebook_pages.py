# SPDX-License-Identifier: Apache-2.0
"""Notebooks as pages: cells become Markdown and code, outputs that were kept become text and pictures.

Nothing is executed here; a test executes the notebooks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx

__all__ = ["NotebookParser", "as_markdown", "setup"]


def as_markdown(notebook: Mapping[str, Any]) -> str:
    """A notebook (nbformat 4) as one Markdown text."""
    return "\n".join(line for cell in notebook["cells"] for line in _cell(cell))


def _cell(cell: Mapping[str, Any]) -> Iterator[str]:
    source = _joined(cell["source"])
    if cell["cell_type"] == "markdown":
        yield f"{source}\n"
        return
    yield f"```python\n{source}\n```\n"
    for output in cell["outputs"]:
        data = output.get("data", {})
        kind = next((kind for kind in ("image/png", "image/jpeg") if kind in data), None)
        if kind is not None:
            yield f"![what the cell above draws](data:{kind};base64,{''.join(_joined(data[kind]).split())})\n"
        elif text := _joined(output.get("text", data.get("text/plain", ""))):
            yield f"```text\n{text.rstrip()}\n```\n"


def _joined(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


class NotebookParser(MystParser):
    """Reads ``.ipynb`` as the Markdown that it amounts to."""

    supported = ("ipynb", "jupyter_notebook")

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Parse a notebook's JSON into ``document``."""
        super().parse(as_markdown(json.loads(inputstring)), document)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register ``.ipynb`` as a kind of source."""
    app.add_source_suffix(".ipynb", "ipynb")
    app.add_source_parser(NotebookParser)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
