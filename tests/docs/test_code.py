# SPDX-License-Identifier: Apache-2.0
"""What the documentation shows works: every block of code runs, or says why it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, blocks_of, check_statement, statements, work_through

SLOW = [page for page in PAGES if any(block.mark == "slow" for block in blocks_of(page.read_text(encoding="utf-8")))]


def named(page: Path) -> str:
    return page.relative_to(DOCS).with_suffix("").as_posix()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work_through(page, tmp_path, monkeypatch, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW, ids=named)
def test_the_code_of_a_page_runs_to_its_end(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work_through(page, tmp_path, monkeypatch, slow=True)


@pytest.mark.parametrize("name", ["start.md", "systems/engine.md", "systems/pdcr.md", "systems/medfocus.md"])
def test_the_pages_that_matter_most_run_something(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = blocks_of((DOCS / name).read_text(encoding="utf-8"))
    assert any(block.mark == "" and block.language in ("python", "bash") for block in blocks)


def test_blocks_statements_and_marks_are_read() -> None:
    markdown = (
        "```bash\nmonai-causal demo \\\n  --out a  # there\nA=1 make test && monai-causal doctor | head\n```\n"
        "<!-- not run: needs a server -->\n\n```python\nx = 1\n```\n```text\nno code\n```\n"
    )
    shell, python = blocks_of(markdown)
    assert (shell.line, shell.mark) == (2, "")
    assert list(statements(shell.code)) == [
        ["monai-causal", "demo", "--out", "a"],
        ["make", "test"],
        ["monai-causal", "doctor"],
    ]
    assert (python.code, python.mark, python.why) == ("x = 1\n", "not run", "needs a server")


@pytest.mark.parametrize(
    "line",
    ["monai-causal explan --out x", "monai-causal medfocus walk", "monai-causal explain --oot x", "make coffee"],
)
def test_a_command_that_does_not_exist_is_seen(line: str) -> None:
    with pytest.raises(AssertionError):
        check_statement(line.split())


def test_a_page_whose_code_fails_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    folder = tmp_path / "work"
    folder.mkdir()
    page.write_text("```python\nassert 1 == 2\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        work_through(page, folder, monkeypatch, slow=False)
