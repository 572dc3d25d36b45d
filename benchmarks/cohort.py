# SPDX-License-Identifier: Apache-2.0
"""What a cohort costs, and what it survives; each part writes ``cohort-PART.json`` and ``cohort-PART.md``.

Examples:
    python benchmarks/cohort.py --out docs/results/cohort                      # everything
    python benchmarks/cohort.py --out docs/results/cohort --parts speed        # on a machine that does nothing else
    python benchmarks/cohort.py --out /tmp/quick --quick                       # does it run? its figures mean nothing
"""

from __future__ import annotations

import argparse
import datetime
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench_page import write_report
from cohort_bench import engines, kills, scale
from cohort_bench.runs import Setting
from engine_bench.machine import describe_machine

PARTS = {
    "identity": engines.run_identity,
    "kills": kills.run,
    "memory": scale.run_memory,
    "throughput": scale.run_throughput,
    "ray": engines.run_ray,
    "speed": engines.run_speed,
}
SCHEMA = "monai_causal/benchmark-cohort/1"


def _closing(about: dict[str, Any]) -> str:
    machine = about["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, load {machine['load_before']} when "
        f"it began, {about['date']}; {versions}.\n\n```bash\n{about['command']}\n```"
    )


def main() -> int:
    """Run the parts one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pages")
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated")
    parser.add_argument("--work", type=Path, help="folder for the runs; a temporary one by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="small numbers that mean nothing")
    options = parser.parse_args()
    names = options.parts.split(",")
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        parser.error(f"--parts: {unknown[0]!r}: choose {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as own:
        setting = Setting(options.work or Path(own), options.quick, options.seed)
        for name in names:
            section = PARTS[name](setting)
            command = f"python benchmarks/cohort.py --out docs/results/cohort --parts {name} --seed {options.seed}"
            about = {
                "quick": options.quick,
                "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                "machine": describe_machine(),
                "command": command,
            }
            _, page = write_report(
                options.out,
                f"cohort-{name}",
                [section],
                about,
                schema=SCHEMA,
                title=section.title,
                closing=_closing(about),
            )
            print("\n".join([*section.findings, f"wrote {page}"]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
