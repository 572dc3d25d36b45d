# SPDX-License-Identifier: Apache-2.0
"""What is in a study: its images by their headers, and for everything else the reason why it was left out.

Files are named by their place in the list and by a digest, series and studies by a digest of their UID: a file's name,
and what a header says in free text, may tell of the patient.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.position import view_of
from monai_causal.dicom.safety import OpenedFile, open_dicom
from monai_causal.dicom.tags import codes, number
from monai_causal.extras import require

__all__ = ["KEYWORDS", "Instance", "LeftOut", "Series", "Study", "Survey", "left_out", "slim"]

KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality"),
    *("ImageType", "PresentationIntentType", "ViewPosition", "ViewCodeSequence", "SeriesDescription", "ProtocolName"),
    *("ImageLaterality", "Laterality", "InstanceNumber", "SeriesNumber", "AcquisitionDateTime", "AcquisitionDate"),
    *("AcquisitionTime", "ContentDate", "ContentTime", "SeriesDate", "SeriesTime", "TimezoneOffsetFromUTC"),
    *("SourceImageSequence", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel", "ImagePositionPatient"),
    *("ImageOrientationPatient", "PixelSpacing", "SpacingBetweenSlices", "SliceThickness"),
)
"""What a survey keeps of each header; the rest is dropped, so that a thousand slices are no matter."""

REASONS = {
    "copy": "it is the same file as {other}",
    "derived": "it was made from {other}, which is there too",
    "directory": "it is a directory of files (DICOMDIR); its own path is followed if it is given",
    "for-processing": "it is a DX image for processing, not for presentation",
    "frames": "it has {count} frames; a radiograph has one",
    "leaves-folder": "the reference to it leads out of the folder and is not followed",
    "less-preferred": "rule '{rule}' comes after the rule that was met",
    "missing": "the DICOMDIR lists it, but it is not there",
    "no-rule": "no rule is met; its view is {view}",
    "no-uid": "it lacks a UID (SOPClassUID, SOPInstanceUID), so that no result could refer to it",
    "no-slice": "it is no slice: one frame with a position in the patient",
    "not-dicom": "it is no DICOM file",
    "not-image": "it is no image: {name}",
    "not-radiograph": "it is no projection radiograph: {name}",
    "not-regular": "it is no regular file",
    "older": "it is older than the image that was chosen",
    "other-object": "it is another object than the DICOMDIR says",
    "refused": "{reason}",
    "secondary": "it is a secondary image beside a primary one",
    "secondary-modality": "it is a secondary capture of something else than a radiograph",
}
_SHORT = 12
_DESCRIBED = {
    "PA": re.compile(r"\b(pa|p\.a\.)(?![a-z])", re.IGNORECASE),
    "AP": re.compile(r"\b(ap|a\.p\.)(?![a-z])", re.IGNORECASE),
    "LAT": re.compile(r"\b(lat|lateral|ll|rl)\b", re.IGNORECASE),
    "FRONTAL": re.compile(r"\bfrontal\b", re.IGNORECASE),
}


class LeftOut(NamedTuple):
    """A file that is not read, and why: ``code`` is stable, ``reason`` may be reworded. ``place`` tells its name."""

    item: str
    code: str
    reason: str
    place: str = ""

    def __repr__(self) -> str:  # the place may tell of the patient
        return f"LeftOut({self.item}: {self.reason})"


def left_out(item: str, code: str, place: str = "", **words: str) -> LeftOut:
    """A reason of :data:`REASONS`; ``words`` are of our own vocabulary, never of a file."""
    return LeftOut(item, code, REASONS[code].format(**words), place)


@dataclass(frozen=True, eq=False, repr=False)
class Instance:
    """One DICOM object of a study, known by its header.

    Args:
        index: its place in the list, from 1.
        digest: SHA-256 of the file; of its UID where only metadata are known.
        header: the attributes of :data:`KEYWORDS` that it has, as a pydicom data set.
        transfer_syntax: UID, or empty where only metadata are known.
        sop_class: UID, taken from the file meta information where the data set lacks it.
        has_pixels: it has integer pixel data.
        fetch: gives what ``open_dicom`` takes.
        whole: the file was read, so that ``digest`` is its own.
        place: name of the file below the folder; it may tell of the patient.
    """

    index: int
    digest: str
    header: Any
    transfer_syntax: str
    sop_class: str
    has_pixels: bool
    fetch: Callable[[], Any]
    whole: bool = True
    place: str = ""

    def __repr__(self) -> str:  # a header in a log or a traceback would be the patient's
        return f"Instance({self.item})"

    @property
    def item(self) -> str:
        """How messages name it."""
        return f"file {self.index} ({self.digest[:_SHORT]})"

    @property
    def study(self) -> str:
        """StudyInstanceUID, or empty."""
        return _uid(self.header, "StudyInstanceUID")

    @property
    def series(self) -> str:
        """SeriesInstanceUID, or empty."""
        return _uid(self.header, "SeriesInstanceUID")

    @property
    def uid(self) -> str:
        """SOPInstanceUID, or empty."""
        return _uid(self.header, "SOPInstanceUID")

    @property
    def number(self) -> int | None:
        """InstanceNumber."""
        return _whole(self.header, "InstanceNumber")

    @property
    def size(self) -> tuple[int, int, int]:
        """Frames, rows, columns, as the header says; 0 where it does not."""
        frames = _whole(self.header, "NumberOfFrames") or 1
        return frames, _whole(self.header, "Rows") or 0, _whole(self.header, "Columns") or 0

    @property
    def view(self) -> tuple[str | None, bool]:
        """The view, and whether only a description tells it; (None, False) where nothing does."""
        view, _ = view_of(self.header)
        if view is not None:
            return view, False
        for keyword in ("SeriesDescription", "ProtocolName"):
            words = " ".join(codes(self.header, keyword)).replace("_", " ")
            told = [view for view, pattern in _DESCRIBED.items() if pattern.search(words)]
            if told in (["PA", "FRONTAL"], ["AP", "FRONTAL"]):
                told = told[:1]
            if len(told) == 1:  # "chest pa and lat" describes a series, not an image
                return told[0], True
        return None, False

    def open(self, limits: Limits | None = None) -> OpenedFile:
        """The file itself, checked as any file is, and checked to be the one that was surveyed."""
        opened = open_dicom(self.fetch(), limits)
        if self.whole:
            same = opened.digest == self.digest
        else:
            same = all(
                _uid(opened.dataset, keyword) == _uid(self.header, keyword)
                for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "SOPClassUID")
            )
        if not same:
            raise DicomError("it is another file than the one whose header was read", item=self.item)
        return opened


@dataclass(frozen=True, eq=False)
class Series:
    """The instances of one series, in the order found."""

    uid: str = field(repr=False)
    instances: tuple[Instance, ...]

    @property
    def digest(self) -> str:
        """How messages name it."""
        return _named(self.uid)


@dataclass(frozen=True, eq=False)
class Study:
    """The series of one study, in the order found."""

    uid: str = field(repr=False)
    series: tuple[Series, ...]

    @property
    def digest(self) -> str:
        """How messages name it."""
        return _named(self.uid)

    @property
    def instances(self) -> tuple[Instance, ...]:
        """All of its instances, in the order found."""
        return tuple(sorted((one for series in self.series for one in series.instances), key=lambda one: one.index))


@dataclass(frozen=True, eq=False)
class Survey:
    """Studies, and what belongs to none because it could not be read; ``files`` counts all that was looked at."""

    studies: tuple[Study, ...]
    left_out: tuple[LeftOut, ...]
    files: int

    @classmethod
    def of(cls, instances: Iterable[Instance], left_out: Iterable[LeftOut], files: int) -> Survey:
        """Group by study and series."""
        studies: dict[str, dict[str, list[Instance]]] = {}
        for instance in instances:
            studies.setdefault(instance.study, {}).setdefault(instance.series, []).append(instance)
        grouped = (
            Study(uid, tuple(Series(name, tuple(found)) for name, found in series.items()))
            for uid, series in studies.items()
        )
        return cls(tuple(grouped), tuple(left_out), files)


def slim(dataset: Any, more: Iterable[str] = ()) -> Any:
    """The attributes of :data:`KEYWORDS` and ``more`` that a data set has, as a data set."""
    small = require("pydicom").Dataset()
    for keyword in (*KEYWORDS, *more):
        if keyword in dataset:
            small[keyword] = dataset[keyword]
    return small


def _uid(dataset: Any, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip(" \0")


def _named(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:_SHORT] if uid else "without UID"


def _whole(dataset: Any, keyword: str) -> int | None:
    value = number(dataset, keyword)
    return None if value is None else int(value)
