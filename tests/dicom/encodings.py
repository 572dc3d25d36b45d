# SPDX-License-Identifier: Apache-2.0
"""One picture in many encodings, and the grey pipeline written slowly from the text of PS3.3, pixel by pixel."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

ROWS, COLUMNS = 13, 11


def picture() -> np.ndarray:
    """12 bits, every region of the range, black and white included."""
    values = np.random.default_rng(7).integers(0, 4096, (ROWS, COLUMNS))
    values[0, :6] = [0, 4095, 2047, 2048, 1, 4094]
    return values.astype(np.uint16)


def radiograph(cells: np.ndarray | None = None, bits: int = 12, **values: Any) -> Dataset:
    """A CR of these cells (uint8, uint16 or their signed kin); values of None take an attribute away."""
    cells = picture() if cells is None else cells
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.826.0.1.3680043.10.1.1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.826.0.1.3680043.10.1.2", "1.2.826.0.1.3680043.10.1.3"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20200101", "120000", "1", "1"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Nobody", "1", "", "O"
    ds.ReferringPhysicianName, ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "", "CR", 1, 1
    ds.ViewPosition, ds.PatientOrientation, ds.BurnedInAnnotation = "PA", ["L", "F"], "NO"
    ds.ImagerPixelSpacing = [0.2, 0.2]
    ds.Rows, ds.Columns = cells.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * cells.itemsize, bits, bits - 1
    ds.PixelRepresentation = int(cells.dtype.kind == "i")
    ds.WindowCenter, ds.WindowWidth = 2000, 3001
    for keyword, value in values.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    ds.PixelData = cells.tobytes() + b"\0" * (cells.nbytes % 2)
    ds["PixelData"].VR = "OW"
    return ds


def lut(entries: Any, first: int, bits: int, explanation: str = "") -> Dataset:
    """An item of a LUT sequence with 16-bit words; ``first`` in the VR that it needs."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 65536, first, bits])
    item.LUTExplanation = explanation
    item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    return item


def written(ds: Dataset, syntax: UID = ExplicitVRLittleEndian, preamble: bool = True) -> bytes:
    """The bytes of a file."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = syntax, ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta = meta
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    buffer = io.BytesIO()
    if preamble:
        dcmwrite(buffer, ds, enforce_file_format=True)
    else:
        plain = Dataset(ds)
        plain.file_meta = FileMetaDataset()
        dcmwrite(buffer, plain, implicit_vr=True, little_endian=True)
    return buffer.getvalue()


def reference(ds: Dataset) -> np.ndarray:
    """What a calibrated display shows, by the text of PS3.3 and with exact fractions; the stored rows and columns.

    Padding, which the standard takes out of this pipeline, is black.
    """
    cells = np.frombuffer(ds.PixelData, f"<u{ds.BitsAllocated // 8}")[: ds.Rows * ds.Columns].tolist()
    shown = [one_pixel(cell, ds) for cell in cells]
    return np.array(shown, np.float64).reshape(ds.Rows, ds.Columns).astype(np.float32)


def one_pixel(cell: int, ds: Dataset) -> float:
    value: Any = 0
    for bit in range(ds.BitsStored):
        if cell >> (ds.HighBit - ds.BitsStored + 1 + bit) & 1:
            weight = 2**bit
            value += -weight if ds.PixelRepresentation == 1 and bit == ds.BitsStored - 1 else weight
    if "PixelPaddingValue" in ds:
        ends = sorted((ds.PixelPaddingValue, ds.get("PixelPaddingRangeLimit", ds.PixelPaddingValue)))
        if ends[0] <= value <= ends[1]:
            return 0
    if "ModalityLUTSequence" in ds:
        value = entry(value, ds.ModalityLUTSequence[0])
    elif "RescaleSlope" in ds:
        slope = 1 if ds.RescaleSlope is None else ds.RescaleSlope
        value = Fraction(str(slope)) * value + Fraction(str(ds.RescaleIntercept))
    y = values_of_interest(value, ds)
    shape = ds.get("PresentationLUTShape")
    inverted = shape == "INVERSE" if shape else ds.PhotometricInterpretation == "MONOCHROME1"
    return float(1 - y if inverted else y)


def values_of_interest(x: Any, ds: Dataset) -> Any:
    if "VOILUTSequence" in ds:
        item = ds.VOILUTSequence[0]
        return Fraction(entry(x, item), 2 ** item.LUTDescriptor[2] - 1)
    many = isinstance(ds.WindowCenter, (list, tuple)) or hasattr(ds.WindowCenter, "append")
    c, w = (Fraction(str(v[0] if many else v)) for v in (ds.WindowCenter, ds.WindowWidth))
    function = ds.get("VOILUTFunction", "LINEAR")
    if function == "SIGMOID":
        return 1 / (1 + math.exp(-4 * float((x - c) / w)))
    half = Fraction(1, 2)
    if function == "LINEAR":
        if x <= c - half - (w - 1) / 2:
            return 0
        if x > c - half + (w - 1) / 2:
            return 1
        return (x - (c - half)) / (w - 1) + half
    if x <= c - w / 2:
        return 0
    if x > c + w / 2:
        return 1
    return (x - c) / w + half


def entry(x: Any, item: Dataset) -> int:
    count, first, _ = item.LUTDescriptor
    words = words_of(item.LUTData)
    count = count or 65536
    return words[min(max(int(x) - first, 0), count - 1)]


@functools.cache
def words_of(data: bytes) -> list[int]:
    return np.frombuffer(data, "<u2").tolist()


def curve(count: int, bits: int) -> np.ndarray:
    """A gamma curve as a lookup table's entries."""
    return np.round((np.arange(count) / (count - 1)) ** 1.7 * (2**bits - 1))


