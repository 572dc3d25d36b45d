# SPDX-License-Identifier: Apache-2.0
"""The table of optional libraries is that of setup.cfg, and an absent one is answered with its extra's name."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from monai_causal.extras import OPTIONAL, MissingExtraError, install_command, require
from tests.guards.checkout import ROOT, modules

NOT_IN_ALL = {"all", "dev", "docs", "jpeg-gpl", "label", "ray"}


def extras_of_setup_cfg() -> dict[str, list[str]]:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return {extra: lines.split() for extra, lines in parser["options.extras_require"].items()}


def distribution(requirement: str) -> str:
    return re.split(r"[<>=!~\[;]", requirement, maxsplit=1)[0]


def test_the_table_is_that_of_setup_cfg() -> None:
    table: dict[str, set[str]] = {}
    for library in OPTIONAL.values():
        for extra in library.extras:
            table.setdefault(extra, set()).add(library.distribution)
    listed = extras_of_setup_cfg()
    del listed["all"]
    assert table == {extra: set(map(distribution, lines)) for extra, lines in listed.items() if lines}


def test_all_holds_every_extra_but_those_that_are_opt_in() -> None:
    listed = extras_of_setup_cfg()
    (everything,) = listed["all"]
    assert set(re.findall(r"[\w-]+", everything.partition("[")[2])) == set(listed) - NOT_IN_ALL


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_an_absent_library_names_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # what import sees of a library that is not there
    extra = OPTIONAL[name].extras[0]
    with pytest.raises(MissingExtraError, match=re.escape(f"belongs to the extra '{extra}'")) as caught:
        require(f"{name}.submodule")
    assert caught.value.extra == extra
    assert str(caught.value).endswith(install_command(extra))
    assert str(caught.value).startswith(name)


def test_a_library_of_several_extras_names_the_one_made_for_it() -> None:
    assert OPTIONAL["skimage"].extras == ("superpixels", "cxr")


def test_an_installed_library_is_returned() -> None:
    assert require("pytest") is pytest
    assert require("mypy.version") is sys.modules["mypy.version"]


def test_a_library_of_no_extra_is_a_slip_of_the_caller() -> None:
    with pytest.raises(ValueError, match="'numpy' belongs to no extra"):
        require("numpy")


def test_a_wrong_submodule_is_not_called_a_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"pytest\.absent") as caught:
        require("pytest.absent")
    assert not isinstance(caught.value, MissingExtraError)


def test_what_an_installed_library_lacks_is_not_blamed_on_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "timm.py").write_text("import something_that_timm_needs")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    with pytest.raises(ModuleNotFoundError, match="something_that_timm_needs") as caught:
        require("timm")
    assert not isinstance(caught.value, MissingExtraError)


# Hides every optional library from the import system the way an environment without them does: find_spec says None.
WITHOUT_EXTRAS = """
import importlib, json, os, sys
from monai_causal.extras import OPTIONAL, MissingExtraError

class Without:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in OPTIONAL else self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
answers = {}
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
        answers[name] = "imports"
    except MissingExtraError as error:
        answers[name] = error.extra
    except Exception as error:
        answers[name] = repr(error)
from monai_causal.doctor import examine
report = examine()
json.dump({"answers": answers, "report": report}, sys.stdout)
"""


@pytest.fixture(scope="module")
def without_extras() -> dict[str, dict[str, object]]:
    names = [name for name in modules() if not name.endswith("__main__")]
    command = [sys.executable, "-c", WITHOUT_EXTRAS, json.dumps(names)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout[done.stdout.index('{"answers"') :])


def test_without_extras_each_module_imports_or_names_one(without_extras: dict[str, dict[str, object]]) -> None:
    known = {"imports"} | {extra for library in OPTIONAL.values() for extra in library.extras}
    assert {name: answer for name, answer in without_extras["answers"].items() if answer not in known} == {}


def test_without_extras_the_engine_works(without_extras: dict[str, dict[str, object]]) -> None:
    for name in ("monai_causal.intervene", "monai_causal.cli", "monai_causal.doctor"):
        assert without_extras["answers"][name] == "imports"


def test_without_extras_the_doctor_calls_the_core_sound_and_the_extras_missing(
    without_extras: dict[str, dict[str, object]],
) -> None:
    report = without_extras["report"]
    assert report["ok"] is True
    extras = {extra for library in OPTIONAL.values() for extra in library.extras}
    assert {name for name, extra in report["extras"].items() if not extra["complete"]} == extras  # type: ignore[attr-defined]
