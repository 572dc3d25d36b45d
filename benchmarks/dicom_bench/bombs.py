# SPDX-License-Identifier: Apache-2.0
"""Files made to exhaust their reader: are they refused, how soon, and what did it cost?"""

from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bench_page import Section

from dicom_bench.alone import measured
from tests.dicom.samples import (
    deflated_bomb,
    encapsulate,
    encoded,
    header,
    nested,
    picture,
    pydicom,
    uids,
    written,
)

__all__ = ["NAME", "run"]

NAME = "bombs"
SECONDS, MIB = 2.0, 300.0
HUGE = (
    uids.ExplicitVRLittleEndian,
    uids.RLELossless,
    uids.JPEG2000Lossless,
    uids.JPEGLSLossless,
    uids.JPEGBaseline8Bit,
)


def run(options: Any) -> Section:
    """Read every bomb in a process of its own."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bomb.dcm"
        for name, (make, limits) in _bombs(options.quick).items():
            content = make()
            path.write_bytes(content)
            found = measured(path, **limits)
            rows.append(
                {
                    "bomb": name,
                    "bytes": len(content),
                    "seconds": found["whole_seconds"],
                    "CPU seconds": found["cpu_seconds"],
                    "MiB above idle": found["parent_mib"],
                    "MiB above idle, child": found["child_mib"],
                    "said": found["said"],
                }
            )
    read = [row for row in rows if row["said"] == "read"]
    over = [
        row["bomb"]
        for row in rows
        if row not in read
        and (row["CPU seconds"] > SECONDS or row["MiB above idle"] + row["MiB above idle, child"] > MIB)
    ]
    return Section(
        NAME,
        "Bombs",
        f"Each is read once by `read_projection` in a process of its own. Pass: refused within {SECONDS:g} CPU "
        f"seconds and {MIB:g} MiB above the idle process, its decoding child included in both (what passes on the "
        "clock depends on who else is at work). The last file is no bomb but the costliest "
        "kind that the default limits let through: nearly 64 million pixels in a few bytes.",
        rows,
        [
            f"{'missed: ' + ', '.join(over) if over else 'reached: every bomb is refused within the bounds'}.",
            f"{len(rows) - len(read)} refused, {len(read)} read.",
            f"slowest refusal {max(row['CPU seconds'] for row in rows if row not in read):.2f} CPU seconds, "
            f"{max(row['seconds'] for row in rows if row not in read):.2f} s on the clock; most memory of one "
            f"{max(row['MiB above idle'] + row['MiB above idle, child'] for row in rows if row not in read):.0f} MiB.",
        ],
    )


def _bombs(quick: bool) -> dict[str, tuple[Callable[[], bytes], dict[str, Any]]]:
    bombs: dict[str, tuple[Callable[[], bytes], dict[str, Any]]] = {
        "deflated, inflates to 512 MiB": (deflated_bomb, {}),
        "the same, deflated files allowed": (deflated_bomb, {"deflated": True}),
    }
    for syntax in HUGE:
        bombs[f"header of 65,535 x 65,535, {uids.UID(syntax).name}"] = (partial(_huge, syntax), {})
    for words, options in {"": {}, ", lengths": {"defined": True}, ", implicit": {"implicit": True}}.items():
        bombs[f"300 nested sequences{words}"] = (partial(nested, 300, **options), {})
    bombs["2 million data elements"] = (partial(_many, 2_000_000), {})
    bombs["64 MiB of text"] = (partial(_text, 64), {})
    bombs["JPEG 2000 stream of 60,000 x 60,000, header of 40 x 33"] = (_stream, {})
    side = 2000 if quick else 8000
    bombs[f"black, {side:,} x {side:,}, JPEG 2000"] = (partial(_black, side), {})
    return bombs


def _huge(syntax: str) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(encoded(syntax)))
    dataset.Rows = dataset.Columns = 65535
    return written(dataset)


def _many(count: int) -> bytes:
    """Empty private elements after the header."""
    dataset = header(picture())
    del dataset.PixelData
    start = written(dataset)
    groups = range(0x0029, 0x7FE0, 2)
    elements = (
        struct.pack("<HH2sH", group, element, b"LO", 0) for group in groups for element in range(0x1000, 0xFFFF)
    )
    return start + b"".join(element for element, _ in zip(elements, range(count), strict=False))


def _text(mib: int) -> bytes:
    """One attribute of text: a million numbers written out."""
    dataset = header(picture())
    del dataset.PixelData
    value = b"1\\" * (mib * 2**19 - 1) + b"1 "
    return written(dataset) + struct.pack("<HH2sHL", 0x0029, 0x1010, b"UT", 0, len(value)) + value


def _stream() -> bytes:
    """The stream's own header (SIZ) announces a huge picture; the file's does not."""
    dataset = pydicom.dcmread(io.BytesIO(encoded(uids.JPEG2000Lossless)))
    stream = bytearray(next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)))
    size = stream.index(b"\xff\x51") + 6
    for offset in (0, 4, 16, 20):  # Xsiz, Ysiz, XTsiz, YTsiz
        stream[size + offset : size + offset + 4] = struct.pack(">L", 60_000)
    dataset.PixelData = encapsulate([bytes(stream)])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    return written(dataset)


def _black(side: int) -> bytes:
    return encoded(uids.JPEG2000Lossless, np.zeros((1, side, side), np.uint8), bits=8)
