# SPDX-License-Identifier: Apache-2.0
"""The notebooks run as they are, say what they said when they were kept, and have a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import DOCS

NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
LARGEST = 300_000
"""bytes of one notebook with its outputs"""


def cells(notebook: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def printed(notebook: Any) -> str:
    """What a notebook's cells print, one after the other."""
    outputs = [output for cell in cells(notebook, "code") for output in cell["outputs"]]
    return "".join("".join(one.get("text", "")) for one in outputs if one.get("name") != "stderr")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_small_and_whole(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert path.stat().st_size < LARGEST
    assert notebook["nbformat"] == 4
    code = cells(notebook, "code")
    assert all(cell["execution_count"] is None for cell in code)
    assert any("image/jpeg" in output.get("data", {}) for cell in code for output in cell["outputs"])
    for cell in code:
        compile("".join(cell["source"]), f"{path.name}:{cell['id']}", "exec")


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_says_the_same_again(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS)
    from run_notebooks import executed

    kept = json.loads(path.read_text(encoding="utf-8"))
    assert printed(executed(path, str(tmp_path))) == printed(kept)
