# SPDX-License-Identifier: Apache-2.0
"""Both engines on a network: the same bytes, how much faster two workers are than one, and how Ray comes and goes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from statistics import median
from typing import Any

import torch
from bench_page import Section

from cohort_bench.runs import Setting, finish, pace, ray_processes, start, tables, write
from monai_causal.apps.explain.models import DEMO, named_model

__all__ = ["run_identity", "run_ray", "run_speed"]

RATIO = 1.7
ROUNDS = 3
GONE = 240


def _phantoms(count: int, size: int, grid: int) -> dict[str, Any]:
    """Items whose work is forwards of the demo's network, whole ones: they wait for the processor alone."""
    settings = {"network": "demo", "methods": ["ria"], "grid": [grid], "execution": "dense", "files": False}
    items = {"kind": "phantom", "count": count, "options": {"size": [size, size], "evidence": 1.0}}
    return {"items": items, "job": {"name": "explain", "settings": settings}, "batch": 4, "run": {"workers": 2}}


def run_identity(setting: Setting) -> Section:
    """The same tables from every engine and number of workers."""
    count = 12 if setting.quick else 200
    plan = (
        f"{count} phantoms of 64x64, a map by RIA (grid 6) of each with the demo's network, groups of four that share "
        "their first forward. Pass: one and two local workers and two workers on Ray give the same tables to the byte."
    )
    config = write(setting, "identity", _phantoms(count, 64, 6))
    ways = {"local, 1 worker": ("local", 1), "local, 2 workers": ("local", 2), "Ray, 2 workers": ("ray", 2)}
    rows: list[dict[str, Any]] = []
    first: dict[str, bytes] | None = None
    for name, (engine, workers) in ways.items():
        out = setting.empty(f"identity-{engine}-{workers}")
        started = time.perf_counter()
        finish(start(config, out, engine, workers))
        whole, found = time.perf_counter() - started, tables(out)
        first = first or found
        held = json.loads((out / "tables" / "tables.json").read_text())
        rows.append(
            {
                "run": name,
                "done": held["items"]["done"],
                "rows of regions": held["rows"]["regions"],
                "bytes": sum(map(len, found.values())),
                "same bytes": found == first,
                "s": whole,
            }
        )
    passed = all(row["same bytes"] and row["done"] == count for row in rows)
    finding = (
        f"{'Passed' if passed else 'MISSED'}: {rows[0]['rows of regions']:,} rows of regions, "
        f"{'the same bytes' if passed else 'NOT the same bytes'} from all {len(rows)} runs."
    )
    return Section("identity", "The same tables", plan, rows, [finding])


def run_speed(setting: Setting) -> Section:
    """Two workers beside one."""
    count, size, grid, rounds = (8, 64, 4, 1) if setting.quick else (64, 128, 14, ROUNDS)
    plan = (
        f"{count} phantoms of {size}x{size}, RIA with a grid of {grid} (so many whole forwards of the demo's network "
        f"and one thread per worker). One worker and two take turns, {rounds} rounds and one with Ray, on a machine "
        "with two cores that does nothing else. Items per second between the first that was done and the last, so "
        f"without the start; the whole run stands beside it. Pass: the median ratio is at least {RATIO:g} with the "
        "local engine. Beside it what the cost model of `docs/scale.md` says: workers / (forwards x time of one), the "
        "time measured alone, one thread, in batches of four, just before."
    )
    content = _phantoms(count, size, grid)
    config = write(setting, "speed", {**content, "batch": 1})
    rows: list[dict[str, Any]] = []
    findings = []
    for engine, times in (("local", rounds), ("ray", 1)):
        ratios = []
        for number in range(times):
            found = {}
            seconds = (grid**2 + 1) * _forward(size)
            for workers in (1, 2):
                out = setting.empty(f"speed-{engine}-{workers}")
                started = time.perf_counter()
                finish(start(config, out, engine, workers))
                found[workers] = pace(out)
                whole = time.perf_counter() - started
                said = {"engine": engine, "round": number + 1, "workers": workers, "items/s": found[workers]}
                rows.append({**said, "items/s by the model": workers / seconds, "s": whole})
            ratios.append(found[2] / found[1])
        said = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        verdict = "" if engine == "ray" else "Passed: " if median(ratios) >= RATIO else "MISSED: "
        findings.append(f"{verdict}{engine}, two workers against one: {median(ratios):.2f} times (rounds: {said}).")
    return Section("speed", "Two workers beside one", plan, rows, findings)


