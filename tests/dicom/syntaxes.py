# SPDX-License-Identifier: Apache-2.0
"""One small computed radiograph in every transfer syntax, and how exactly each keeps it.

What no Python package of the extra 'dicom' encodes lies in ``tests/data/dicom``; the rest is encoded here.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from pydicom import dcmread
from pydicom import uid as uids

from tests.dicom.encodings import radiograph, written

FOLDER = Path(__file__).resolve().parents[1] / "data" / "dicom"
ROWS, COLUMNS = 48, 64


def chest(bits: int = 16) -> np.ndarray:
    """Two dark lungs, a light spine and heart, noise in the low bits; 0 and the highest value occur.

    Whole numbers throughout, so that every machine computes the same picture.
    """
    y, x = np.mgrid[:ROWS, :COLUMNS].astype(np.int64)
    grey = 600 + 4 * y - 3 * np.abs(x - 32)
    for centre in (18, 46):
        grey -= np.maximum(0, 420 - ((y - 22) ** 2 + 4 * (x - centre) ** 2))
    grey += np.maximum(0, 60 - 8 * np.abs(x - 32)) + np.maximum(0, 200 - 2 * ((y - 30) ** 2 + (x - 38) ** 2))
    low, high = int(grey.min()), int(grey.max())
    values = (grey - low) * (2**bits - 1) // (high - low)
    noise = (37 * x + 101 * y + 7 * x * y) % 2 ** (bits - 7)
    values = np.clip(values + noise, 0, 2**bits - 1)
    values[0, :2] = 0, 2**bits - 1
    return values.astype(np.uint8 if bits <= 8 else np.uint16)


def plain(bits: int = 16, syntax: uids.UID = uids.ExplicitVRLittleEndian) -> bytes:
    """The uncompressed file."""
    return written(radiograph(chest(bits), bits, WindowCenter=2 ** (bits - 1), WindowWidth=2**bits), syntax)


class Encoded(NamedTuple):
    """A file of a transfer syntax: its bits, and by how much a stored value may differ, as a share of the range."""

    syntax: str
    bits: int
    loss: float
    content: Callable[[], bytes]


def _kept(name: str) -> Callable[[], bytes]:
    return (FOLDER / f"{name}.dcm").read_bytes


def _compressed(syntax: uids.UID, bits: int = 16, **options: list[float]) -> Callable[[], bytes]:
    def content() -> bytes:
        ds = dcmread(io.BytesIO(plain(bits)))
        ds.compress(syntax, generate_instance_uid=False, **options)
        return written(ds, syntax)

    return content


_NEAR = 2  # what dcmcjpls was told: no value differs by more

FILES: dict[str, Encoded] = {
    "implicit little endian": Encoded(
        uids.ImplicitVRLittleEndian, 16, 0, lambda: plain(16, uids.ImplicitVRLittleEndian)
    ),
    "explicit little endian": Encoded(uids.ExplicitVRLittleEndian, 16, 0, plain),
    "explicit big endian": Encoded(uids.ExplicitVRBigEndian, 16, 0, lambda: plain(16, uids.ExplicitVRBigEndian)),
    "deflated": Encoded(
        uids.DeflatedExplicitVRLittleEndian, 16, 0, lambda: plain(16, uids.DeflatedExplicitVRLittleEndian)
    ),
    "RLE": Encoded(uids.RLELossless, 16, 0, _compressed(uids.RLELossless)),
    "JPEG baseline": Encoded(uids.JPEGBaseline8Bit, 8, 0.03, _kept("jpeg-baseline")),
    "JPEG extended, 12 bits": Encoded(uids.JPEGExtended12Bit, 12, 0.003, _kept("jpeg-extended")),
    "JPEG lossless": Encoded(uids.JPEGLossless, 16, 0, _kept("jpeg-lossless")),
    "JPEG lossless, first order": Encoded(uids.JPEGLosslessSV1, 16, 0, _kept("jpeg-lossless-sv1")),
    "JPEG-LS": Encoded(uids.JPEGLSLossless, 16, 0, _kept("jpeg-ls")),
    "JPEG-LS near-lossless": Encoded(uids.JPEGLSNearLossless, 12, _NEAR / 4095, _kept("jpeg-ls-near")),
    "JPEG 2000 lossless": Encoded(uids.JPEG2000Lossless, 16, 0, _compressed(uids.JPEG2000Lossless)),
    "JPEG 2000": Encoded(uids.JPEG2000, 16, 0.005, _compressed(uids.JPEG2000, j2k_cr=[4])),
    "HTJ2K lossless": Encoded(uids.HTJ2KLossless, 16, 0, _kept("htj2k-lossless")),
    "HTJ2K lossless, RPCL": Encoded(uids.HTJ2KLosslessRPCL, 16, 0, _kept("htj2k-lossless-rpcl")),
    "HTJ2K": Encoded(uids.HTJ2K, 16, 0.01, _kept("htj2k")),
}
