# SPDX-License-Identifier: Apache-2.0
"""PdCR's benchmark: how right its rules are, what they cost, and whether they find a planted cause.

Example:
    python benchmarks/pdcr.py --out docs/results
    python benchmarks/pdcr.py --out /tmp --parts simulation,agreement --quick
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
import warnings
from pathlib import Path

import torch
from bench_page import Section, write_report
from engine_bench.machine import describe_machine
from pdcr_bench import agreement, cost, marker, simulation, strength

PARTS = {module.NAME: module for module in (simulation, agreement, cost, strength, marker)}


def main(arguments: list[str] | None = None) -> int:
    """Run the parts that were asked for and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for pdcr.json and pdcr.md")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of them (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="toy sizes: the figures mean nothing")
    parser.add_argument("--seed", type=int, default=0, help="of phantoms and draws (default: %(default)s)")
    options = parser.parse_args(arguments)
    names = list(dict.fromkeys(options.parts.split(",")))
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise SystemExit(f"--parts {options.parts}: there is no part {unknown[0]!r}; known are {','.join(PARTS)}.")
    warnings.filterwarnings("ignore", category=UserWarning, module="monai|torch")
    torch.set_num_threads(1)  # CPU time is then work and not waiting
    sections: list[Section] = []
    about = {
        "command": " ".join(["python", "benchmarks/pdcr.py", *(sys.argv[1:] if arguments is None else arguments)]),
        "seed": options.seed,
        "quick": options.quick,
        "begun": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "minutes_per_part": {},
    }
    for name in names:
        print(f"{name} ...", flush=True)
        started = time.perf_counter()
        sections.append(PARTS[name].run(options.quick, options.seed))
        about["minutes_per_part"][name] = round((time.perf_counter() - started) / 60, 1)
        for line in sections[-1].findings:
            print(f"  {line}", flush=True)
    stem = "-".join(["pdcr", *(["quick"] if options.quick else []), *(names if names != list(PARTS) else [])])
    machine = about["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    closing = (
        f"`{about['command']}`, begun {about['begun']}, seed {about['seed']}; {machine['cpu']}, {machine['cores']} "
        f"cores, one thread; {versions}; commit {machine['commit']}; minutes per part: {about['minutes_per_part']}."
    )
    schema, title = "monai_causal/benchmark-pdcr/1", "PdCR, measured"
    for path in write_report(options.out, stem, sections, about, schema=schema, title=title, closing=closing):
        print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