def _forward(size: int) -> float:
    """Seconds of one forward of the demo's network, one thread: the median of rounds of batches of four."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    network, images, rounds = named_model(DEMO, None, 1).network, torch.rand(4, 1, size, size), []
    with torch.inference_mode():
        for _ in range(12):
            started = time.perf_counter()
            network(images)
            rounds.append((time.perf_counter() - started) / len(images))
    torch.set_num_threads(threads)
    return median(rounds[2:])


def _gone(before: set[int]) -> tuple[int, float]:
    """How many processes of Ray stay, and after how many seconds the last of the others had gone."""
    started = time.perf_counter()
    while (left := len(ray_processes() - before)) and time.perf_counter() - started < GONE:
        time.sleep(0.2)
    return left, time.perf_counter() - started


def run_ray(setting: Setting) -> Section:
    """Ray offline, and without Ray."""
    plan = (
        "A run on Ray in a network name space of its own, in which nothing but the machine itself can be reached; the "
        "processes of Ray that are left after its end, and after its driver was killed (SIGKILL), and how long the "
        f"last of them took to go; {GONE} seconds are waited. Pass: it runs, and no process is left either way. And "
        "the same command where Ray is not installed: it says what to install."
    )
    count = 50
    content = {"items": {"kind": "numbers", "count": count}, "job": {"name": "trivial"}, "run": {"workers": 2}}
    config, before = write(setting, "ray", content), ray_processes()
    out = setting.empty("ray-offline")
    command = [sys.executable, "-m", "monai_causal", "cohort", "run", "--config", str(config), "--engine", "ray"]
    apart = shutil.which("unshare") is not None and shutil.which("ip") is not None
    shell = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"] if apart else []
    done = subprocess.run([*shell, *command, "--out", str(out)], capture_output=True, text=True, check=False)
    left, seconds = _gone(before)
    slow = {**content, "job": {"name": "trivial", "settings": {"seconds": 5}}}
    killed = setting.empty("ray-killed")
    driver = start(write(setting, "ray-killed", slow), killed, "ray")
    while len(ray_processes() - before) < 4 and driver.poll() is None:
        time.sleep(0.2)
    time.sleep(3)
    driver.kill()
    driver.wait()
    after_kill, seconds_after_kill = _gone(before)
    hidden = (
        "import sys; sys.modules['ray'] = None; from monai_causal.cli import main; sys.argv[0] = 'monai-causal'; main()"
    )
    absent = subprocess.run(
        [sys.executable, "-c", hidden, *command[3:], "--out", str(setting.empty("ray-absent"))],
        capture_output=True,
        text=True,
        check=False,
    )
    where = "a network name space of its own" if apart else "with a network (no unshare here)"
    rows = [
        {"case": where, "exit status": done.returncode, "left": left, "s": seconds, "said": done.stdout.strip()},
        {"case": "driver killed", "exit status": driver.returncode, "left": after_kill, "s": seconds_after_kill},
        {"case": "Ray not installed", "exit status": absent.returncode, "said": absent.stderr.strip()},
    ]
    passed = done.returncode == 0 and not left and not after_kill and "monai-causal[ray]" in absent.stderr
    finding = (
        f"{'Passed' if passed else 'MISSED'}: Ray started {'offline' if apart else 'here'} and did {count} items; "
        f"{left} processes were left after the run, {after_kill} after a kill of the driver."
    )
    return Section("ray", "Ray comes and goes", plan, rows, [finding])
