# SPDX-License-Identifier: Apache-2.0
"""Open a DICOM file that comes from outside: everything that can be checked is checked before anything is decoded.

The order matters. Size, then structure (:mod:`~monai_causal.dicom.structure`, which builds no objects), then pydicom
for the header alone, then what the header says of the pixel data against the pixel data that are there. Decoding is
another module's work (:mod:`~monai_causal.dicom.decoding`).
"""

from __future__ import annotations

import copy
import errno
import hashlib
import io
import os
import re
import stat
import zlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from monai_causal.dicom.errors import DicomError, guarded, quiet
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.structure import PIXELS, PixelValue, Skeleton, walk, walk_meta
from monai_causal.extras import require

__all__ = ["DicomError", "Limits", "OpenedFile", "PixelFormat", "guarded", "open_dicom", "quiet", "syntax_name"]

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
NATIVE = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED)
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"

_PREAMBLE = 128
_UID = re.compile(r"[0-9.]{1,64}")
_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_CONVERTED = ("DS", "IS", "US", "SS", "UL", "SL", "FL", "FD", "SQ")
_INFLATE_STEP = 2**20


class PixelFormat(NamedTuple):
    """What the header says of the pixel data, checked against what is there."""

    frames: int
    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    planar: bool
    photometric: str


@dataclass(frozen=True, eq=False, repr=False)
class OpenedFile:
    """A file that passed the checks.

    ``dataset`` holds the header, every value converted; it has no pixel data, which
    :func:`~monai_causal.dicom.decoding.decode_frames` reads. What could not be converted has been left out and stands
    in ``remarks``. ``pixels`` is None for an object without integer pixel data, such as a report.
    """

    dataset: Any
    digest: str
    transfer_syntax: str
    size: int
    pixels: PixelFormat | None
    remarks: tuple[str, ...]
    _data: bytes | bytearray = field(default=b"")
    _value: PixelValue | None = None

    @property
    def item(self) -> str:
        """How messages name this file."""
        return _item(self.digest)

    def __repr__(self) -> str:  # a data set in a log or a traceback would be the patient's
        return f"OpenedFile({self.digest[:12]}, {syntax_name(self.transfer_syntax)}, {self.size} bytes)"


def open_dicom(source: str | os.PathLike[str] | bytes | Any, limits: Limits | None = None) -> OpenedFile:
    """Check a DICOM file and read its header.

    Args:
        source: path, content, or a pydicom ``Dataset`` (which is written to memory and then judged like any file).
        limits: what it may ask for; :class:`~monai_causal.dicom.limits.Limits` for a projection radiograph by default.

    Raises:
        DicomError: the one error for anything that is wrong with the file, also that it is not there.

    Example:
        >>> open_dicom(b"not DICOM, as anybody can see")
        Traceback (most recent call last):
        ...
        monai_causal.dicom.errors.DicomError: DICOM file 2e7118c9fa8c: it is no DICOM file (no preamble)
    """
    limits = limits or Limits()
    require("pydicom")
    content = _content(source, limits)
    digest = hashlib.sha256(content).hexdigest()
    # The guard is for what no check foresees; it names the kind of the exception, so a bug of ours does not hide in it.
    with guarded("reading it", item=_item(digest)):
        return _open(content, digest, limits)


def syntax_name(uid: str) -> str:
    """Name and number of a transfer syntax, as messages show it.

    Example:
        >>> syntax_name("1.2.840.10008.1.2.5")
        'RLE Lossless (1.2.840.10008.1.2.5)'
    """
    name = require("pydicom.uid").UID_dictionary.get(uid)
    return f"{name[0]} ({uid})" if name else f"an unknown one ({uid})"


def _item(digest: str) -> str:
    return f"DICOM file {digest[:12]}"


def _content(source: Any, limits: Limits) -> bytes:
    if isinstance(source, (bytes, bytearray, memoryview)):
        content = bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        content = _file_content(source, limits)
    elif isinstance(source, require("pydicom").Dataset):
        content = _written(source)
    else:
        raise TypeError(f"a DICOM file is a path, bytes or a pydicom Dataset, not {type(source).__name__}.")
    if len(content) > limits.file_bytes:
        raise DicomError(f"the file is larger than {limits.file_bytes} bytes (Limits.file_bytes)")
    if not content:
        raise DicomError("the file is empty")
    return content


def _file_content(path: str | os.PathLike[str], limits: Limits) -> bytes:
    """Read a regular file up to one byte more than allowed. A pipe would block, a device would never end."""
    problem = None
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                # checked again by the caller: a file may grow while it is read
                return file.read(limits.file_bytes + 1)
            problem = "it is no regular file"
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        code = error.errno if isinstance(error, OSError) else None
        problem = errno.errorcode.get(code, "error") if code else type(error).__name__
    raise DicomError(f"the file cannot be read: {problem}")


