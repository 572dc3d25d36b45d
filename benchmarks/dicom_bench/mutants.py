# SPDX-License-Identifier: Apache-2.0
"""Files with random damage: does each end in a picture or in our error, and what does it cost?"""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

from bench_page import Section
from tqdm import tqdm

from dicom_bench.alone import memory, restart
from dicom_bench.packages import only
from monai_causal.dicom import DicomError, Limits, close_worker, decoding, read_projection
from tests.dicom.samples import SYNTAXES, damaged, encoded, mutated, uids

__all__ = ["NAME", "run"]

NAME = "mutants"
CLASSES = ("picture", "refused before decoding", "refused by the decoder", "decoder died", "decoder timed out")


def run(options: Any) -> Section:
    """Read so many mutants of files of eight transfer syntaxes."""
    with only():
        return _run(options)


def _run(options: Any) -> Section:
    count = 200 if options.quick else options.mutants
    generator = random.Random(options.seed)
    bases = {uids.UID(syntax).name: encoded(syntax) for syntax in SYNTAXES}
    limits = Limits(deflated=True, seconds=60.0, memory_bytes=2**28, inflated_bytes=2**24, pixels=2**22)
    for base in bases.values():
        read_projection(base, limits)
    before = restart("self")
    outcomes: dict[str, Counter[str]] = {name: Counter() for name in bases}
    seconds: dict[str, float] = dict.fromkeys(bases, 0.0)
    slowest, others = 0.0, []
    used = time.process_time()
    children: dict[int, int] = {}
    names = list(bases)
    for index in tqdm(range(count), desc=NAME, disable=None, leave=False):
        name = names[index % len(names)]
        content = (damaged if index // len(names) % 2 else mutated)(bases[name], generator)
        started = time.perf_counter()
        try:
            read_projection(content, limits)
            said = "picture"
        except DicomError as error:
            said = _class(error.reason)
        except BaseException as error:
            said = "another exception"
            others.append(type(error).__name__)
        passed = time.perf_counter() - started
        outcomes[name][said] += 1
        seconds[name] += passed
        slowest = max(slowest, passed)
        child = decoding._shared.process
        if child is not None and child.poll() is None:
            children[child.pid] = memory(str(child.pid))["VmHWM"]
    close_worker()
    used = time.process_time() - used
    grown = (memory("self")["VmHWM"] - before) / 1024
    rows: list[dict[str, Any]] = [
        {
            "transfer syntax": name,
            "mutants": found.total(),
            **{one: found[one] for one in CLASSES},
            "another exception": found["another exception"],
            "seconds": seconds[name],
        }
        for name, found in outcomes.items()
    ]
    rows.append({key: "all" if key == "transfer syntax" else sum(row[key] for row in rows) for key in rows[0]})
    return Section(
        NAME,
        f"{count:,} mutants",
        "Bits, bytes and lengths changed, pieces cut, put in, taken out and repeated (`tests/dicom/samples.py`), half "
        "of the mutants in the pixel data alone, eight transfer syntaxes in turn, each through `read_projection` with "
        "the decoders of the extra dicom and 256 MiB for the decoding child. Pass: every one ends in a picture or in a "
        "`DicomError`, the process lives, none takes more than the limit of 60 s, and the reading process grows by "
        "less than 300 MiB.",
        rows,
        [
            f"{'missed' if others else 'reached'}: {len(others)} ended in another exception {sorted(set(others))}.",
            f"{'reached' if grown < 300 else 'missed'}: the reading process grew by {grown:.0f} MiB; the largest "
            f"decoding child took {max(children.values()) / 1024:.0f} MiB in all; {len(children)} children in turn.",
            f"{sum(seconds.values()):.0f} s in all on the clock ({used:.0f} CPU seconds in the reading process), the "
            f"slowest mutant {slowest:.2f} s.",
        ],
    )


def _class(reason: str) -> str:
    if "cannot be decoded" not in reason:
        return "refused before decoding"
    if "it took more than" in reason:
        return "decoder timed out"
    return "decoder died" if "crashed" in reason or "ended its process" in reason else "refused by the decoder"
