# SPDX-License-Identifier: Apache-2.0
"""Kill a real segbench run ten times at random times, resume it, and compare all tables with those of a run that was
left alone, byte by byte.

Example:
    python benchmarks/segbench_kill.py --out kills --kills 10
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path

from tqdm.auto import tqdm

from monai_causal.files import write_json

CONFIG = {
    "title": "A small benchmark to be killed",
    "data": [{"name": "shapes", "source": "phantom", "count": 12, "train": 24, "size": 32, "classes": 2}],
    "networks": [
        {"name": "unet", "build": "unet", "options": {"widths": [4, 8]}, "train": {"steps": 20}},
        {
            "name": "segresnet",
            "monai": "SegResNet",
            "options": {"spatial_dims": 2, "init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]},
            "train": {"steps": 20},
        },
    ],
    "seeds": [0, 1],
    "metrics": {"curve_steps": 5},
    "maps": 3,
}


def main() -> int:
    """Run, kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    config = options.out / "bench.json"
    config.write_text(json.dumps(CONFIG))
    whole, killed = options.out / "whole", options.out / "killed"
    started = time.perf_counter()
    finish(start(config, whole))
    lasted = time.perf_counter() - started
    chance, lines = random.Random(options.seed), []
    for _ in tqdm(range(options.kills), desc="kills", disable=None):
        process = start(config, killed)
        before, limit = count(killed), chance.uniform(0.0, 1.2 * lasted / options.kills)
        # Reading libraries takes seconds in which nothing can be torn: the clock starts with the first line of a start.
        while count(killed) == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(limit)
        process.kill()
        process.wait()
        lines.append(count(killed))
    finish(start(config, killed))
    pages = [report(folder) for folder in (whole, killed)]
    differing = sorted(name for name in pages[0].keys() | pages[1].keys() if pages[0].get(name) != pages[1].get(name))
    journals = [(folder / "journal.jsonl").read_bytes() for folder in (whole, killed)]
    result = {
        "schema": "monai_causal/segbench-kill/1",
        "rows": [
            {
                "kills": options.kills,
                "seed": options.seed,
                "lines_after_each_kill": lines,
                "lines_in_all": count(whole),
                "journals_equal": journals[0] == journals[1],
                "files_compared": len(pages[0]),
                "files_that_differ": differing,
            }
        ],
    }
    write_json(options.out / "kills.json", result)
    print(json.dumps(result["rows"][0], indent=2))
    return int(bool(differing))


def start(config: Path, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "monai_causal", "segbench", "run", "--config", str(config), "--out", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finish(process: subprocess.Popen[bytes]) -> None:
    if process.wait():
        raise RuntimeError(f"the run ended with status {process.returncode}")


def count(folder: Path) -> int:
    path = folder / "journal.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def report(folder: Path) -> dict[str, bytes]:
    """All files of the report but the times."""
    subprocess.run(
        [sys.executable, "-m", "monai_causal", "segbench", "report", str(folder)], check=True, stdout=subprocess.DEVNULL
    )
    files = [path for path in (folder / "report").rglob("*") if path.is_file() and "timing" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


if __name__ == "__main__":
    sys.exit(main())