def every_value() -> np.ndarray:
    """All values of 12 bits in some order, and some once more: an odd number of rows and of columns."""
    rng = np.random.default_rng(8)
    values = np.r_[rng.permutation(4096), rng.integers(0, 4096, 67 * 63 - 4096)]
    return values.reshape(67, 63).astype(np.uint16)


def _padded(cells: np.ndarray) -> Dataset:
    cells = cells.copy()
    cells[:2], cells[:, -1] = 4095, 4095
    return radiograph(cells, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=4095)


def _padded_bright(cells: np.ndarray) -> Dataset:
    cells = cells.copy()
    cells[:2], cells[:, -1] = 4095, 4095
    return radiograph(cells, PixelPaddingValue=4095, PixelPaddingRangeLimit=4090)


def _signed(cells: np.ndarray) -> Dataset:
    return radiograph(cells.astype(np.int16) - 2048, 12, WindowCenter=-48)


def _dx(cells: np.ndarray, **values: Any) -> Dataset:
    sop_class = "1.2.840.10008.5.1.4.1.1.1.1"
    return radiograph(cells, SOPClassUID=sop_class, Modality="DX", PresentationIntentType="FOR PRESENTATION", **values)


def _empty(cells: np.ndarray, keyword: str) -> Dataset:
    ds = radiograph(cells, RescaleSlope=1, RescaleIntercept=0)
    ds[keyword].value = None
    return ds


def _overlay(cells: np.ndarray) -> Dataset:
    """Every third pixel has something in bit 15, as old files keep overlays there."""
    return radiograph(cells | (np.arange(cells.size).reshape(cells.shape) % 3 == 0) * np.uint16(0x8000))


def _twelve_of_sixteen(cells: np.ndarray) -> Dataset:
    """Signed, 12 bits in 16, the four bits above full of something else."""
    values = cells.astype(np.int32) - 2048
    full = ((values & 0x0FFF) | 0xA000).astype(np.uint16)
    return radiograph(full.view(np.int16), 12, WindowCenter=-48)


