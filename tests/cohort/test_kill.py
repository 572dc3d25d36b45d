# SPDX-License-Identifier: Apache-2.0
"""Workers and drivers killed at random times: every item is done once in effect, and no byte of a table differs.

``benchmarks/cohort.py --parts kills`` does it thirty times over a longer run.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from monai_causal.cohort.gather import gather
from monai_causal.cohort.run import run_cohort
from tests.cohort.cohorts import cohort, outputs, rows_of
from tests.guards.checkout import ROOT

ITEMS = 120


def start(config: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "monai_causal", "cohort", "run", "--config", str(config), "--out", str(out)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def workers_of(driver: int) -> list[int]:
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    return [int(pid) for pid, parent, args in rows if int(parent) == driver and "engines.child" in args]


def test_kills_of_workers_and_drivers_change_no_byte(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run_cohort(cohort(ITEMS, batch=2), whole)
    config = tmp_path / "cohort.json"
    settings = {"items": {"kind": "numbers", "count": ITEMS}, "batch": 2, "run": {"workers": 2, "attempts": 9}}
    config.write_text(json.dumps({**settings, "job": {"name": "tests.cohort.faulty:Faulty", "settings": {}}}))
    chance = random.Random(0)
    for kill in range(6):
        driver = start(config, killed)
        if kill % 2:
            while not (victims := workers_of(driver.pid)) and driver.poll() is None:
                time.sleep(0.02)
            time.sleep(chance.uniform(0, 0.5))
            for victim in victims[:1]:
                os.kill(victim, signal.SIGKILL)
        time.sleep(chance.uniform(0.3, 1.2))
        driver.kill()
        driver.wait()
    assert start(config, killed).wait() == 0
    assert {row.state for row in rows_of(killed)} == {"done"}
    assert outputs(killed) == outputs(whole)
    gather(killed), gather(whole)
    for name in ("items", "regions", "measures"):
        file = f"tables/{name}.parquet"
        assert (killed / file).read_bytes() == (whole / file).read_bytes()


def test_workers_die_with_their_driver(tmp_path: Path) -> None:
    config = tmp_path / "cohort.json"
    job = {"name": "tests.cohort.faulty:Faulty", "settings": {"hang": [0, 1]}}
    config.write_text(json.dumps({"items": {"kind": "numbers", "count": 2}, "job": job, "run": {"workers": 2}}))
    driver = start(config, tmp_path / "out")
    while len(workers := workers_of(driver.pid)) < 2 and driver.poll() is None:
        time.sleep(0.05)
    assert len(workers) == 2
    driver.kill()
    driver.wait()
    until = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_a_polite_request_to_end_puts_back_what_was_begun(tmp_path: Path) -> None:
    config, out = tmp_path / "cohort.json", tmp_path / "out"
    job = {"name": "trivial", "settings": {"seconds": 0.2}}
    config.write_text(json.dumps({"items": {"kind": "numbers", "count": 500}, "job": job, "run": {"workers": 2}}))
    driver = start(config, out)
    while not (out / "items").exists() or not outputs(out):
        time.sleep(0.05)
    driver.terminate()
    assert driver.wait(timeout=30) != 0
    states = [row.state for row in rows_of(out)]
    assert set(states) == {"done", "pending"}
    assert len(outputs(out)) == states.count("done")
    assert list((out / "cohort" / "staging").iterdir()) == []
