# SPDX-License-Identifier: Apache-2.0
"""The engine's benchmark: how fast, how exact, how large; ``benchmarks/README.md`` says how to read it.

Example:
    python benchmarks/engine.py --out docs/results
    python benchmarks/engine.py --out /tmp --parts dense,windows --quick
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import torch
from engine_bench import dense, incremental, memory, overhead, peers, windows
from engine_bench.machine import describe_machine
from engine_bench.report import Outcome, Part, Setting, write_report
from engine_bench.timing import Place

PARTS: dict[str, Part] = {
    module.PART.name: module.PART for module in (dense, overhead, windows, incremental, memory, peers)
}


def main(arguments: list[str] | None = None) -> int:
    """Run the parts that were asked for, write the results, and say how many failed to run."""
    options = _options(arguments)
    names = list(dict.fromkeys(options.parts.split(",")))
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise SystemExit(f"--parts {options.parts}: there is no part {unknown[0]!r}; known are {','.join(PARTS)}.")
    warnings.filterwarnings("ignore", category=UserWarning, module="monai|captum|torch")
    setting = Setting(options.quick, options.full_dense, options.seed)
    parts = [PARTS[name] for name in names]
    about: dict[str, Any] = {
        "command": " ".join(["python", "benchmarks/engine.py", *(sys.argv[1:] if arguments is None else arguments)]),
        "seed": setting.seed,
        "quick": setting.quick,
        "parts": names,
        "begun": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "failures": [],
        "minutes_per_part": {},
    }
    if setting.quick:
        print("A quick run on toy sizes: its figures mean nothing.")
    begun = time.perf_counter()
    outcome = Outcome([])
    for part in parts:
        started = time.perf_counter()
        for place in _places(part, options.threads):
            print(f"{part.name} ({place}) ...", flush=True)
            _run(part, setting, place, outcome, about["failures"])
        about["minutes_per_part"][part.name] = round((time.perf_counter() - started) / 60, 1)
    about["minutes"] = round((time.perf_counter() - begun) / 60, 1)
    for verdict in outcome.verdicts:
        word = {True: "reached", False: "MISSED", None: "not measured"}[verdict.passed]
        print(f"{word}: {verdict.target} ({verdict.place}): {verdict.measured}")
    for path in write_report(options.out, _stem(setting, names), parts, setting, outcome, about):
        print(path)
    return len(about["failures"])


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for engine.json and engine.md")
    parser.add_argument(
        "--parts", default=",".join(PARTS), help="some of them, separated by commas (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="toy sizes, about two minutes: the figures mean nothing")
    parser.add_argument(
        "--full-dense", action="store_true", help="compare the hard Dice of every block, not of some (about 8 minutes)"
    )
    parser.add_argument(
        "--threads",
        default=f"1,{os.cpu_count()}",
        help="numbers of threads; the first is measured in full, others briefly (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights, images and draws (default: %(default)s)")
    return parser.parse_args(arguments)


def _places(part: Part, threads: str) -> list[Place]:
    """Every number of threads on the CPU for parts with a ratio as target, and the GPU where there is one."""
    counts = list(dict.fromkeys(int(count) for count in threads.split(",")))
    counts = counts if part.every_place else counts[:1]
    cpu = torch.device("cpu")
    places = [Place(cpu, count, brief=i > 0, final=i == len(counts) - 1) for i, count in enumerate(counts)]
    if torch.cuda.is_available():
        places.append(Place(torch.device("cuda"), counts[0]))
    return places


def _run(part: Part, setting: Setting, place: Place, outcome: Outcome, failures: list[str]) -> None:
    """One part at one place; a failure is reported and the other parts go on."""
    torch.set_num_threads(place.threads)
    try:
        found = part.run(setting, place)
    except Exception as error:
        traceback.print_exc()
        failures.append(f"{part.name} ({place}): {type(error).__name__}: {error}")
        return
    outcome.rows.extend(found.rows)
    outcome.verdicts.extend(found.verdicts)


def _stem(setting: Setting, names: list[str]) -> str:
    """``engine`` for a whole run at full size; anything less says so in its name and overwrites nothing."""
    some = [] if names == list(PARTS) else names
    return "-".join(["engine", *(["quick"] if setting.quick else []), *some])


if __name__ == "__main__":
    raise SystemExit(main())
