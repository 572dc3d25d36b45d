# SPDX-License-Identifier: Apache-2.0
"""The same on Ray, started offline on this machine: same bytes, same faults, nothing left behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from monai_causal.cohort.gather import gather
from monai_causal.cohort.run import run_cohort
from monai_causal.extras import MissingExtraError
from tests.cohort.cohorts import cohort, failures, outputs, rows_of


def ray_processes() -> set[str]:
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    return {
        line.split()[0] for line in listed.splitlines() if "raylet" in line or "gcs_server" in line or "ray::" in line
    }


def test_ray_gives_the_bytes_of_this_machine_survives_faults_and_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    before = ray_processes()
    once = tmp_path / "once"
    once.mkdir()
    faults = {"crash": [5], "hang": [8], "unreadable": [2], "once": str(once)}
    run = {"timeout": 3.0}
    local, ray = tmp_path / "local", tmp_path / "ray"
    run_cohort(cohort(12, batch=2, unreadable=[2]), local)
    found = run_cohort(cohort(12, batch=2, run=run, **faults), ray, engine="ray")
    assert found == {"pending": 0, "running": 0, "done": 11, "failed": 1}
    assert {path.name for path in once.iterdir()} == {"crash-5", "hang-8", "unreadable-2"}
    assert {row.number: row.attempts for row in rows_of(ray)} == dict.fromkeys(range(12), 1) | {4: 2, 5: 2, 8: 2, 9: 2}
    assert failures(ray) == failures(local) == {2: "ValueError: the image cannot be read"}
    assert outputs(ray) == outputs(local)
    for out in (ray, local):
        gather(out)
    for name in ("items", "regions", "measures"):
        assert (ray / f"tables/{name}.parquet").read_bytes() == (local / f"tables/{name}.parquet").read_bytes()
    until = time.monotonic() + 10
    while ray_processes() - before and time.monotonic() < until:
        time.sleep(0.1)
    assert ray_processes() - before == set()


def test_a_worker_that_would_wait_for_a_gpu_for_ever_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with pytest.raises(ValueError, match=r"run\.gpus: 100: Ray sees \d+ GPUs on this machine"):
        run_cohort(cohort(1, run={"gpus": 100, "workers": 1}), tmp_path, engine="ray")


def test_an_absent_ray_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'monai-causal\[ray\]'"):
        run_cohort(cohort(1), tmp_path / "out", engine="ray")
    assert not (tmp_path / "out").exists()
