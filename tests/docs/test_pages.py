# SPDX-License-Identifier: Apache-2.0
"""The pages parse, their links lead somewhere, and their tables say all that there is to say."""

from __future__ import annotations

import importlib
import importlib.util
import io
import pkgutil
import re
import shutil
import sys
import types
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import monai_causal
from tests.docs.pages import DOCS, MADE, PAGES
from tests.guards.checkout import ROOT

OF_A_DIRECTIVE = re.compile(r"^```\{(parameters|command)\} (.+)$", re.MULTILINE)
DIRECTIVES = [
    (page.relative_to(DOCS).as_posix(), kind, name)
    for page in PAGES
    for kind, name in OF_A_DIRECTIVE.findall(page.read_text(encoding="utf-8"))
]
EXTERNAL = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["'](?:https?:)?//|<link\b[^>]*\bhref=["'](?:https?:)?//"""
    r"""|url\(["']?(?:https?:)?//|@import\s+["'](?:https?:)?//"""
)


def extension(name: str) -> types.ModuleType:
    """A module of docs/_ext, which is no package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "_ext" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and MyST make it."""
    words = re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(found) for found in re.findall(r"^#{1,6} (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)}


def links(markdown: str) -> list[str]:
    """Targets of links and pictures; none of those that stand in code."""
    found = []
    for token in MarkdownIt("commonmark", {"html": False}).enable("table").parse(markdown):
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if target is not None:
                found.append(str(target))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).with_suffix("").as_posix())
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    missed = []
    for link in links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if MADE[1] in target.parts:  # made by the build, of the modules that api/index.md lists
            missed += [] if re.search(rf"^   {target.stem}$", API, re.MULTILINE) else [link]
        elif not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            missed.append(link)
    assert missed == []


API = (DOCS / "api" / "index.md").read_text(encoding="utf-8")


def test_links_and_anchors_are_read() -> None:
    assert links("a [b](c.md#d) `[e](f)`\n\n| x |\n| --- |\n| ![g](h.png) |\n") == ["c.md#d", "h.png"]
    assert slug("Where it loses: `x`, and [why](y.md)") == "where-it-loses-x-and-why"


def test_every_package_with_public_names_has_a_page() -> None:
    below = pkgutil.walk_packages(monai_causal.__path__, "monai_causal.")
    packages = {module.name for module in below if module.ispkg}
    public = {name for name in packages if getattr(importlib.import_module(name), "__all__", None)}
    # Parts of a package whose names are those of the package above, or a protocol's implementations.
    inner = re.compile(
        r"\.(execution|demo_vlm|families|refine|segmenters|editors|sources|tables|engines|jobs|answers)$"
    )
    assert sorted(name for name in public if not inner.search(name) and f"   {name}\n" not in API) == []


def test_every_module_with_a_page_is_there() -> None:
    listed = re.findall(r"^   (monai_causal[\w.]*)$", API, re.MULTILINE)
    assert listed
    assert [name for name in listed if not getattr(importlib.import_module(name), "__all__", None)] == []


@pytest.mark.parametrize(("page", "kind", "name"), DIRECTIVES)
def test_every_parameter_is_explained(page: str, kind: str, name: str) -> None:
    parameters = extension("parameters")
    rows = parameters.parameter_rows(name) if kind == "parameters" else parameters.command_rows(name)
    assert rows
    assert [written for written, _, meaning in rows if not meaning] == []


def test_every_command_is_on_a_page() -> None:
    import typer

    from monai_causal.cli import app

    top = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    every = {
        word if not hasattr(command, "commands") else f"{word} {inner}"
        for word, command in top.items()
        for inner in getattr(command, "commands", {"": None})
    }
    texts = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert sorted(command for command in every if command not in texts) == []


def test_a_table_of_parameters_is_read_from_the_code() -> None:
    parameters = extension("parameters")
    rows = {row[0]: row[1:] for row in parameters.parameter_rows("monai_causal.visualize.PdCR")}
    assert rows["network"] == ("required", "a module or any callable ``(B, C, *spatial) -> (B, K, *spatial)``.")
    assert rows["n_samples"][0] == "50"
    assert rows["n_samples"][1] == rows["n_screen"][1] == "of the paper's rule."
    assert rows["**options"][1].startswith("further arguments of :class:`Evaluator`")
    options = {name: default for name, default, _ in parameters.command_rows("medfocus run")}
    assert (options["--from"], options["--watch"]) == ("required", "")


def test_results_are_listed_with_date_and_command() -> None:
    listed = {page.path: page for page in extension("results_table").pages(DOCS / "results")}
    engine = listed["engine.md"]
    assert (engine.date, engine.command) == (
        "2026-11-21",
        "python benchmarks/engine.py --out docs/results --full-dense",
    )
    assert [page.path for page in listed.values() if not page.title] == []


def test_equations_become_mathml() -> None:
    from latex2mathml.converter import convert

    for page in PAGES:
        for equation in re.findall(r"^```math\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            assert "<math" in convert(equation, display="block")


def test_a_notebook_becomes_markdown() -> None:
    made = extension("notebook_pages").as_markdown(
        {
            "cells": [
                {"cell_type": "markdown", "source": ["# A\n", "b"]},
                {
                    "cell_type": "code",
                    "source": "print(1)",
                    "outputs": [{"text": ["1\n"]}, {"data": {"image/png": "QUJD\n"}}],
                },
            ]
        }
    )
    assert made.splitlines() == [
        *("# A", "b", "", "```python", "print(1)", "```", "", "```text", "1", "```", ""),
        "![what the cell above draws](data:image/png;base64,QUJD)",
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Sphinx and its extensions about each other, a thousand times
def test_the_documentation_is_built_without_a_warning_and_asks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sphinx.application import Sphinx

    # What was made for modules that are gone would be a page that nothing leads to.
    shutil.rmtree(DOCS / "api" / "generated", ignore_errors=True)
    monkeypatch.setattr(sys, "path", list(sys.path))
    warnings = io.StringIO()
    app = Sphinx(DOCS, DOCS, tmp_path / "html", tmp_path / "trees", "html", status=None, warning=warnings)
    app.build(force_all=True)
    assert warnings.getvalue() == ""
    pages = list((tmp_path / "html").rglob("*.html"))
    assert {"start.html", "architecture.html"} <= {page.name for page in pages}
    styles = list((tmp_path / "html").rglob("*.css"))
    asking = [one.name for one in pages + styles if EXTERNAL.search(one.read_text(encoding="utf-8"))]
    assert asking == []
    equations = (tmp_path / "html" / "systems" / "pdcr.html").read_text(encoding="utf-8")
    assert "<math" in equations
    assert re.findall(r"<script[^>]*mathjax", equations, re.IGNORECASE) == []


def test_a_request_to_another_machine_would_be_seen() -> None:
    assert EXTERNAL.search('<script src="https://cdn.example/x.js"></script>')
    assert EXTERNAL.search("<link rel=stylesheet href='//fonts.example/a.css'>")
    assert not EXTERNAL.search('<a href="https://arxiv.org/abs/2602.20511">paper</a>')
    assert ROOT in DOCS.parents
