# SPDX-License-Identifier: Apache-2.0
"""What answers in place of a model: two small DICOM objects, of the source's study and of nothing but their causes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite

from monai_causal.dicom.safety import OpenedFile

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
CLASSES = {"sr": "1.2.840.10008.5.1.4.1.1.88.33", "sc": "1.2.840.10008.5.1.4.1.1.7"}


class Made(NamedTuple):
    """An object that was written."""

    kind: str
    path: Path
    sop_instance_uid: str
    sha256: str


@dataclass
class StandIn:
    """Writes a report and a picture.

    Args:
        configuration: another one gives other objects.
        before: called with the source before anything is written; may raise.
        after: called with the files that were written; may spoil them.

    Attributes:
        asked: digests of the sources, in order.
    """

    configuration: Mapping[str, Any] = field(default_factory=dict)
    before: Callable[[OpenedFile], object] = lambda source: None
    after: Callable[[list[Made]], object] = lambda made: None
    asked: list[str] = field(default_factory=list)

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"configuration": dict(self.configuration), "model": {"weights_sha256": "0" * 64}}

    def __call__(self, source: OpenedFile, folder: Path) -> Sequence[Made]:
        self.asked.append(source.digest)
        self.before(source)
        made = [self._made(kind, source.dataset, source.digest, folder) for kind in CLASSES]
        self.after(made)
        return made

    def _made(self, kind: str, header: Any, digest: str, folder: Path) -> Made:
        cause = json.dumps([digest, self.identity, kind], sort_keys=True).encode()
        ds = Dataset()
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "StudyDate", "StudyID"):
            if keyword in header:
                ds[keyword] = header[keyword]
        ds.SOPClassUID, ds.Modality = CLASSES[kind], kind.upper() if kind == "sr" else "OT"
        ds.SOPInstanceUID, ds.SeriesInstanceUID = uid(cause + b"instance"), uid(cause + b"series")
        if kind == "sc":
            ds.ImageType = ["DERIVED", "SECONDARY"]
            ds.Rows = ds.Columns = 8
            ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
            ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
            ds.PixelData = hashlib.sha512(cause).digest()
            ds["PixelData"].VR = "OB"
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = EXPLICIT_LITTLE
        path = folder / f"{kind}-{hashlib.sha256(cause).hexdigest()[:16]}.dcm"
        dcmwrite(path, ds, enforce_file_format=True)
        return Made(kind, path, str(ds.SOPInstanceUID), hashlib.sha256(path.read_bytes()).hexdigest())


def uid(cause: bytes) -> str:
    return f"2.25.{int.from_bytes(hashlib.sha256(cause).digest()[:16], 'big')}"


def results_in(out: Path) -> dict[str, str]:
    """Digests of all files of the committed results."""
    folder = out / "results"
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
