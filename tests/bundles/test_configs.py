# SPDX-License-Identifier: Apache-2.0
"""Configurations name known things only: their targets come from three packages, their expressions call few functions.

A bundle's expressions are evaluated when it is opened. Here they are read, not evaluated.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ComponentLocator

from tests.bundles.bundle import BUNDLES

PACKAGES = ("monai", "torch", "monai_causal")
MODULES = {"glob", "logging", "operator", "os", "torch.distributed"}
FROM = {
    "monai_causal.apps.medfocus.attribute_case": {"attribute_case"},
    "monai_causal.apps.mcdrl.methods": {"DEMO_CLIP"},
    "monai_causal.data.datasets": {"load_dataset", "read_pair"},
    "monai_causal.data.phantoms": {"endoscopy", "shapes"},
}
CALLS = {
    *("dict", "len", "range", "sorted", "str", "zip"),
    *("glob.glob", "operator.itemgetter", "operator.methodcaller", "os.path.join"),
    *("torch.cuda.is_available", "torch.cuda.set_device", "torch.device"),
    *("dist.destroy_process_group", "dist.get_rank", "dist.init_process_group", "dist.is_initialized"),
    *("monai.data.load_decathlon_datalist", "monai.handlers.from_engine", "monai.handlers.stopping_fn_from_metric"),
    *("monai.utils.set_determinism",),
    *("load_dataset", "read_pair", "endoscopy", "shapes", "attribute_case"),
}
# Of what the configuration itself made, by an id.
METHODS = {"run", "to", "parameters", "parameter_groups", "set_trainer", "setLevel", "do"}
NAMES = {"monai", "torch", "os", "glob", "operator", "logging", "dist", "DEMO_CLIP"}

CONFIGS = [path for bundle in BUNDLES for path in sorted((bundle / "configs").glob("*.json"))]


def entries(content: Any, way: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every value of a configuration with its key and the way to it."""
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        here = f"{way}#{key}" if way else str(key)
        yield here, str(key), value
        if isinstance(value, dict | list):
            yield from entries(value, here)


def strange_targets(content: Any) -> list[str]:
    """Targets from elsewhere than the three packages. A bare name is one of MONAI's own, as its parser resolves it."""
    known = ComponentLocator()
    found = []
    for way, key, value in entries(content):
        if key == "_target_":
            own = "." in value and value.split(".")[0] in PACKAGES
            places = known.get_component_module_name(value) if "." not in value else None
            places = [places] if isinstance(places, str) else places
            # MONAI takes the first of several. Its own come first: it is imported whole before anything of this
            # package, whose modules it takes for its own as well, by the beginning of their names.
            bare = bool(places) and places[0].startswith("monai.")
            if not (own or bare):
                found.append(f"{way}: {value}")
    return found


def strange_expressions(content: Any) -> list[str]:
    """Expressions that import, name or call something that is not on the lists."""
    found = []
    for way, _, value in entries(content):
        if isinstance(value, str) and value.startswith("$"):
            found += [f"{way}: {what}" for what in _strange(value[1:])]
    return found


def _strange(expression: str) -> Iterator[str]:
    # An id, "@train#trainer", is a name of the configuration's own.
    (statement,) = ast.parse(re.sub(r"@[A-Za-z_][\w#:]*", lambda found: "_id", expression)).body
    if isinstance(statement, ast.Import):
        yield from (one.name for one in statement.names if one.name not in MODULES)
        return
    if isinstance(statement, ast.ImportFrom):
        allowed = FROM.get(statement.module or "", set())
        yield from (f"{statement.module}.{one.name}" for one in statement.names if one.name not in allowed)
        return
    if not isinstance(statement, ast.Expr):
        yield type(statement).__name__
        return
    bound = {"_id"}
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
    for node in ast.walk(statement):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            yield node.attr
        elif isinstance(node, ast.Name) and node.id not in bound | NAMES | CALLS:
            yield node.id
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            method = isinstance(node.func, ast.Attribute) and node.func.attr in METHODS
            if called not in CALLS and not (method and not _of_a_module(node.func)):
                yield f"{called}()"


def _of_a_module(node: ast.expr) -> bool:
    """Whether a dotted name begins with a module's."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id in NAMES


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def test_a_configuration_names_known_things_only(config: Path) -> None:
    content = json.loads(config.read_text(encoding="utf-8"))
    assert strange_targets(content) == []
    assert strange_expressions(content) == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"a": {"_target_": "UNet"}}, []),
        ({"a": {"_target_": "torch.optim.AdamW"}, "b": "$@a.parameters()"}, []),
        ({"a": [{"_target_": "subprocess.run"}]}, ["a#0#_target_: subprocess.run"]),
        ({"a": {"_target_": "scripts.Mine"}}, ["a#_target_: scripts.Mine"]),
        ({"a": {"_target_": "Mine"}}, ["a#_target_: Mine"]),
        ({"a": ["$import os"]}, []),
        ({"a": "$import subprocess"}, ["a: subprocess"]),
        ({"a": "$from monai_causal.data.phantoms import render"}, ["a: monai_causal.data.phantoms.render"]),
        ({"a": "$os.system('ls')"}, ["a: os.system()"]),
        ({"a": "$[x for x in @b if x]"}, []),
        ({"a": "$eval('1')"}, ["a: eval()", "a: eval"]),
        ({"a": "$@b.__class__"}, ["a: __class__"]),
        ({"a": "$(lambda x: x.run)(open)"}, ["a: lambda x: x.run()", "a: open"]),
        ({"a": "$os.run('ls')", "b": "$@c#d.run()"}, ["a: os.run()"]),
    ],
)
def test_what_is_strange_is_seen(content: dict[str, Any], expected: list[str]) -> None:
    assert sorted(strange_targets(content) + strange_expressions(content)) == sorted(expected)