def _written(dataset: Any) -> bytes:
    """A data set in memory as the bytes of a file, so that there is one way in and one digest."""
    with guarded("writing the data set to memory"):
        pydicom = require("pydicom")
        plain = copy.copy(dataset)
        meta = copy.copy(getattr(dataset, "file_meta", None)) or pydicom.dataset.FileMetaDataset()
        if "TransferSyntaxUID" not in meta:
            implicit, little = dataset.original_encoding
            meta.TransferSyntaxUID = {(True, True): IMPLICIT_LITTLE, (False, False): EXPLICIT_BIG}.get(
                (implicit, little), EXPLICIT_LITTLE
            )
        plain.file_meta = meta
        if not getattr(plain, "preamble", None):
            plain.preamble = bytes(_PREAMBLE)
        buffer = io.BytesIO()
        pydicom.dcmwrite(buffer, plain, enforce_file_format=False)
        return buffer.getvalue()


def _open(content: bytes, digest: str, limits: Limits) -> OpenedFile:
    meta, start, syntax = _meta(content, limits)
    data: bytes | bytearray = content
    if syntax == DEFLATED:
        data, start = _inflated(content, start, limits), 0
    skeleton = walk(data, start, little=syntax != EXPLICIT_BIG, limits=limits)
    if skeleton.elements == 0:
        raise DicomError("it holds no data")
    dataset, remarks = _header(data, start, skeleton, syntax)
    dataset.file_meta = meta
    _check_uids(dataset)
    value = skeleton.pixels
    pixels = None
    if value is not None and value.tag == PIXELS:
        pixels = _pixel_format(dataset, value, syntax, limits)
    return OpenedFile(dataset, digest, syntax, len(content), pixels, remarks, data, value)


