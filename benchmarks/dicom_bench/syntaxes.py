# SPDX-License-Identifier: Apache-2.0
"""Which transfer syntaxes are decoded with which packages, and how exactly."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
from bench_page import Section

from dicom_bench.packages import BASE, only
from monai_causal.dicom import DicomError, Limits, decode_frames, decoders, open_dicom
from tests.dicom.syntaxes import FILES, Encoded, chest

__all__ = ["NAME", "run"]

NAME = "syntaxes"
PACKAGES = {
    "extra dicom": BASE,
    "and extra jpeg-gpl": (*BASE, "pylibjpeg-libjpeg"),
    "and python-gdcm": (*BASE, "python-gdcm"),
}


def run(options: Any) -> Section:
    """Decode the same picture in every transfer syntax with some packages in sight."""
    rows = []
    for name, file in FILES.items():
        content = file.content()
        row: dict[str, Any] = {
            "transfer syntax": f"{name} ({file.syntax.removeprefix('1.2.840.10008.')})",
            "bits": file.bits,
            "bytes": len(content),
        }
        for head, packages in PACKAGES.items():
            with only(packages):
                row[head], milliseconds = _decoded(file, content)
            row.setdefault("ms", milliseconds)
        rows.append(row)
    lossless = [row for row, file in zip(rows, FILES.values(), strict=True) if file.loss == 0]
    findings = []
    for head in PACKAGES:
        exact = sum(str(row[head]).startswith("bit-exact") for row in lossless)
        named = sum(str(row[head]).startswith("names") for row in rows)
        findings.append(
            f"{head}: {exact} of {len(lossless)} lossless ones bit-exact, {named} of {len(rows)} name a package."
        )
    wrong = [row for row in rows for head in PACKAGES if "WRONG" in str(row[head])]
    findings.insert(
        0, f"{'missed' if wrong else 'reached'}: {len(wrong)} cells differ by more than the encoder may lose."
    )
    return Section(
        NAME,
        "Transfer syntaxes",
        "A computed chest of 48x64 pixels in each; files of dcmtk 3.6.7 and OpenJPH where no Python package of the "
        "extra encodes (`tests/data/dicom`). Pass: a lossless one comes back to the bit, a lossy one within its loss, "
        "and one without decoder ends in an error that names the package. `ms` is one decoding in the child process, "
        "pipes included, median of 20, with the extra dicom.",
        rows,
        findings,
    )


def _decoded(file: Encoded, content: bytes) -> tuple[str, Any]:
    opened = open_dicom(content, Limits(deflated=True))
    try:
        stored = decode_frames(opened)[0]
    except DicomError as error:
        named = [package for package in ("jpeg-gpl", "python-gdcm") if package in error.reason]
        return f"names {', '.join(named) or 'WRONG: nothing'}", "-"
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        decode_frames(opened)
        seconds.append(time.perf_counter() - started)
    package = decoders.decoder_for(file.syntax, file.bits).package or "pydicom"
    largest = int(np.abs(stored.astype(np.int64) - chest(file.bits)).max())
    if largest > file.loss * (2**file.bits - 1):
        said = f"WRONG by {largest}"
    else:
        said = "bit-exact" if largest == 0 else f"within {largest} of {2**file.bits - 1}"
    return f"{said} ({package})", statistics.median(seconds) * 1000
