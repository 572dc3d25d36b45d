# SPDX-License-Identifier: Apache-2.0
"""Killed at whatever step, a run goes on as if nothing had been: the same results, each sent once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")
pytest.importorskip("dicomweb_client", reason="extra 'dicomweb' is not installed")

from monai_causal.apps.medfocus.workflow.audit import check_audit
from tests.apps.medfocus.workflow.stand_in import results_in
from tests.dicom.faulty_server import faulty_server
from tests.dicom.studies import image, lay
from tests.guards.checkout import ROOT

KILLED = -9
STRIDES = [pytest.param(9, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)]


class Worker:
    """The process that forks and dies."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.apps.medfocus.workflow.worker"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, bufsize=1
        )

    def run(self, out: Path, source: Any, target: Any = None, die: int = 0) -> tuple[int, int]:
        """Exit code, and how many steps it took."""
        steps = out.parent / f"{out.name}.steps"
        steps.unlink(missing_ok=True)
        request = {
            "source": str(source),
            "target": str(out if target is None else target),
            "work": None if target is None else str(out),
            "die": die,
            "steps": str(steps),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        status = int(self._process.stdout.readline().split()[0])
        return status, int(steps.read_text()) if steps.exists() else 0

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    running = Worker()
    yield running
    running.close()


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {f"{number}/a.dcm": image(1, study=number, PatientID=f"P{number}") for number in (1, 2)}
    return lay(tmp_path_factory.mktemp("studies"), {**files, "2/broken.dcm": b"\0" * 128 + b"DICM and no more"})


@pytest.mark.parametrize("stride", STRIDES)
def test_steps_of_a_run_into_a_folder(worker: Worker, studies: Path, tmp_path: Path, stride: int) -> None:
    code, steps = worker.run(tmp_path / "whole", studies)
    expected = results_in(tmp_path / "whole")
    assert (code, len(expected)) == (1, 2 * 3)  # a report, a picture and a manifest each; one file is broken
    assert steps > 60
    for die in range(1, steps + 1, stride):
        out = tmp_path / f"killed-{die}"
        assert worker.run(out, studies, die=die)[0] == KILLED
        unfinished = {path.parts[0] for name in results_in(out) if (path := Path(name)).name == "manifest.json"}
        assert all(
            results_in(out)[name] == digest for name, digest in expected.items() if name.split("/")[0] in unfinished
        )
        assert worker.run(out, studies)[0] == 1
        assert results_in(out) == expected, die
        assert list((out / "workflow" / "staging").iterdir()) == []
        check_audit(out / "workflow" / "audit.jsonl")


@pytest.mark.parametrize("stride", STRIDES)
def test_steps_of_a_run_to_a_server(worker: Worker, studies: Path, tmp_path: Path, stride: int) -> None:
    with faulty_server() as server:
        code, steps = worker.run(tmp_path / "whole", studies, server.address)
        expected, kept = results_in(tmp_path / "whole"), dict(server.held)
        assert (code, len(kept), server.asked.count("stow")) == (1, 4, 4)
        # Steps before the first object is sent are those of the other test.
        for die in range(steps // 3, steps + 1, stride):
            server.held.clear()
            server.asked.clear()
            out = tmp_path / f"killed-{die}"
            assert worker.run(out, studies, server.address, die=die)[0] == KILLED
            assert worker.run(out, studies, server.address)[0] == 1
            assert (results_in(out), server.held) == (expected, kept), die
            assert server.asked.count("stow") == 4, die  # what may have arrived was asked for, and not sent again
