# SPDX-License-Identifier: Apache-2.0
"""The command line: quick to answer, clear when something is wrong."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import monai_causal
from monai_causal import cli
from monai_causal.extras import OPTIONAL, MissingExtraError
from tests.guards.checkout import ROOT

GROUP: Any = typer.main.get_command(cli.app)
HEAVY = {"torch", "monai", "numpy", "scipy", "nibabel", "matplotlib"} | set(OPTIONAL)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, list(arguments))


def call_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["monai-causal", *arguments])
    cli.main()


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let ``demo`` fail, in place of the app that would take long."""

    def run_demo(out: Path) -> None:
        raise error

    stand_in = types.ModuleType("monai_causal.apps.demo")
    stand_in.run_demo = run_demo  # type: ignore[attr-defined]
    stand_in.in_words = None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "monai_causal.apps.demo", stand_in)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in GROUP.commands)])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import json, sys
from monai_causal.cli import main
sys.argv = ["monai-causal", *{arguments!r}]
try:
    main()
except SystemExit as end:
    status = end.code
json.dump([status, sorted({{name.partition(".")[0] for name in sys.modules}})], sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    status, loaded = json.loads(done.stderr)
    assert status == 0
    assert HEAVY.intersection(loaded) == set()


@pytest.mark.parametrize("name", [None, *GROUP.commands])
def test_each_help_shows_an_example_that_parses(name: str | None) -> None:
    shown = " ".join(run(*([name] if name else []), "--help").output.split())
    words = shlex.split(re.search(r"Example: monai-causal ([^.]+)", shown).group(1))  # type: ignore[union-attr]
    command, arguments = GROUP.commands[words[0]], words[1:]
    assert name in (None, words[0])
    command.make_context(words[0], arguments)  # raises where an option does not exist or a value does not fit


def test_version() -> None:
    assert run("--version").output == f"monai-causal {monai_causal.__version__}\n"


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "monai_causal", "--version"], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, f"monai-causal {monai_causal.__version__}\n")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("patch_size is 0\nbut must be positive"), "patch_size is 0 but must be positive"),
        (ValueError(), "ValueError"),
        (FileNotFoundError("no such bundle: 3"), "no such bundle: 3"),
        (MissingExtraError("ot is not installed.", name="ot", extra="cxr"), "ot is not installed."),
    ],
)
def test_an_expected_error_is_one_line(
    error: Exception, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(cli.DEBUG_VARIABLE, raising=False)
    fail_with(monkeypatch, error)
    with pytest.raises(SystemExit) as end:
        call_main(monkeypatch, "demo")
    assert end.value.code == 2
    assert capsys.readouterr() == ("", f"monai-causal: {line}\n")


def test_debug_shows_where_an_expected_error_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cli.DEBUG_VARIABLE, "1")
    fail_with(monkeypatch, ValueError("wrong"))
    with pytest.raises(ValueError, match="wrong"):
        call_main(monkeypatch, "demo")


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ImportError("a bug"), KeyError("a bug")])
def test_a_bug_keeps_its_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, error)
    with pytest.raises(type(error), match="a bug"):
        call_main(monkeypatch, "demo")


def test_demo_hands_its_folder_on_and_prints_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = types.ModuleType("monai_causal.apps.demo")
    stand_in.run_demo = lambda out: {"folder": out}  # type: ignore[attr-defined]
    stand_in.in_words = lambda summary: f"did all in {summary['folder']}"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "monai_causal.apps.demo", stand_in)
    monkeypatch.setattr("monai_causal.report.write_report", lambda out, title: out / "report.html")
    assert run("demo").output == "did all in demo_out\nLook at demo_out/report.html\n"
    assert "elsewhere/report.html" in run("demo", "--out", "elsewhere").output


@pytest.mark.parametrize(("ok", "status"), [(True, 0), (False, 1)])
def test_doctor_tells_by_its_status_whether_the_core_works(
    ok: bool, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monai_causal.doctor.examine", lambda: {"schema": "s", "ok": ok})
    monkeypatch.setattr("monai_causal.doctor.describe", lambda report: f"as text: {report['ok']}")
    as_json, as_text = run("doctor", "--json"), run("doctor")
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (status, {"schema": "s", "ok": ok})
    assert (as_text.exit_code, as_text.stdout) == (status, f"as text: {ok}\n")
