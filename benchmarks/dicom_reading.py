# SPDX-License-Identifier: Apache-2.0
"""Reading radiographs: is the picture right, what is decoded, what do bombs, mutants and full-size pictures cost?

Example:
    PYTHONPATH=. python benchmarks/dicom_reading.py --out docs/results
    PYTHONPATH=. python benchmarks/dicom_reading.py --out /tmp --parts encodings,syntaxes --quick
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import sys
import time
from pathlib import Path

from bench_page import Section, write_report
from dicom_bench import bombs, encodings, large, mutants, real, syntaxes
from engine_bench.machine import describe_machine

PARTS = {module.NAME: module for module in (encodings, syntaxes, bombs, large, real, mutants)}
PACKAGES = (
    *("pydicom", "highdicom", "numpy", "pillow", "pylibjpeg-openjpeg", "pyjpegls"),
    *("pylibjpeg-libjpeg", "python-gdcm", "torchxrayvision"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run the parts that were asked for and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for dicom-reading.json and dicom-reading.md")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of them (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="small numbers: the figures mean nothing")
    parser.add_argument("--seed", type=int, default=20, help="of mutants (default: %(default)s)")
    parser.add_argument("--mutants", type=int, default=10_000, help="how many (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/cxr_dicom"), help="folder of real files")
    parser.add_argument("--pictures", type=Path, help="write real pictures here, to be looked at")
    options = parser.parse_args(arguments)
    names = list(dict.fromkeys(options.parts.split(",")))
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise SystemExit(f"--parts {options.parts}: there is no part {unknown[0]!r}; known are {','.join(PARTS)}.")
    given = ["--out docs/results", *([f"--parts {options.parts}"] if names != list(PARTS) else [])]
    about = {
        "command": " ".join(["PYTHONPATH=. python benchmarks/dicom_reading.py", *given]),
        "seed": options.seed,
        "quick": options.quick,
        "begun": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "versions": _versions(),
        "minutes_per_part": {},
    }
    sections: list[Section] = []
    for name in names:
        print(f"{name} ...", flush=True)
        started = time.perf_counter()
        sections.append(PARTS[name].run(options))
        about["minutes_per_part"][name] = round((time.perf_counter() - started) / 60, 1)
        for line in sections[-1].findings:
            print(f"  {line}", flush=True)
    stem = "-".join(["dicom-reading", *(["quick"] if options.quick else []), *(names if names != list(PARTS) else [])])
    machine = about["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    closing = (
        f"`{about['command']}`, begun {about['begun']}, seed {about['seed']}; {machine['cpu']}, {machine['cores']} "
        f"cores, load {machine['load_before']} before, {machine['memory_gib']} GiB; python "
        f"{machine['versions']['python']}, {versions}; commit {machine['commit']}; minutes per part: "
        f"{about['minutes_per_part']}."
    )
    schema, title = "monai_causal/benchmark-dicom-reading/1", "Reading radiographs, measured"
    for path in write_report(options.out, stem, sections, about, schema=schema, title=title, closing=closing):
        print(path)
    return 0


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


if __name__ == "__main__":
    sys.exit(main())
