# SPDX-License-Identifier: Apache-2.0
"""Kill workers and drivers at random times over a run, and compare what comes out with a run that was left alone."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench_page import Section
from tqdm.auto import tqdm

from cohort_bench.runs import Setting, finish, start, tables, workers_of, write
from monai_causal.cohort.run import JOURNAL

__all__ = ["run"]

KILLS = 30
ITEMS = 3000
SECONDS = 0.02


def run(setting: Setting) -> Section:
    """The part."""
    kills, items = (4, 400) if setting.quick else (KILLS, ITEMS)
    plan = (
        f"{items:,} trivial items of {SECONDS:g} s, two workers, groups of two. {kills} times, at a random moment "
        "after workers are up, a worker or the driver (a coin decides) gets SIGKILL; a killed driver is started again "
        "with the same command. Pass: every item is done, once in effect (one output each, the same bytes), and the "
        "tables are the same to the byte as those of a run that was left alone."
    )
    content = {
        "items": {"kind": "numbers", "count": items},
        "job": {"name": "trivial", "settings": {"seconds": SECONDS, "regions": 5}},
        "batch": 2,
        "run": {"workers": 2, "attempts": 9},
    }
    config = write(setting, "kills", content)
    whole, killed = setting.empty("whole"), setting.empty("killed")
    finish(start(config, whole))
    chance = random.Random(setting.seed)
    victims = {"driver": 0, "worker": 0}
    driver = start(config, killed)
    for _ in tqdm(range(kills), desc="kills", disable=None):
        workers: list[int] = []
        while not workers and driver.poll() is None:
            time.sleep(0.02)
            workers = workers_of(driver.pid)
        time.sleep(chance.uniform(0.0, 1.5))
        if driver.poll() is not None:
            raise RuntimeError("the run ended before all kills were done: give it more items")
        if chance.random() < 0.5:
            driver.kill()
            driver.wait()
            victims["driver"] += 1
            driver = start(config, killed)
        else:
            victim = chance.choice(workers_of(driver.pid) or workers)
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            victims["worker"] += 1
    left = _done(killed)
    finish(driver)
    same = {name: a == b for (name, a), b in zip(tables(whole).items(), tables(killed).values(), strict=True)}
    outputs = [_outputs(out) for out in (whole, killed)]
    with sqlite3.connect(killed / JOURNAL) as base:
        again, done = base.execute("SELECT sum(attempts) - count(*), sum(state = 'done') FROM items").fetchone()
    row: dict[str, Any] = {
        "kills": kills,
        "of drivers": victims["driver"],
        "of workers": victims["worker"],
        "items": items,
        "done after the last kill": left,
        "done": done,
        "begun again": again,
        "outputs": len(outputs[1]),
        "outputs that differ": sum(outputs[0].get(name) != content for name, content in outputs[1].items()),
        "tables the same": all(same.values()),
    }
    passed = done == items == row["outputs"] and not row["outputs that differ"] and row["tables the same"]
    finding = (
        f"{'Passed' if passed else 'MISSED'}: after {kills} kills all {done:,} items are done, {row['outputs']:,} "
        f"outputs, {row['outputs that differ']} of them differ; tables {'are' if all(same.values()) else 'are NOT'} "
        f"the same to the byte. {again:,} items were begun again."
    )
    return Section("kills", "Killed at random", plan, [row], [finding])


def _done(out: Path) -> int:
    with sqlite3.connect(out / JOURNAL) as base:
        return int(base.execute("SELECT count(*) FROM items WHERE state = 'done'").fetchone()[0])


def _outputs(out: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in (out / "items").rglob("record.json")}
