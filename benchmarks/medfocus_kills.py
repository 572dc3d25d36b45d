# SPDX-License-Identifier: Apache-2.0
"""Kill a real run of the MedFocus workflow at random times, resume it, and compare its results, byte by byte, with
those of a run that was left alone.

What answers is the tests' stand-in, which writes two small objects per study: what is tried is the workflow. A run goes
into a folder (``--to folder``) or to the tests' DICOMweb server (``--to server``), whose objects are compared as well.
Each kill is a SIGKILL to a process of its own, after a time drawn evenly from the time that the work of an undisturbed
run takes (the median of five); every killed run gets a folder of its own, is resumed once, and judged. The processes
are forked from one that has read the libraries, so that no kill is spent on reading them.

Example:
    python -m benchmarks.medfocus_kills --out kills --kills 50 --studies 5
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from monai_causal.files import write_json

SCHEMA = "monai_causal/medfocus-kills/1"
KILLED = -9
UNDISTURBED = 5


def main() -> int:
    """Run, kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="for the table and the folders of the runs")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--studies", type=int, default=5)
    parser.add_argument("--to", choices=("folder", "server"), default="folder")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    studies = lay_studies(options.out / "studies", options.studies)
    with target(options.to) as server, Worker(studies, server) as worker:
        lasted = []
        for number in range(1, UNDISTURBED + 1):
            forget(server)
            folder = options.out / f"whole-{number}"
            lasted.append(worker.run(folder)[1])
        expected = results_in(folder), kept_by(server)
        chance, rows = random.Random(options.seed), []
        for number in tqdm(range(1, options.kills + 1), desc="kills", disable=None):
            forget(server)
            folder = options.out / f"killed-{number}"
            after = chance.uniform(0, statistics.median(lasted))
            status, _ = worker.run(folder, after)
            there = len(list((folder / "results").glob("*/manifest.json")))
            worker.run(folder)
            same = (results_in(folder), kept_by(server)) == expected
            rows.append({"after_seconds": round(after, 4), "status": status, "committed_then": there, "equal": same})
            shutil.rmtree(folder)
    result = {
        "schema": SCHEMA,
        "studies": options.studies,
        "to": options.to,
        "seed": options.seed,
        "seconds_of_work": [round(seconds, 4) for seconds in lasted],
        "files_compared": len(expected[0]),
        "objects_on_the_server": len(expected[1]),
        "killed": sum(row["status"] == KILLED for row in rows),
        "ended_before_the_kill": sum(row["status"] == 0 for row in rows),
        "equal": sum(row["equal"] for row in rows),
        "rows": rows,
    }
    write_json(options.out / f"kills-{options.to}.json", result)
    print(json.dumps({key: value for key, value in result.items() if key != "rows"}, indent=2))
    return int(not all(row["equal"] for row in rows))


def lay_studies(folder: Path, count: int) -> Path:
    """Studies of one small radiograph."""
    from tests.dicom.studies import image, lay

    return lay(folder, {f"{number}/image.dcm": image(1, study=number) for number in range(1, count + 1)})


class Worker:
    """The process that the runs are forked from.

    Args:
        studies: where they come from.
        server: where results go; None for the folder of the run.
    """

    def __init__(self, studies: Path, server: Any) -> None:
        self.studies, self.server = studies, server

    def __enter__(self) -> Worker:
        command = [sys.executable, "-m", "tests.apps.medfocus.workflow.worker"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        return self

    def __exit__(self, *exception: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)

    def run(self, folder: Path, after: float | None = None) -> tuple[int, float]:
        """Run the workflow, killed so many seconds after its beginning if asked for; status and seconds."""
        request = {
            "source": str(self.studies),
            "target": str(folder) if self.server is None else self.server.address,
            "work": None if self.server is None else str(folder),
            "steps": str(folder.with_suffix(".steps")),
            "after": after,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        status, seconds = self.process.stdout.readline().split()
        if int(status) not in (0, KILLED) or (after is None and int(status)):
            raise RuntimeError(f"the run ended with status {status}")
        return int(status), float(seconds)


@contextlib.contextmanager
def target(kind: str) -> Iterator[Any]:
    if kind == "folder":
        yield None
    else:
        from tests.dicom.faulty_server import faulty_server

        with faulty_server() as server:
            yield server


def kept_by(server: Any) -> dict[str, str]:
    held = {} if server is None else server.held
    return {uid: hashlib.sha256(content).hexdigest() for uid, content in held.items()}


def forget(server: Any) -> None:
    if server is not None:
        server.held.clear()


def results_in(folder: Path) -> dict[str, str]:
    from tests.apps.medfocus.workflow.stand_in import results_in as digests

    return digests(folder)


if __name__ == "__main__":
    sys.exit(main())
