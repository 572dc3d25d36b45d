# SPDX-License-Identifier: Apache-2.0
"""One picture in many encodings: our reader and two others against the standard's pipeline, written slowly."""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench_page import Section

from monai_causal.dicom import DicomError, Limits, read_projection
from tests.dicom.encodings import ENCODINGS, every_value, picture, radiograph, reference, written

__all__ = ["NAME", "run"]

NAME = "encodings"
HIGHDICOM, PLAIN, VOI = "highdicom", "torchxrayvision", "torchxrayvision, voi_lut"


def run(options: Any) -> Section:
    """Errors of every reader on every encoding."""
    cells = picture() if options.quick else every_value()
    files = {name: (written(make(cells)), _upright(name, make(cells))) for name, (make, _) in ENCODINGS.items()}
    two = radiograph(np.stack([cells, cells]), NumberOfFrames=2)
    empty = radiograph(cells)
    empty["WindowCenter"].value = None
    files |= {
        "no preamble, no meta information": (written(radiograph(cells), preamble=False), reference(radiograph(cells))),
        "two frames": (written(two), None),
        "WindowCenter empty": (written(empty), None),
    }
    rows = []
    for name, (file, shown) in files.items():
        row = {"encoding": name, "ours": _ours(file, shown)}
        for reader, read in ((HIGHDICOM, _highdicom), (PLAIN, _xrv(False)), (VOI, _xrv(True))):
            row[reader] = _error(read, file, shown)
        rows.append(row)
    judged = [row for row in rows if row["encoding"] in ENCODINGS]
    exact = sum(row["ours"] == 0 for row in judged)
    theirs = [row for row in judged if row[HIGHDICOM] == 0]
    return Section(
        NAME,
        "One picture in many encodings",
        f"A picture of {cells.shape[0]}x{cells.shape[1]} pixels with {'some' if options.quick else 'all'} values of 12 "
        f"bits, in {len(ENCODINGS)} encodings; the last three rows are a file that lacks its beginning and two that "
        "have no one right picture. The reference follows PS3.3 pixel by pixel in exact fractions "
        "(`tests/dicom/encodings.py`), upright, padding black; the figures are the largest difference on a scale from "
        "0 to 1, or the kind of exception. torchxrayvision's values are brought from its -1024..1024 to 0..1, in "
        "float32, so that what is below 1e-6 counts as none. Nobody but us turns a picture upright. Pass: ours is 0 on "
        "every encoding, and equal to highdicom wherever that is 0.",
        rows,
        [
            f"{'reached' if exact == len(judged) else 'missed'}: ours is exactly 0 on {exact} of {len(judged)}.",
            f"highdicom is exactly 0 on {len(theirs)} of {len(judged)}; there ours equals it on "
            f"{sum(row['ours'] == 0 for row in theirs)}.",
            *(
                f"{name}: within 1e-6 on {sum(_right(row[name]) for row in judged)} of {len(judged)}."
                for name in (PLAIN, VOI)
            ),
        ],
    )


def _right(error: Any) -> bool:
    return isinstance(error, float) and error < 1e-6


def _upright(name: str, ds: Any) -> np.ndarray:
    shown = reference(ds)
    return shown[:, ::-1] if name.startswith("flipped") else shown


def _ours(file: bytes, shown: np.ndarray | None) -> Any:
    try:
        projection = read_projection(file, Limits(without_preamble=True))
    except DicomError as error:
        return f"refused: {error.reason}"
    if shown is None:
        return f"{projection.provenance.voi}: " + ", ".join(remark.code for remark in projection.remarks)
    return _largest(projection.pixels, shown)


def _highdicom(file: bytes) -> np.ndarray:
    import highdicom

    image = highdicom.imread(io.BytesIO(file))
    return image.get_frame(1, apply_voi_transform=None, dtype=np.float64).astype(np.float32)


def _xrv(voi_lut: bool) -> Callable[[bytes], np.ndarray]:
    def read(file: bytes) -> np.ndarray:
        from torchxrayvision.utils import read_xray_dcm

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file.dcm"
            path.write_bytes(file)
            return (read_xray_dcm(path, voi_lut=voi_lut) + 1024) / 2048

    return read


def _error(read: Callable[[bytes], np.ndarray], file: bytes, shown: np.ndarray | None) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = read(file)
    except ModuleNotFoundError:
        return "not installed"
    except Exception as error:
        return type(error).__name__
    if shown is None:
        return f"a picture of {' x '.join(map(str, found.shape))}"
    return _largest(found, shown)


def _largest(found: np.ndarray, shown: np.ndarray) -> Any:
    return float(np.abs(found.astype(np.float64) - shown).max()) if found.shape == shown.shape else "another shape"
