# SPDX-License-Identifier: Apache-2.0
"""A light stand-in for a run: the real plan and journals, answers from the items' keys. Imports no torch, no MONAI.

Run as ``python -m tests.apps.segbench.worker FOLDER``; says ``imported NAME`` if something heavy came along.
"""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path
from typing import Any

from monai_causal.apps.segbench.plan import plan
from monai_causal.apps.study.journal import Journal, carry_out
from tests.apps.segbench.tiny import STAMP, bench

SAMPLES = [f"image-{number:05d}" for number in range(30)]


def work(key: str) -> dict[str, Any]:
    """What is measured is read off the key."""
    time.sleep(0.001)
    data, network, seed, sample, method = key.split("|")
    number = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 2**32
    values = {"score": 0.5, "dice": 0.9, "tdd": number, "odd": -number, "odd_abs": number, "insertion_gain": 1 - number}
    run = {"data": data, "network": network, "seed": int(seed.removeprefix("seed "))}
    entry = {"kind": "item", **run, "sample": sample, "method": method, "status": "ok", "reason": None}
    return {**entry, "target": {"class": 1, "pixels": 4}, "values": values, "seconds": time.time()}


def main(folder: Path) -> None:
    config = bench(seeds=[0, 1])
    samples = {("shapes", seed): SAMPLES for seed in config.seeds}
    keys = [key for block in plan(config, samples) for key in block.keys.values()]
    stamp = {**STAMP, "study": config.digest()}
    with (
        Journal(folder / "journal.jsonl", stamp) as journal,
        Journal(folder / "timing.jsonl", {"schema": "monai_causal/segbench-timing/1"}) as timing,
    ):
        carry_out(keys, work, journal, timing)


if __name__ == "__main__":
    heavy = {"torch", "monai", "numpy"} & set(sys.modules)
    sys.exit(f"imported {heavy}") if heavy else main(Path(sys.argv[1]))
