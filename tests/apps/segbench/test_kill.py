# SPDX-License-Identifier: Apache-2.0
"""Killed at ten random times and resumed, the journal and the tables are the same to the byte."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

from monai_causal.apps.segbench.results import read_results
from monai_causal.apps.segbench.tables import TABLES, as_csv
from tests.apps.segbench.tiny import STAMP, bench
from tests.apps.segbench.worker import SAMPLES
from tests.guards.checkout import ROOT


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.apps.segbench.worker", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)


def tables(folder: Path) -> dict[str, str]:
    config = bench(seeds=[0, 1])
    runs = [{"data": "shapes", "network": "net", "seed": seed, "samples": SAMPLES} for seed in config.seeds]
    study = {
        "digest": config.digest(),
        "config": config.record(),
        "versions": STAMP["versions"],
        "runs": runs,
        "units": {"shapes": {name: name for name in SAMPLES}},
    }
    (folder / "study.json").write_text(json.dumps(study))
    results = read_results(folder)
    return {name: as_csv(table(results)) for name, table in TABLES.items()}


def test_ten_kills_change_no_byte(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert start(whole).wait() == 0
    lines = (whole / "journal.jsonl").read_bytes().count(b"\n")
    chance, seen = random.Random(0), []
    for kill in range(10):
        process = start(killed)
        path = killed / "journal.jsonl"
        # From the first line on a kill may come at any time; the later ones later, so that there is always work left.
        while (path.read_bytes().count(b"\n") if path.exists() else 0) < (
            kill * lines
        ) // 12 and process.poll() is None:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.02))
        process.kill()
        process.wait()
        seen.append(path.read_bytes().count(b"\n") if path.exists() else 0)
    assert len(set(seen)) > 5, f"the kills came at {seen} of {lines} lines: too alike to say anything"
    assert max(seen) < lines
    assert start(killed).wait() == 0
    assert (killed / "journal.jsonl").read_bytes() == (whole / "journal.jsonl").read_bytes()
    assert tables(killed) == tables(whole)
