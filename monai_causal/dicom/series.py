# SPDX-License-Identifier: Apache-2.0
"""A CT or MR series made safe for a reader that cannot judge what it reads, such as ITK.

ITK reads DICOM with GDCM, which has crashed on damaged files and takes what a folder holds. So it gets files of our
own: each slice is checked as any file is, decoded in the child process, and written anew, uncompressed, with the
attributes that make geometry and grey values and no others. Neither bytes, nor names, nor patient data from outside
reach it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_causal.dicom.decoding import decode_frames
from monai_causal.dicom.errors import DicomError, guarded
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.safety import EXPLICIT_LITTLE, OpenedFile
from monai_causal.dicom.series_geometry import SliceGrid, grid_of, is_slice
from monai_causal.dicom.study import LeftOut, Series, Survey, left_out
from monai_causal.dicom.study_survey import survey
from monai_causal.extras import require

__all__ = ["CheckedSeries", "checked_series", "find_series", "volume_of"]

_CARRIED = (
    *("Modality", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SpacingBetweenSlices"),
    *("SliceThickness", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RescaleType"),
    *("PixelPaddingValue", "InstanceNumber"),
)
_CT = "1.2.840.10008.5.1.4.1.1.2"
_MR = "1.2.840.10008.5.1.4.1.1.4"
_PET = "1.2.840.10008.5.1.4.1.1.128"
# Of an unknown kind GDCM takes no geometry; any of these is read as it stands.
_CLASSES = (_CT, _MR, _PET)
_ROOT = "2.25"
_NAMED = 12


@dataclass(frozen=True, eq=False)
class CheckedSeries:
    """A series as a folder of files that can be read without fear.

    Args:
        folder: holds nothing but the slices, named by their order.
        grid: the slices and the grid they make.
        digest: SHA-256 over the digests of the slices' files, in order.
        study, series, frame_of_reference: UIDs, or empty.
        instances: SOPInstanceUIDs in the order of the slices.
        transfer_syntaxes: UIDs, of the files as they came.
        left_out: what else was there, with reasons.
    """

    folder: Path = field(repr=False)
    grid: SliceGrid
    digest: str
    study: str = field(repr=False)
    series: str = field(repr=False)
    frame_of_reference: str = field(repr=False)
    instances: tuple[str, ...] = field(repr=False)
    transfer_syntaxes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


@contextmanager
def checked_series(
    source: str | os.PathLike[str] | Sequence[Any],
    *,
    series: str | None = None,
    irregular: bool = False,
    limits: Limits | None = None,
) -> Iterator[CheckedSeries]:
    """Check every file of a series, and lay safe copies in a folder that is removed when the block ends.

    Args:
        source: a folder, a DICOMDIR, or files.
        series: where there are several: the UID of one, or the beginning of its digest as messages give it.
        irregular: accept missing slices, uneven steps and a tilted stack.
        limits: what each file may ask for.

    Raises:
        DicomError: a file is refused, so that a slice may be missing; there is no series of slices, or several; or the
            slices make no volume. No copy is laid before all headers have passed.
    """
    found = survey(source, limits)
    refused = [one for one in found.left_out if one.code not in ("not-dicom", "not-regular", "directory")]
    if refused:
        raise DicomError(
            f"{len(refused)} files cannot be read, so that slices may be missing; {refused[0].item}: "
            f"{refused[0].reason}"
        )
    chosen = find_series(found, series)
    grid, others = volume_of(chosen, irregular=irregular)
    with tempfile.TemporaryDirectory(prefix="monai_causal-series-") as name:
        folder = Path(name)
        syntaxes = set()
        for place, one in enumerate(grid.slices):
            opened = one.open(limits)
            syntaxes.add(opened.transfer_syntax)
            with guarded("copying it", item=one.item):
                _write(folder / f"{place:06d}.dcm", opened, chosen, place, limits)
        yield CheckedSeries(
            folder=folder,
            grid=grid,
            digest=hashlib.sha256("".join(one.digest for one in grid.slices).encode()).hexdigest(),
            study=grid.slices[0].study,
            series=chosen.uid,
            frame_of_reference=str(grid.slices[0].header.get("FrameOfReferenceUID") or ""),
            instances=tuple(one.uid for one in grid.slices),
            transfer_syntaxes=tuple(sorted(syntaxes)),
            left_out=(*found.left_out, *others),
        )


def find_series(found: Survey, name: str | None = None) -> Series:
    """The series of slices in a survey; the one named where there are several.

    Raises:
        DicomError: there is none, or not exactly one.
    """
    there = [series for study in found.studies for series in study.series if any(map(is_slice, series.instances))]
    wanted = there
    if name:
        wanted = [series for series in there if series.uid == name or series.digest.startswith(name)]
    if len(wanted) == 1:
        return wanted[0]
    if not there:
        raise DicomError(f"of {found.files} files none is a slice: one frame with a position in the patient")
    named = ", ".join(series.digest for series in there[:_NAMED])
    raise DicomError(f"{len(wanted)} of {len(there)} series of slices are meant; give series= with one of: {named}")


def volume_of(series: Series, *, irregular: bool = False) -> tuple[SliceGrid, tuple[LeftOut, ...]]:
    """The grid of a series' slices, by their headers, and what else is in the series."""
    slices, others = [], []
    seen: dict[str, str] = {}
    for one in series.instances:
        if one.digest in seen:
            others.append(left_out(one.item, "copy", one.place, other=seen[one.digest]))
            continue
        seen[one.digest] = one.item
        if is_slice(one):
            slices.append(one)
        else:
            others.append(left_out(one.item, "no-slice", one.place))
    if not slices:
        raise DicomError("the series holds no slices: images of one frame with a position in the patient")
    return grid_of(slices, irregular=irregular), tuple(others)


