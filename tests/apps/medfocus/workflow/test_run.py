# SPDX-License-Identifier: Apache-2.0
"""The command: where from, where to, once or for good; what cannot be is said before anything begins."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")
pytest.importorskip("dicomweb_client", reason="extra 'dicomweb' is not installed")

from typer.testing import CliRunner

from monai_causal import cli
from monai_causal.apps.medfocus.workflow import run as workflow_run
from monai_causal.apps.medfocus.workflow.commit import digest_of
from monai_causal.apps.medfocus.workflow.config import RunConfig
from monai_causal.apps.medfocus.workflow.outcome import Report
from monai_causal.apps.medfocus.workflow.run import run_medfocus
from monai_causal.locks import alone_in
from tests.apps.medfocus.workflow.stand_in import StandIn, results_in
from tests.dicom.encodings import written
from tests.dicom.faulty_server import faulty_server
from tests.dicom.studies import image, lay


def run(source: Any, target: Any, answer: StandIn | None = None, **more: Any) -> Report:
    made = answer or StandIn()
    config = RunConfig(stable=0.2, every=0.05)
    return run_medfocus(str(source), str(target), config, answerer=lambda config: (made, lambda folder: []), **more)


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    return lay(tmp_path / "studies", {f"{number}.dcm": image(1, study=number) for number in (1, 2)})


def test_the_command_hands_on_what_it_was_told(studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.json").write_text('{"tau": 0.5}')
    seen: list[float] = []

    def answerer(config: RunConfig) -> Any:
        seen.append(config.tau)
        return StandIn(config.deciding), lambda folder: []

    monkeypatch.setattr(workflow_run, "_medfocus", answerer)
    words = ["medfocus", "run", "--from", str(studies), "--to", str(tmp_path / "out")]
    done = CliRunner().invoke(cli.app, [*words, "--config", str(tmp_path / "run.json")])
    assert (done.exit_code, done.output, seen) == (0, "2 ok, 0 skipped, 0 failed\n", [0.5])
    lay(studies, {"broken.dcm": b"\0" * 128 + b"DICM"})
    done = CliRunner().invoke(cli.app, words)
    assert (done.exit_code, seen) == (1, [0.5, 0.75])
    assert f"failed: file 3 ({digest_of(studies / 'broken.dcm')[:12]}): refused: " in done.output


@pytest.mark.parametrize(
    ("source", "target", "more", "reason"),
    [
        ("gone", "out", {}, "neither a folder"),
        ("studies", "studies", {}, "lie in each other"),
        ("studies", "studies/out", {}, "lie in each other"),
        ("studies", ".", {}, "lie in each other"),
        ("studies", "studies/1.dcm", {}, "kept in a file"),
        ("studies", "out", {"work": Path("w")}, "--work"),
        ("studies", "https://me:secret@pacs.example/x", {}, "holds credentials"),
        ("https://", "out", {}, "address is none"),
        ("studies", "https://pacs.example/x", {"work": Path("studies/work")}, "lie in each other"),
    ],
)
def test_what_cannot_be_is_told_at_once(
    source: str, target: str, more: dict[str, Any], reason: str, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(studies.parent)
    before = sorted(studies.parent.rglob("*"))
    with pytest.raises(ValueError, match=reason):
        run(source, target, StandIn(before=lambda _: pytest.fail("it began")), **more)
    assert sorted(studies.parent.rglob("*")) == before


def test_two_runs_do_not_share_a_folder(studies: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "workflow").mkdir(parents=True)
    with alone_in(tmp_path / "out" / "workflow" / "lock"), pytest.raises(ValueError, match="another run is at work"):
        run(studies, tmp_path / "out")
    assert run(studies, tmp_path / "out").exit_code == 0


def test_each_server_sees_its_own_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONAI_CAUSAL_FROM_TOKEN", "one")
    monkeypatch.setenv("MONAI_CAUSAL_TO_USER", "me")
    monkeypatch.setenv("MONAI_CAUSAL_TO_PASSWORD", "pass")
    with (
        faulty_server(written(image(1)), token="Bearer one") as source,
        faulty_server(token="Basic bWU6cGFzcw==") as target,
    ):
        assert run(source.address, target.address, work=tmp_path / "work").exit_code == 0
        assert len(target.held) == 2
    kept = b"".join(path.read_bytes() for path in (tmp_path / "work").rglob("*") if path.is_file())
    assert b"Bearer" not in kept
    assert b"127.0.0.1" not in kept


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_study_at_hand_be_finished(number: int, studies: Path, tmp_path: Path) -> None:
    before = signal.getsignal(number)
    found = run(studies, tmp_path / "out", StandIn(before=lambda _: os.kill(os.getpid(), number)))
    assert (found.counts["ok"], found.stopped, found.exit_code) == (1, True, 1)
    assert len(results_in(tmp_path / "out")) == 3
    assert signal.getsignal(number) == before
    assert run(studies, tmp_path / "out").counts["ok"] == 2


def test_a_watch_ends_by_a_signal(studies: Path, tmp_path: Path) -> None:
    done: list[str] = []

    def before(source: Any) -> None:
        done.append(source.digest)
        if len(done) == 2:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()

    found = run(studies, tmp_path / "out", StandIn(before=before), watching=True)
    assert (found.counts, found.exit_code) == ({"ok": 2, "skipped": 0, "failed": 0}, 0)
