# SPDX-License-Identifier: Apache-2.0
"""Small DICOM files in many transfer syntaxes, bombs, and mutations of files, for the tests of reading safely."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from monai_causal.dicom.structure import walk_meta

pydicom = pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from pydicom import uid as uids  # noqa: E402
from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402

CR = "1.2.840.10008.5.1.4.1.1.1"
BIG = uids.ExplicitVRBigEndian
# Encoded exactly; JPEG baseline, which is not, is made by `encoded` too.
LOSSLESS = (
    uids.ExplicitVRLittleEndian,
    uids.ImplicitVRLittleEndian,
    BIG,
    uids.DeflatedExplicitVRLittleEndian,
    uids.RLELossless,
    uids.JPEGLSLossless,
    uids.JPEG2000Lossless,
)
SYNTAXES = (*LOSSLESS, uids.JPEGBaseline8Bit)


def picture(frames: int = 1, rows: int = 40, columns: int = 33, bits: int = 12, samples: int = 1) -> np.ndarray:
    """A smooth picture with noise, ``(frames, rows, columns[, samples])``, using all bits."""
    y, x = np.mgrid[:rows, :columns]
    ramp = (y + x) / (rows + columns)
    noise = np.random.default_rng(0).random((frames, rows, columns, samples))
    values = ((0.9 * ramp[..., None] + 0.1 * noise) * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)
    return values[..., 0] if samples == 1 else values


def header(array: np.ndarray, bits: int = 12, samples: int = 1) -> Dataset:
    """A computed radiograph with these pixel values, uncompressed, little endian."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uids.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CR
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3.4"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    dataset.PatientName, dataset.PatientID, dataset.Modality = "A^B", "1", "CR"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = array.shape[1], array.shape[2], samples
    dataset.PhotometricInterpretation = "MONOCHROME2" if samples == 1 else "RGB"
    if samples > 1:
        dataset.PlanarConfiguration = 0
    dataset.NumberOfFrames = len(array)
    dataset.BitsAllocated = 8 * array.dtype.itemsize
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, int(array.dtype.kind == "i")
    dataset.WindowCenter, dataset.WindowWidth = "2000", "3000"
    dataset.ViewCodeSequence = [Dataset()]
    dataset.ViewCodeSequence[0].CodeValue = "R-10206"
    dataset.PixelData = array.tobytes() + bytes(array.nbytes % 2)
    return dataset


def written(dataset: Dataset, *, preamble: bool = True) -> bytes:
    buffer = io.BytesIO()
    if preamble:
        dataset.preamble = bytes(128)
    with pydicom.config.disable_value_validation():
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=False)
    return buffer.getvalue()


def encoded(syntax: str, array: np.ndarray | None = None, bits: int = 12) -> bytes:
    """A file of this transfer syntax."""
    if syntax == uids.JPEGBaseline8Bit:
        return _jpeg_baseline(picture(bits=8) if array is None else array)
    array = picture(bits=bits) if array is None else array
    dataset = header(array, bits, samples=1 if array.ndim == 3 else array.shape[-1])
    if syntax in (uids.RLELossless, uids.JPEGLSLossless, uids.JPEG2000Lossless):
        dataset.compress(syntax, generate_instance_uid=False)
    else:
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset["PixelData"].VR = "OW"
        if syntax == BIG:
            dataset.PixelData = array.astype(array.dtype.newbyteorder(">")).tobytes()
    return written(dataset)


def _jpeg_baseline(array: np.ndarray) -> bytes:
    image = pytest.importorskip("PIL.Image")
    frames = []
    for frame in array:
        buffer = io.BytesIO()
        image.fromarray(frame).save(buffer, format="JPEG", quality=90)
        frames.append(buffer.getvalue())
    dataset = header(array, bits=8)
    dataset.file_meta.TransferSyntaxUID = uids.JPEGBaseline8Bit
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return written(dataset)


def deflated_bomb(inflated: int = 512 * 2**20) -> bytes:
    """A deflated file of half a megabyte whose data set inflates to this many bytes, a multiple of a mebibyte."""
    start = written(_deflated_header())
    start = start[: walk_meta(start, 132)]
    length = inflated - 12
    element = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, length)
    # A fully flushed block stands for itself, so that one may be repeated instead of compressing half a gigabyte.
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    first = packer.compress(element + bytes(2**20 - 12)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + first + block * (inflated // 2**20 - 1) + packer.flush(zlib.Z_FINISH)


def _deflated_header() -> Dataset:
    dataset = header(picture())
    dataset.file_meta.TransferSyntaxUID = uids.DeflatedExplicitVRLittleEndian
    return dataset


def nested(depth: int, *, defined: bool = False, implicit: bool = False) -> bytes:
    """Sequences inside sequences, of undefined or defined length."""
    inner = b""
    for _ in range(depth):
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(inner) if defined else 0xFFFFFFFF) + inner
        item += b"" if defined else struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
        length = len(item) if defined else 0xFFFFFFFF
        head = struct.pack("<HHL", 0x0008, 0x1140, length)
        inner = (head if implicit else struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, length)) + item
        inner += b"" if defined else struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = uids.ImplicitVRLittleEndian if implicit else uids.ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta = meta
    return written(dataset) + inner


def damaged(content: bytes, generator: random.Random) -> bytes:
    """The file with one to eight bits or bytes of its last half changed, which is pixel data: most still open."""
    data = bytearray(content)
    for _ in range(generator.choice((1, 1, 2, 4, 8))):
        generator.choice((_flip, _byte))(data, generator.randrange(len(data) // 2, len(data)), generator)
    return bytes(data)


def mutated(content: bytes, generator: random.Random) -> bytes:
    """The file with one to eight changes: bits, bytes, lengths, cuts, insertions, repetitions; half in the header."""
    data = bytearray(content)
    for _ in range(generator.choice((1, 1, 2, 4, 8))):
        if len(data) < 2:
            break
        # half of the changes in the first bytes after the preamble, where a header is
        at = generator.randrange(min(128, len(data) - 1), len(data)) if generator.random() < 0.5 else None
        at = min(generator.randrange(128, 1200), len(data) - 1) if at is None else at
        generator.choice(_CHANGES)(data, at, generator)
    return bytes(data)


def _flip(data: bytearray, at: int, generator: random.Random) -> None:
    data[at] ^= 1 << generator.randrange(8)


def _byte(data: bytearray, at: int, generator: random.Random) -> None:
    data[at] = generator.choice((0, 0xFF, 0x7F, generator.randrange(256)))


def _length(data: bytearray, at: int, generator: random.Random) -> None:
    data[at : at + 4] = struct.pack("<L", generator.choice((0, 1, 0xFFFFFFFF, 0x7FFFFFFF, generator.randrange(2**32))))


def _cut(data: bytearray, at: int, generator: random.Random) -> None:
    del data[at:]


def _remove(data: bytearray, at: int, generator: random.Random) -> None:
    del data[at : at + generator.randrange(1, 64)]


def _insert(data: bytearray, at: int, generator: random.Random) -> None:
    data[at:at] = generator.randbytes(generator.randrange(1, 64))


def _repeat(data: bytearray, at: int, generator: random.Random) -> None:
    data[at:at] = data[at : at + generator.randrange(1, 256)]


_CHANGES: tuple[Callable[[bytearray, int, random.Random], None], ...] = (
    *(_flip, _flip, _byte, _byte, _length),
    *(_cut, _remove, _insert, _repeat),
)