def _write(path: Path, opened: OpenedFile, series: Series, place: int, limits: Limits | None) -> None:
    """One slice, uncompressed, with what makes geometry and grey values."""
    pydicom = require("pydicom")
    source, pixels = opened.dataset, opened.pixels
    if pixels is None or pixels.samples != 1:
        raise DicomError("it is no grey image")
    if "ModalityLUTSequence" in source:
        raise DicomError("its grey values are given by a lookup table, which a volume's reader ignores")
    values = decode_frames(opened, limits)[0]
    copy = pydicom.Dataset()
    for keyword in _CARRIED:
        if keyword in source:
            copy[keyword] = source[keyword]
    allocated = 8 * values.itemsize
    if allocated != pixels.bits_allocated:  # a decoder may give fewer bits than the header declares
        copy.BitsAllocated, copy.BitsStored, copy.HighBit = allocated, allocated, allocated - 1
    copy.PixelRepresentation = int(values.dtype.kind == "i")
    if "PixelPaddingValue" in copy:  # its representation follows the pixels'
        copy["PixelPaddingValue"].VR = "SS" if copy.PixelRepresentation else "US"
    sop_class = str(source.get("SOPClassUID") or source.file_meta.get("MediaStorageSOPClassUID") or "")
    copy.SOPClassUID = sop_class if sop_class in _CLASSES else _MR if source.get("Modality") == "MR" else _CT
    # UIDs of our own, from what the series is: GDCM groups by them, and the real ones have no business there.
    copy.StudyInstanceUID = copy.SeriesInstanceUID = _uid(series.digest)
    copy.SOPInstanceUID = _uid(f"{series.digest} {place}")
    copy.PixelData = values.astype(values.dtype.newbyteorder("<")).tobytes() + bytes(values.nbytes % 2)
    copy["PixelData"].VR = "OW"
    copy.file_meta = pydicom.dataset.FileMetaDataset()
    copy.file_meta.TransferSyntaxUID = EXPLICIT_LITTLE
    copy.file_meta.MediaStorageSOPClassUID = copy.SOPClassUID
    copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
    pydicom.dcmwrite(path, copy, enforce_file_format=True)


def _uid(text: str) -> str:
    return f"{_ROOT}.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"
