# SPDX-License-Identifier: Apache-2.0
"""Does the driver's memory grow with the cohort, and how many items per second pass through it?"""

from __future__ import annotations

import time
from typing import Any

from bench_page import Section

from cohort_bench.runs import Setting, finish, pace, start, write

__all__ = ["run_memory", "run_throughput"]

GROWTH = 1.2
"""The most that counts as flat: the driver's peak at the largest count, divided by that at the smallest."""


def run_memory(setting: Setting) -> Section:
    """Peak memory of the driver over counts."""
    counts = (100, 1000) if setting.quick else (100, 1_000, 10_000, 100_000)
    plan = (
        f"Trivial items, {', '.join(f'{count:,}' for count in counts)} of them; two workers, groups of 32; the peak of "
        "the driver's resident memory over the whole run, listing included (VmHWM). Pass: the largest cohort takes at "
        f"most {GROWTH:g} times what the smallest does, with the local engine and with Ray."
    )
    rows: list[dict[str, Any]] = []
    findings = []
    for engine in ("local", "ray"):
        found = []
        for count in counts:
            rows.append(_one(setting, engine, count, 32, f"memory-{engine}-{count}"))
            found.append(rows[-1]["driver MiB"])
        growth = found[-1] / found[0]
        findings.append(
            f"{'Passed' if growth <= GROWTH else 'MISSED'}: {engine}, the driver's peak goes from {found[0]:.0f} to "
            f"{found[-1]:.0f} MiB from {counts[0]:,} to {counts[-1]:,} items: {growth:.2f} times."
        )
    return Section("memory", "Memory of the driver", plan, rows, findings)


def run_throughput(setting: Setting) -> Section:
    """Trivial items per second."""
    count = 300 if setting.quick else 3000
    plan = (
        f"{count:,} trivial items, two workers: items per second between the first that was done and the last, every "
        "one with an output folder and a row in the journal; one by one and in groups of 32. No target: it says below "
        "which size of a job the run itself is what costs."
    )
    rows = [
        _one(setting, engine, count, batch, f"throughput-{engine}-{batch}")
        for engine in ("local", "ray")
        for batch in (1, 32)
    ]
    findings = [
        f"{row['engine']}, groups of {row['group']}: {row['items/s']:.0f} items/s, {1000 / row['items/s']:.1f} ms each."
        for row in rows
    ]
    return Section("throughput", "Trivial items per second", plan, rows, findings)


def _one(setting: Setting, engine: str, count: int, batch: int, name: str) -> dict[str, Any]:
    content = {"items": {"kind": "numbers", "count": count}, "job": {"name": "trivial"}, "batch": batch}
    config = write(setting, name, {**content, "run": {"workers": 2}})
    out = setting.empty(name)
    started = time.perf_counter()
    peak = finish(start(config, out, engine))
    whole = time.perf_counter() - started
    row = {"engine": engine, "items": count, "group": batch, "driver MiB": peak, "items/s": pace(out), "s": whole}
    setting.empty(name)
    return row
