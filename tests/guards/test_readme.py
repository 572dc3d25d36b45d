# SPDX-License-Identifier: Apache-2.0
"""What the README shows works: its Python runs, and the commands that it names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from monai_causal.cli import app
from tests.guards.checkout import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKE_TARGETS = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def blocks(markdown: str, language: str) -> list[tuple[int, str]]:
    """Fenced code blocks of a language: the line where each one's code starts, counted from 1, and the code."""
    fenced = re.finditer(rf"^```{language}\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)
    return [(markdown.count("\n", 0, block.start(1)) + 1, block.group(1)) for block in fenced]


def commands(markdown: str, program: str) -> set[str]:
    """First words that follow a program's name in code, not in prose ("to make sense")."""
    code = [block for _, block in blocks(markdown, r"[a-z]*")]
    code += re.findall(r"(?<!`)`([^`\n]+)`(?!`)", markdown)
    return {word for piece in code for word in re.findall(rf"(?<![\w-]){program} ([a-z][\w-]*)", piece)}


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = blocks(README, "python")
    assert examples, "the README shows no Python"
    namespace: dict[str, object] = {"__name__": "readme"}
    for line, code in examples:  # one after the other, as a reader would type them
        exec(compile("\n" * (line - 1) + code, str(ROOT / "README.md"), "exec"), namespace)


def test_each_make_target_of_the_readme_exists() -> None:
    named = commands(README, "make")
    assert {"demo", "test"} <= named
    assert named <= MAKE_TARGETS


def test_each_command_of_the_readme_exists() -> None:
    existing = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    named = commands(README, "monai-causal")
    assert {"demo", "doctor"} <= named
    assert named <= existing


def test_files_that_the_readme_links_to_exist() -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_blocks_and_commands_are_told_from_prose() -> None:
    markdown = "make sense\n```python\nx = 1\n```\nrun `make a-b` or\n```bash\nbin/make c OUT=x\ncmake d\n```\n"
    assert blocks(markdown, "python") == [(3, "x = 1\n")]
    assert commands(markdown, "make") == {"a-b", "c"}
