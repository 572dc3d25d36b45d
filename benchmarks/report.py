# SPDX-License-Identifier: Apache-2.0
"""How large a report of many cases is, and how long a browser takes to open it::

    python benchmarks/report.py --out docs/results

Each case is a picture of 512 x 512 with a PdCR map and 4,096 regions with their effects, as ``monai-causal explain``
writes them. Nothing compresses worse than the noise that the pictures hold. A page counts as open when its ``load``
event has ended; the browser starts with an empty profile, and fastest, middle and slowest of five openings are told.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from monai_causal.files import write_json
from monai_causal.report import write_report
from monai_causal.versions import versions
from tests.report import samples
from tests.report.chromium import Chromium, program

SIDE, CELL, OPENINGS = 512, 8, 5


def case(folder: Path, number: int) -> None:
    """One case with a picture, a map, and effects of all regions of a grid."""
    noise = np.random.default_rng(number)
    samples.explained(folder, digest=f"d{number}", shape=(SIDE, SIDE))
    Image.fromarray(noise.integers(0, 255, (SIDE, SIDE), dtype=np.uint8)).save(folder / "image.png")
    effects = noise.normal(0, 5, (SIDE // CELL, SIDE // CELL))
    samples.write_volume(folder / "map.nii.gz", effects.repeat(CELL, 0).repeat(CELL, 1))
    with (folder / "pdcr" / "effects.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        head = ("id", "name", "box", "ate", "standard_error", "low", "high", "p_value", "draws", "relevant", "settled")
        rows.writerow(head)
        for place, effect in enumerate(effects.ravel().tolist()):
            row, column = divmod(place, SIDE // CELL)
            box = f"{row * CELL}:{(row + 1) * CELL} {column * CELL}:{(column + 1) * CELL}"
            rows.writerow([place, place, box, effect, 0.5, effect - 1, effect + 1, 0.01, 8, 1, 1])


def opened(page: Path) -> dict[str, float]:
    """Milliseconds until something was painted, until the script ran and until all was loaded, in a new browser."""
    with Chromium() as browser:
        started = time.perf_counter()
        browser.open(page)
        wall = 1000 * (time.perf_counter() - started)
        found: dict[str, float] = browser.until(
            "(() => { const n = performance.getEntriesByType('navigation')[0];"
            "const p = performance.getEntriesByName('first-contentful-paint')[0];"
            "const ends = () => ({ painted: p.startTime, usable: n.domInteractive, loaded: n.loadEventEnd });"
            "return n.loadEventEnd && p && ends(); })()"
        )
        return found | {"seen_from_outside": wall}


def measure(count: int) -> dict[str, Any]:
    """One row."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "cases"
        for number in range(count):
            case(root / f"{number:03d}", number)
        started = time.perf_counter()
        page = write_report(root)
        written = time.perf_counter() - started
        times = [opened(page) for _ in range(OPENINGS)]
        row: dict[str, Any] = {"cases": count, "megabytes": round(page.stat().st_size / 1e6, 2)}
        row["seconds_to_write"] = round(written, 1)
        for name in times[0]:
            values = sorted(one[name] for one in times)
            row[f"{name}_ms"] = [round(value) for value in (values[0], values[OPENINGS // 2], values[-1])]
        return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--cases", type=int, nargs="+", default=[1, 50, 200])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    browser = subprocess.run([str(program()), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    rows = [measure(count) for count in given.cases]
    for row in rows:
        print(json.dumps(row))
    machine = {"processor": platform.processor() or platform.machine(), "browser": browser}
    content = {"schema": "monai_causal/report-cost/1", "rows": rows, "machine": machine}
    write_json(given.out / "report.json", {**content, "versions": versions("jinja2", "numpy", "pillow")})


if __name__ == "__main__":
    main()
