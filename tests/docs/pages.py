# SPDX-License-Identifier: Apache-2.0
"""The documentation's pages as a reader would work through them: block after block, in one folder.

Python runs in one namespace per page, ``monai-causal`` commands run in the same process. A comment before a block says
what is otherwise: ``<!-- not run: why -->`` (its commands and options must exist all the same), ``<!-- slow: why -->``.
A YAML or JSON block that begins with ``# NAME`` is a file that later blocks read.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner

from monai_causal.cli import app
from tests.guards.checkout import ROOT

__all__ = ["DOCS", "MADE", "PAGES", "Block", "blocks_of", "check_statement", "statements", "work_through"]

DOCS = ROOT / "docs"
MADE = ("_build", "generated", "_templates")
PAGES = sorted(page for page in DOCS.rglob("*.md") if not set(MADE) & set(page.relative_to(DOCS).parts))
LINKED = ("bundles", "configs", "docs", "benchmarks")  # of the checkout, as seen from the folder that a page works in
MAKE_TARGETS = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
_FENCE = re.compile(
    r"(?:^<!-- (?P<mark>not run|slow): (?P<why>.+?) -->\n+)?"
    r"^(?P<fence>`{3,})(?P<language>[a-z]+)\n(?P<code>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of code: where it starts, what it is, and whether it is run."""

    line: int
    language: str
    code: str
    mark: str
    why: str


def blocks_of(markdown: str) -> list[Block]:
    """Python, shell, YAML and JSON of a page, in order."""
    return [
        Block(
            markdown.count("\n", 0, found.start("code")) + 1,
            found["language"],
            found["code"],
            found["mark"] or "",
            found["why"] or "",
        )
        for found in _FENCE.finditer(markdown)
        if found["language"] in ("python", "bash", "yaml", "json")
    ]


def statements(code: str) -> Iterator[list[str]]:
    """Commands of a shell block as words, without comments, assignments before them, and what follows a ``|``."""
    for line in code.replace("\\\n", " ").splitlines():
        for part in re.split(r"\s(?:&&|;)\s", line):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words and words[0] != "export":
                yield words[: words.index("|")] if "|" in words else words


def check_statement(words: list[str]) -> None:
    """A command that is not run here: it, and every option that it is given, exist."""
    program = Path(words[0]).name
    if program == "monai-causal":
        command: Any = typer.main.get_command(app)
        rest = words[1:]
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            assert rest[0] in command.commands, f"there is no command {' '.join(words)!r}"
            command, rest = command.commands[rest[0]], rest[1:]
        known = {"--help", *(option for parameter in command.params for option in parameter.opts)}
        for word in rest:
            if word.startswith("-") and not re.match(r"-\d", word):
                assert word.split("=")[0] in known, f"{word} is no option of {' '.join(words)!r}"
    elif program == "make":
        assert {word for word in words[1:] if "=" not in word} <= MAKE_TARGETS, words
    elif program == "python" and len(words) > 1 and words[1].startswith("benchmarks"):
        assert (ROOT / words[1]).is_file(), words


def work_through(page: Path, folder: Path, patch: pytest.MonkeyPatch, slow: bool) -> int:
    """Run a page's blocks in ``folder``, the slow ones too or without them; how many ran."""
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    patch.chdir(folder)
    torch.manual_seed(0)
    recorded = page.is_relative_to(DOCS / "results")  # commands of measurements that took minutes to hours
    namespace: dict[str, Any] = {"__name__": page.stem}
    ran = 0
    for block in blocks_of(page.read_text(encoding="utf-8")):
        skipped = recorded or block.mark == "not run" or (block.mark == "slow" and not slow)
        if block.language == "python":
            code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
            if not skipped:
                exec(code, namespace)
                ran += 1
        elif block.language == "bash":
            for words in statements(block.code):
                check_statement(words)
                if skipped or Path(words[0]).name == "make":
                    continue
                assert Path(words[0]).name == "monai-causal", f"{page.name}:{block.line}: mark why {words} is not run"
                found = CliRunner().invoke(app, words[1:], catch_exceptions=False)
                assert found.exit_code == 0, f"{page.name}:{block.line}: {' '.join(words)}\n{found.output}"
                ran += 1
        elif name := re.match(r"(?:#|//) (\S+\.(?:yaml|json))\n", block.code):
            (folder / name[1]).write_text(block.code, encoding="utf-8")
    return ran
