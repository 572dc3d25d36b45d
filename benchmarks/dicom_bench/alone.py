# SPDX-License-Identifier: Apache-2.0
"""Read one file in a process of its own: seconds that pass, processor seconds, peak of resident memory above idle.

Idle means: a small file has been read, so that everything is imported and the decoding child is there. Needs Linux.
"""

from __future__ import annotations

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["measured", "memory", "restart"]


def measured(path: Path, repeats: int = 1, **limits: Any) -> dict[str, Any]:
    """What :func:`_measure` says, from a fresh process."""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "benchmarks")])}
    done = subprocess.run(
        [sys.executable, "-m", "dicom_bench.alone", str(path), str(repeats), json.dumps(limits)],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"reading {path.name}: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _measure(path: Path, repeats: int, limits: dict[str, Any]) -> dict[str, Any]:
    from monai_causal.dicom import (
        DicomError,
        Limits,
        close_worker,
        decode_frames,
        decoding,
        open_dicom,
        read_projection,
    )
    from tests.dicom.samples import encoded, uids

    allowed = Limits(**limits)
    read_projection(encoded(uids.RLELossless), allowed)
    child = decoding._shared.process
    assert child is not None
    idle, idle_child = restart("self"), restart(str(child.pid))
    said = "read"
    passed: dict[str, list[float]] = {"open": [], "decode": [], "whole": [], "cpu": []}
    for _ in range(repeats):
        started, used = time.perf_counter(), _processor(child)
        try:
            opened = open_dicom(path, allowed)
            passed["open"].append(time.perf_counter() - started)
            begun = time.perf_counter()
            decode_frames(opened, allowed)
            passed["decode"].append(time.perf_counter() - begun)
            begun, used = time.perf_counter(), _processor(child)
            read_projection(opened, allowed)
            passed["whole"].append(time.perf_counter() - begun + passed["open"][-1])
        except DicomError as error:
            said = error.reason
            passed["whole"].append(time.perf_counter() - started)
        passed["cpu"].append(_processor(child) - used)
    peak = memory("self")["VmHWM"] - idle
    if child.poll() is None:
        peak_child = memory(str(child.pid))["VmHWM"] - idle_child
    else:  # it died; the system knows the largest of all children that have ended
        peak_child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss - idle_child
    close_worker()
    return {
        "said": said,
        **{f"{step}_seconds": statistics.median(values) if values else None for step, values in passed.items()},
        "parent_mib": peak / 1024,
        "child_mib": peak_child / 1024,
    }


def _processor(child: subprocess.Popen[bytes]) -> float:
    """Processor seconds of this process and of its child so far; what company on the machine does not change."""
    own = time.process_time()
    if child.poll() is not None:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return own + ended.ru_utime + ended.ru_stime
    fields = Path(f"/proc/{child.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return own + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def restart(process: str) -> int:
    """Let the peak begin anew; what is resident now, in KiB."""
    Path(f"/proc/{process}/clear_refs").write_text("5", encoding="ascii")
    return memory(process)["VmRSS"]


def memory(process: str) -> dict[str, int]:
    """Resident memory of a process now (VmRSS) and at most (VmHWM), in KiB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return {name: int(value) for name, value in re.findall(r"(VmHWM|VmRSS):\s+(\d+)", status)}


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]))))
