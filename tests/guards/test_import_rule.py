# SPDX-License-Identifier: Apache-2.0
"""Imports point down only; what stands on the ground knows nothing of its neighbours; no circle; no utils.py.

Imports inside functions and under ``TYPE_CHECKING`` count: knowing somebody's name is a dependency too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.guards.checkout import PACKAGE, modules

# From the bottom up. Everybody may import the lowest level and the root (its version), which import nothing heavy.
LEVELS = (
    {"extras", "files", "locks", "versions"},
    {"intervene", "networks", "dicom", "data"},
    {"visualize", "metrics", "losses", "transforms", "inferers"},
    {"apps"},
    {"report", "studio", "cohort", "label", "doctor", "cli", "__main__"},
)
GROUND = 1
LEVEL_OF = {name: level for level, names in enumerate(LEVELS) for name in names}


def violations(package: Path) -> list[str]:
    """Every breach of the rule in a package, in words."""
    known = modules(package)
    graph = {name: set(imports(name, path, set(known))) for name, path in known.items()}
    found = [f"{name}: a name that says nothing" for name in known if name.rpartition(".")[2] == "utils"]
    found += [f"{name}: on no level" for name in known if part(name) and part(name) not in LEVEL_OF]
    for name, targets in graph.items():
        found += [breach for target in sorted(targets) if (breach := judge(name, target))]
    return found + circle("modules", graph) + circle("packages", packages(graph))


def imports(module: str, path: Path, known: set[str]) -> Iterator[str]:
    """Modules of the same package that ``module`` names in an import, anywhere in its text."""
    root = module.partition(".")[0]
    here = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = here.split(".")[: len(here.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            # `from package import name` names a submodule where there is one of this name, else the package itself
            targets = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names]
        elif isinstance(node, ast.Call) and _calls_import_module(node):
            targets = [str(argument.value) for argument in node.args[:1] if isinstance(argument, ast.Constant)]
        else:
            continue
        yield from (target for target in targets if target.partition(".")[0] == root)


def _calls_import_module(node: ast.Call) -> bool:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
    return name in ("import_module", "__import__")


def part(module: str) -> str:
    """The name right below the root, empty for the root itself."""
    return f"{module}.".split(".")[1]


def judge(module: str, target: str) -> str | None:
    here, there = part(module), part(target)
    if here == there or not there:
        return None
    if not here:
        return f"{module} -> {target}: the root imports nothing"
    if here not in LEVEL_OF or there not in LEVEL_OF:
        return f"{module} -> {target}: on no level" if there not in LEVEL_OF else None
    if LEVEL_OF[there] > LEVEL_OF[here]:
        return f"{module} -> {target}: upward"
    if LEVEL_OF[here] == LEVEL_OF[there] == GROUND:
        return f"{module} -> {target}: from ground to ground"
    return None


def packages(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The graph between packages, each app being one: two may go round in a circle though no two modules do."""
    between: dict[str, set[str]] = {}
    for module, targets in graph.items():
        here = _package(module)
        between.setdefault(here, set()).update(there for there in map(_package, targets) if there != here)
    return between


def _package(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[: 3 if parts[1:2] == ["apps"] else 2])


def circle(what: str, graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter({name: sorted(targets) for name, targets in graph.items()}).prepare()
    except CycleError as error:
        return [f"circle of {what}: {' -> '.join(reversed(error.args[1]))}"]
    return []


def test_the_package_keeps_the_import_rule() -> None:
    assert violations(PACKAGE) == []


CLEAN = {
    "__init__.py": "__version__ = '1'",
    "extras.py": "import os",
    "intervene/__init__.py": "from .regions import Regions",
    "intervene/regions.py": "from monai_causal import __version__\nfrom monai_causal.extras import require",
    "networks/__init__.py": "import torch",
    "visualize/__init__.py": "from monai_causal.visualize.dea import DEA",
    "visualize/dea.py": "from monai_causal.intervene import Regions\nfrom ..metrics import curves",
    "metrics/__init__.py": "",
    "metrics/curves.py": "import monai_causal.intervene.regions as regions",
    "apps/__init__.py": "",
    "apps/explain/__init__.py": "from monai_causal.visualize import DEA",
    "apps/study.py": "from monai_causal.apps.explain import explain",
    "cli.py": "def run():\n    from monai_causal.apps import study",
}


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        ({}, []),
        (
            {"data/__init__.py": "from monai_causal.visualize import DEA"},
            ["monai_causal.data -> monai_causal.visualize: upward"],
        ),
        (
            {"data/__init__.py": "def late():\n    from ..apps import study"},
            ["monai_causal.data -> monai_causal.apps.study: upward"],
        ),
        (
            {"data/__init__.py": "import importlib\nimportlib.import_module('monai_causal.cli')"},
            ["monai_causal.data -> monai_causal.cli: upward"],
        ),
        (
            {"extras.py": "from monai_causal.metrics import curves"},
            [
                "monai_causal.extras -> monai_causal.metrics.curves: upward",
                "circle of modules: monai_causal.intervene.regions -> monai_causal.extras -> "
                "monai_causal.metrics.curves -> monai_causal.intervene.regions",
                "circle of packages: monai_causal.intervene -> monai_causal.extras -> monai_causal.metrics -> "
                "monai_causal.intervene",
            ],
        ),
        (
            {"networks/__init__.py": "import monai_causal.intervene.regions"},
            ["monai_causal.networks -> monai_causal.intervene.regions: from ground to ground"],
        ),
        (
            {"intervene/regions.py": "from . import fills", "intervene/fills.py": "from .regions import Regions"},
            [
                "circle of modules: monai_causal.intervene.regions -> monai_causal.intervene.fills -> "
                "monai_causal.intervene.regions"
            ],
        ),
        (
            {"intervene/regions.py": "from monai_causal.intervene import Regions"},
            ["circle of modules: monai_causal.intervene -> monai_causal.intervene.regions -> monai_causal.intervene"],
        ),
        (
            {"metrics/boxes.py": "from monai_causal.visualize.render import draw", "visualize/render.py": ""},
            ["circle of packages: monai_causal.metrics -> monai_causal.visualize -> monai_causal.metrics"],
        ),
        (
            {"apps/explain/late.py": "from monai_causal.apps import study"},
            ["circle of packages: monai_causal.apps.explain -> monai_causal.apps.study -> monai_causal.apps.explain"],
        ),
        ({"visualize/utils.py": ""}, ["monai_causal.visualize.utils: a name that says nothing"]),
        ({"misc/__init__.py": ""}, ["monai_causal.misc: on no level"]),
        (
            {"__init__.py": "from monai_causal.extras import require"},
            ["monai_causal -> monai_causal.extras: the root imports nothing"],
        ),
    ],
)
def test_each_breach_is_seen(tmp_path: Path, planted: dict[str, str], expected: list[str]) -> None:
    for name, source in {**CLEAN, **planted}.items():
        path = tmp_path / "monai_causal" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    assert violations(tmp_path / "monai_causal") == expected