def _voi(cells: np.ndarray, item: Dataset, bits: int = 12) -> Dataset:
    return radiograph(cells, bits, WindowCenter=None, WindowWidth=None, VOILUTSequence=[item])


def modality(item: Dataset) -> Dataset:
    item.ModalityLUTType = "US"
    return item


RAMP = curve(4096, 16)

# name: (data set of a picture of 12 bits, does highdicom 0.28.2 show it as the standard says?). False: another picture,
# or an exception.
ENCODINGS: dict[str, tuple[Callable[[np.ndarray], Dataset], bool]] = {
    "MONOCHROME2, window": (radiograph, True),
    "MONOCHROME1, window": (lambda cells: radiograph(cells, PhotometricInterpretation="MONOCHROME1"), True),
    "rescale": (lambda cells: radiograph(cells, RescaleSlope=1, RescaleIntercept=-100, RescaleType="US"), True),
    # highdicom divides center and width by the slope, but not the 0.5 and the 1 that LINEAR takes off them.
    "rescale, slope 1.5": (
        lambda cells: radiograph(cells, RescaleSlope=1.5, RescaleIntercept=-100, RescaleType="US"),
        False,
    ),
    "MONOCHROME1, rescale": (
        lambda cells: radiograph(cells, RescaleSlope=1, RescaleIntercept=-512, PhotometricInterpretation="MONOCHROME1"),
        True,
    ),
    "signed": (_signed, True),
    "VOI LUT": (lambda cells: _voi(cells, lut(RAMP, 0, 16)), True),
    # 12 bits is what DX demands of a table (10 to 16); highdicom takes 8 and 16 only.
    "VOI LUT of 12 bits": (lambda cells: _dx(cells, VOILUTSequence=[lut(curve(4096, 12), 0, 12)]), False),
    "VOI LUT, misleading window": (
        lambda cells: radiograph(cells, WindowCenter=9000, WindowWidth=2, VOILUTSequence=[lut(RAMP, 0, 16)]),
        True,
    ),
    "DX MONOCHROME1, INVERSE": (
        lambda cells: _dx(cells, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE"),
        True,
    ),
    "DX MONOCHROME2, INVERSE": (lambda cells: _dx(cells, PresentationLUTShape="INVERSE"), True),
    "DX MONOCHROME1, IDENTITY": (
        lambda cells: _dx(cells, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="IDENTITY"),
        True,
    ),
    "padding border, MONOCHROME1": (_padded, True),
    # Padding stands outside the grey pipeline; highdicom does not look at it.
    "padding border at the bright end": (_padded_bright, False),
    "overlay in bit 15": (_overlay, False),
    "flipped, R\\F": (
        lambda cells: radiograph(np.ascontiguousarray(cells[:, ::-1]), PatientOrientation=["R", "F"]),
        False,
    ),
    "RescaleSlope empty": (lambda cells: _empty(cells, "RescaleSlope"), True),
    "LINEAR_EXACT": (lambda cells: radiograph(cells, VOILUTFunction="LINEAR_EXACT"), True),
    "SIGMOID": (lambda cells: radiograph(cells, VOILUTFunction="SIGMOID"), True),
    "window of width 1": (lambda cells: radiograph(cells, WindowCenter=2048, WindowWidth=1), True),
    "VOI LUT, signed input, 65536 entries": (
        lambda cells: _voi(
            (cells.astype(np.int32) * 16 - 32768).astype(np.int16), lut(curve(65536, 16), -32768, 16), bits=16
        ),
        False,
    ),
    "modality LUT": (
        lambda cells: radiograph(
            cells,
            ModalityLUTSequence=[modality(lut(4095 - np.arange(4096), 0, 16))],
            WindowCenter=2100,
            WindowWidth=2000,
        ),
        True,
    ),
    "signed 12 bits, 4 bits of something else": (_twelve_of_sixteen, False),
}


SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
