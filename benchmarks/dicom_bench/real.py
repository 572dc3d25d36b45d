# SPDX-License-Identifier: Apache-2.0
"""Four public files of real radiographs: what the reader makes of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from bench_page import Section
from PIL import Image

from dicom_bench.packages import only
from monai_causal.dicom import read_projection

__all__ = ["NAME", "run"]

NAME = "real"
PLAN = (
    "The DICOM files of a folder that is not part of this repository (`--data`), named by digest, with the decoders of "
    "the extra dicom; the second of two readings is timed. Pass: each is read, and looks right to the eye (`--pictures`"
    " writes them as PNG)."
)


def run(options: Any) -> Section:
    """Read every file of a folder."""
    rows = []
    for path in sorted(options.data.glob("*.dcm")):
        with only():
            read_projection(path)
            started = time.perf_counter()
            projection = read_projection(path)
            seconds = time.perf_counter() - started
        made = projection.provenance
        kind = f" ({projection.spacing_kind})" if projection.spacing else projection.spacing_kind
        rows.append(
            {
                "file": made.file_sha256[:12],
                "size": " x ".join(map(str, projection.pixels.shape)),
                "transfer syntax": made.transfer_syntax.removeprefix("1.2.840.10008."),
                "decoder": made.decoder,
                "grey": f"{made.modality}, {made.voi}" + (", inverted" if made.inverted else ""),
                "view": projection.view or "-",
                "orientation": made.orientation,
                "spacing, mm": " x ".join(f"{value:.3g}" for value in projection.spacing or ()) + kind,
                "left out": made.left_out,
                "remarks": ", ".join(remark.code for remark in projection.remarks) or "-",
                "seconds": seconds,
            }
        )
        if options.pictures:
            options.pictures.mkdir(parents=True, exist_ok=True)
            grey = Image.fromarray(np.rint(projection.pixels * 255).astype(np.uint8))
            grey.save(Path(options.pictures) / f"{made.file_sha256[:12]}.png")
    findings = [f"{'reached' if rows else 'missed'}: {len(rows)} files are read."]
    return Section(NAME, "Real files", PLAN, rows or [{"file": "none there"}], findings)
