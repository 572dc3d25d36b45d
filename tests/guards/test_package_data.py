# SPDX-License-Identifier: Apache-2.0
"""An installed package holds what the checkout's does: every data file is one that setup.cfg takes along."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path, PurePosixPath

from tests.guards.checkout import PACKAGE, ROOT, files


def patterns() -> dict[str, list[str]]:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return {package: content.split() for package, content in config["options.package_data"].items()}


def left_behind(paths: list[Path], taken: dict[str, list[str]]) -> list[str]:
    """Files below the package that no pattern takes; a pattern holds in a package's folder, as setuptools has it."""
    missing = []
    for path in paths:
        if PACKAGE not in path.parents or path.suffix == ".py":
            continue
        package = next(folder for folder in path.parents if (folder / "__init__.py").exists())
        name = ".".join(package.relative_to(ROOT).parts)
        inside = PurePosixPath(path.relative_to(package).as_posix())
        own = [*taken.get("*", ()), *taken.get(name, ())]
        if not any(len(inside.parts) == len(PurePosixPath(one).parts) and inside.match(one) for one in own):
            missing.append(inside.as_posix())
    return missing


def test_every_data_file_is_taken_along() -> None:
    # a folder that lies elsewhere in the checkout and is linked into the package counts as the package's
    linked = [link for link in PACKAGE.rglob("*") if link.is_symlink() and link.is_dir()]
    inside = [path for link in linked for path in link.rglob("*") if path.is_file()]
    assert any(path.suffix == ".safetensors" for path in inside)
    assert left_behind([*files(), *inside], patterns()) == []


def test_the_guard_sees_what_is_left_behind() -> None:
    network = PACKAGE / "apps" / "mcdrl" / "demo_clip" / "open_clip_config.json"
    assert network.is_file()
    assert left_behind([network], {"*": ["*.json"]}) == ["demo_clip/open_clip_config.json"]
    assert left_behind([network], {"monai_causal.apps.mcdrl": ["demo_clip/*"]}) == []
