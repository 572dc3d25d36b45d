# SPDX-License-Identifier: Apache-2.0
"""What a radiograph of full size costs to read."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench_page import Section

from dicom_bench.alone import measured
from tests.dicom.samples import encoded, picture, uids

__all__ = ["NAME", "run"]

NAME = "large"
SYNTAXES = (uids.ExplicitVRLittleEndian, uids.RLELossless, uids.JPEGLSLossless, uids.JPEG2000Lossless)


def run(options: Any) -> Section:
    """Time and memory for one picture in four transfer syntaxes."""
    rows_, columns = (300, 250) if options.quick else (3000, 2500)
    array = picture(rows=rows_, columns=columns)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.dcm"
        for syntax in SYNTAXES:
            content = encoded(syntax, array)
            path.write_bytes(content)
            found = measured(path, repeats=3)
            assert found["said"] == "read", found
            rows.append(
                {
                    "transfer syntax": uids.UID(syntax).name,
                    "file, MB": len(content) / 1e6,
                    "open, s": found["open_seconds"],
                    "decode, s": found["decode_seconds"],
                    "read_projection, s": found["whole_seconds"],
                    "CPU s": found["cpu_seconds"],
                    "MiB above idle": found["parent_mib"],
                    "MiB above idle, child": found["child_mib"],
                }
            )
    return Section(
        NAME,
        f"A radiograph of {rows_:,} x {columns:,}",
        "12 bits in 16, a ramp with a tenth of noise, which compresses badly. Each in a process of its own, the median "
        "of three readings after a small file was read; `read_projection` includes opening and decoding; its CPU "
        "seconds, those of the decoding child included, leave opening out. The picture "
        f"that comes out takes {rows_ * columns * 4 / 2**20:.1f} MiB. Nothing was promised; the figures are to be "
        "known.",
        rows,
        [
            f"{row['transfer syntax']}: {row['read_projection, s']:.2f} s ({row['CPU s']:.2f} CPU seconds), of which "
            f"decoding {row['decode, s']:.2f} s."
            for row in rows
        ],
    )