def _meta(content: bytes, limits: Limits) -> tuple[Any, int, str]:
    """File meta information, where the data set begins, and the transfer syntax."""
    start = _PREAMBLE + 4
    if content[_PREAMBLE:start] != b"DICM":
        if not limits.without_preamble or content[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
            raise DicomError("it is no DICOM file (no preamble)")
        start = 0
    end = walk_meta(content, start)
    filereader, uids = require("pydicom.filereader"), require("pydicom.uid")
    meta = require("pydicom.dataset").FileMetaDataset(
        filereader.read_dataset(io.BytesIO(content[start:end]), is_implicit_VR=False, is_little_endian=True)
    )
    _settle(meta, [])
    named = str(meta.get("TransferSyntaxUID") or "").strip(" \0")
    if not named:
        if start or end:
            raise DicomError("its file meta information names no transfer syntax")
        named = _guessed_syntax(content)
        meta.TransferSyntaxUID = named
    if not _UID.fullmatch(named):
        raise DicomError("its transfer syntax is no UID")
    if named not in NATIVE and not uids.UID(named).is_transfer_syntax:
        raise DicomError(f"its transfer syntax is unknown: {named}")
    if uids.UID(named).is_deflated and named != DEFLATED:
        raise DicomError(f"its transfer syntax is not read here: {syntax_name(named)}")
    return meta, end, named


def _guessed_syntax(content: bytes) -> str:
    """The transfer syntax of a bare data set, which has to be one of the uncompressed ones."""
    if content[:2] == b"\x00\x08":
        return EXPLICIT_BIG
    return EXPLICIT_LITTLE if content[4:6].isalpha() and content[4:6].isupper() else IMPLICIT_LITTLE


def _inflated(content: bytes, start: int, limits: Limits) -> bytearray:
    if not limits.deflated:
        raise DicomError(
            f"its transfer syntax is {syntax_name(DEFLATED)}, refused because a small file may inflate to a huge one; "
            "Limits(deflated=True) reads it, up to Limits.inflated_bytes"
        )
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    inflated = bytearray()
    rest = memoryview(content)[start:]
    while not inflater.eof:
        step = inflater.decompress(rest, _INFLATE_STEP)
        inflated += step
        if len(inflated) > limits.inflated_bytes:
            raise DicomError(f"it inflates to more than {limits.inflated_bytes} bytes (Limits.inflated_bytes)")
        rest = memoryview(inflater.unconsumed_tail)
        if not step and not rest:
            raise DicomError("its deflated data are cut off")
    return inflated


def _header(data: bytes | bytearray, start: int, skeleton: Skeleton, syntax: str) -> tuple[Any, tuple[str, ...]]:
    """What stands before the pixel data, converted; nothing later can fail, warn or recurse when a value is used."""
    header = io.BytesIO(memoryview(data)[start : skeleton.stop])
    dataset = require("pydicom.filereader").read_dataset(
        header, is_implicit_VR=syntax == IMPLICIT_LITTLE, is_little_endian=syntax != EXPLICIT_BIG
    )
    remarks: list[str] = []
    _settle(dataset, remarks)
    return dataset, tuple(remarks)


def _settle(dataset: Any, remarks: list[str]) -> None:
    """Convert all values, where pydicom would do so at their first use, and leave out what cannot be converted."""
    for tag in sorted(dataset.keys()):
        try:
            declared = dataset.get_item(tag).VR or _dictionary_vr(tag)
            element = dataset[tag]
            # What does not fit its representation pydicom tries as another one, or leaves as text where numbers belong.
            if (declared in _CONVERTED and declared != element.VR) or not _fits(element):
                raise ValueError
            if element.VR == "SQ":
                for item in element.value:
                    _settle(item, remarks)
            elif element.VR == "PN":
                str(element.value)  # decodes the name's characters
        except Exception:
            remarks.append(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) could not be read and is left out")
            del dataset[tag]


def _fits(element: Any) -> bool:
    """Whether the values of a number written as text are numbers; empty ones may stand among them."""
    if element.VR not in ("DS", "IS"):
        return True
    values = element.value if element.VM > 1 else [element.value]
    return not any(isinstance(value, str) and value for value in values)


def _dictionary_vr(tag: int) -> str | None:
    datadict = require("pydicom.datadict")
    return datadict.dictionary_VR(tag) if datadict.dictionary_has_tag(tag) else None


def _check_uids(dataset: Any) -> None:
    for keyword in _UIDS:
        uid = str(dataset.get(keyword) or "").strip(" \0")
        if uid and not _UID.fullmatch(uid):
            raise DicomError(f"its {keyword} is no UID (digits and dots, 64 at most)")


def _pixel_format(dataset: Any, value: PixelValue, syntax: str, limits: Limits) -> PixelFormat:
    pixels = PixelFormat(
        frames=_whole(dataset, "NumberOfFrames", 1, absent=1),
        rows=_whole(dataset, "Rows", 1),
        columns=_whole(dataset, "Columns", 1),
        samples=_whole(dataset, "SamplesPerPixel", 1, absent=1),
        bits_allocated=(allocated := _whole(dataset, "BitsAllocated", 1)),
        bits_stored=_whole(dataset, "BitsStored", 1, absent=allocated),
        signed=_whole(dataset, "PixelRepresentation", 0, absent=0) == 1,
        planar=_whole(dataset, "PlanarConfiguration", 0, absent=0) == 1,
        photometric=str(dataset.get("PhotometricInterpretation") or "").strip(),
    )
    if pixels.samples not in (1, 3, 4):
        raise DicomError(f"it declares {pixels.samples} samples per pixel")
    # a segmentation packs eight pixels into a byte; nothing else does
    single = (1,) if dataset.get("SOPClassUID") == SEGMENTATION else ()
    if pixels.bits_allocated not in (*single, 8, 16, 32) or pixels.bits_stored > pixels.bits_allocated:
        raise DicomError(f"it declares {pixels.bits_stored} bits stored of {pixels.bits_allocated} allocated")
    check_declared(pixels, limits)
    if syntax in NATIVE:
        _check_native(pixels, value)
    elif value.fragments is None:
        raise DicomError(f"its transfer syntax is {syntax_name(syntax)}, but its pixel data are not encapsulated")
    elif value.fragments < pixels.frames:
        raise DicomError(f"it declares {pixels.frames} frames, but holds {value.fragments} fragments of pixel data")
    return pixels


def check_declared(pixels: PixelFormat, limits: Limits) -> None:
    """Refuse more frames or pixels than allowed, as the header declares them."""
    if pixels.frames > limits.frames:
        raise DicomError(f"it declares {pixels.frames} frames; at most {limits.frames} are read (Limits.frames)")
    count = pixels.frames * pixels.rows * pixels.columns * pixels.samples
    if count > limits.pixels:
        raise DicomError(
            f"it declares {pixels.frames} x {pixels.rows} x {pixels.columns} x {pixels.samples} pixel values; "
            f"at most {limits.pixels} are read (Limits.pixels)"
        )


def _check_native(pixels: PixelFormat, value: PixelValue) -> None:
    if value.fragments is not None:
        raise DicomError("its pixel data are encapsulated, though its transfer syntax is uncompressed")
    if pixels.photometric == "YBR_FULL_422":
        raise DicomError("uncompressed YBR_FULL_422 is not read here")
    bits = pixels.frames * pixels.rows * pixels.columns * pixels.samples * pixels.bits_allocated
    expected = -(-bits // 8)
    there = value.stop - value.start
    # An odd length is padded by one byte. Anything else means that the header and the picture do not belong together.
    if there not in (expected, expected + expected % 2):
        raise DicomError(f"its header declares {expected} bytes of pixel data, {there} are there")


def _whole(dataset: Any, keyword: str, least: int, absent: int | None = None) -> int:
    """A whole number of the header; an absent or empty one is ``absent``, or an error."""
    value = dataset.get(keyword)
    if value is None or value == "":
        if absent is None:
            raise DicomError(f"it has pixel data, but no {keyword}")
        return absent
    if isinstance(value, bool) or not isinstance(value, int):
        raise DicomError(f"its {keyword} is not one whole number")
    if value < least:
        raise DicomError(f"its {keyword} is {int(value)}")
    return int(value)
