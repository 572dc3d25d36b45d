# SPDX-License-Identifier: Apache-2.0
"""Every source file says its licence; no file names a folder of somebody's machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import monai_causal
from tests.guards.checkout import ROOT, files, text

SPDX = "SPDX-License-Identifier: Apache-2.0"
# Markdown, JSON, LICENSE, constraints.txt and .gitignore need no line: JSON cannot hold one, the others are no source.
SOURCE_SUFFIXES = {".py", ".pyi", ".yaml", ".yml", ".toml", ".cfg", ".cff", ".sh"}
# Put together here, so that this file does not name one itself. A longer path or an address may hold such a part.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:" + "|".join(("work", "root", "tmp/bash", "home/[a-z]+")) + ")/")


def without_licence(paths: list[Path]) -> list[Path]:
    """Sources (by suffix, by name, or by a first line ``#!``) without an SPDX line in their first two lines."""
    return [
        path
        for path in paths
        if (content := text(path)) is not None
        and _is_source(path, content)
        and not any(SPDX in line for line in content.splitlines()[:2])
    ]


def _is_source(path: Path, content: str) -> bool:
    return path.suffix in SOURCE_SUFFIXES or path.name == "Makefile" or content.startswith("#!")


def machine_paths(paths: list[Path]) -> list[str]:
    return [
        f"{path}:{number}"
        for path in paths
        for number, line in enumerate((text(path) or "").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]


def test_every_source_says_its_licence() -> None:
    assert without_licence(files()) == []


def test_no_file_names_a_folder_of_a_machine() -> None:
    assert machine_paths(files()) == []


def test_the_citation_names_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [monai_causal.__version__]


def test_the_guards_read_this_checkout() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in files()}
    assert {"Makefile", ".ci/run", "setup.cfg", "monai_causal/cli/__init__.py", "tests/guards/test_files.py"} <= names
    assert not any(name.startswith((".venv/", ".git/")) for name in names)


@pytest.mark.parametrize(
    ("name", "content", "flagged"),
    [
        ("a.py", f"# {SPDX}\n", False),
        ("a.py", f"#!/usr/bin/env python\n# {SPDX}\n", False),
        ("a.py", f"import os\nimport sys\n# {SPDX}\n", True),
        ("__init__.py", "", True),
        ("a.yaml", "key: value\n", True),
        ("Makefile", "all:\n", True),
        ("run", "#!/bin/sh\nls\n", True),
        ("a.md", "# Title\n", False),
        ("a.json", "{}\n", False),
        ("a.py", "\0", False),
    ],
)
def test_a_missing_licence_is_seen(tmp_path: Path, name: str, content: str, flagged: bool) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert without_licence([path]) == ([path] if flagged else [])


@pytest.mark.parametrize(
    ("line", "flagged"),
    [
        ("see " + "/wo" + "rk/main", True),
        ("cd '" + "/ro" + "ot/x'", True),
        ("/tm" + "p/bash/jobs", True),
        ("/ho" + "me/somebody/data", True),
        ("~/.cache/monai_causal", False),
        ("https://example.org/wo" + "rk/main", False),
        ("/tm" + "p/x", False),
    ],
)
def test_a_machine_path_is_seen(tmp_path: Path, line: str, flagged: bool) -> None:
    path = tmp_path / "a.md"
    path.write_text(f"first\n{line}\n")
    assert machine_paths([path]) == ([f"{path}:2"] if flagged else [])


def test_without_git_the_tree_is_walked(tmp_path: Path) -> None:
    for name in ("a.py", "sub/b.md", ".venv/lib/c.py", "sub/__pycache__/d.pyc", "x.egg-info/e", ".ruff_cache/f"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert files(tmp_path) == [tmp_path / "a.py", tmp_path / "sub" / "b.md"]
