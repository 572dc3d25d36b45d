# SPDX-License-Identifier: Apache-2.0
"""The files that a DICOMDIR lists; none of its references leads out of its folder.

A reference is a list of names below the folder of the DICOMDIR. It comes from outside, so it may try ``..``, an
absolute path, a drive, or a symbolic link that came on the same disc (CVE-2026-32711 was of this kind).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from monai_causal.dicom.errors import DicomError, guarded
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.safety import open_dicom
from monai_causal.dicom.tags import codes, sequence

__all__ = ["DIRECTORY", "Reference", "inside", "read_dicomdir"]

DIRECTORY = "1.2.840.10008.1.3.10"
# A directory has some ten records for each image of a disc, and a dozen attributes in each.
_ELEMENTS, _HEADER_BYTES = 1_000_000, 32 * 2**20
_INACTIVE = 0


class Reference(NamedTuple):
    """A file that a DICOMDIR lists: its path, or the code of the reason why there is none; and the object it names."""

    path: Path | None
    problem: str
    sop_instance: str


def read_dicomdir(path: str | os.PathLike[str], limits: Limits | None = None) -> tuple[Reference, ...]:
    """The files that a DICOMDIR lists, in its order.

    Args:
        path: of the DICOMDIR.
        limits: as for any file, with more room for records.

    Raises:
        DicomError: it is no DICOMDIR, or it is refused. What is wrong with one reference is told in it instead.
    """
    limits = limits or Limits()
    limits = replace(
        limits,
        elements=max(limits.elements, _ELEMENTS),
        header_bytes=max(limits.header_bytes, _HEADER_BYTES),
    )
    opened = open_dicom(path, limits)
    with guarded("reading its records", item="DICOMDIR"):
        meta = str(opened.dataset.file_meta.get("MediaStorageSOPClassUID") or "").strip(" \0")
        if meta != DIRECTORY:
            raise DicomError("it is no DICOMDIR")
        records = sequence(opened.dataset, "DirectoryRecordSequence")
        root = Path(path).resolve().parent
        return tuple(_reference(record, root) for record in records if _refers(record))


def inside(path: Path, root: Path) -> bool:
    """Whether a path, all symbolic links followed, lies in a folder that is resolved already."""
    try:
        return path.resolve().is_relative_to(root)
    except (OSError, RuntimeError, ValueError):  # a circle of links, a zero byte
        return False


def _refers(record: Any) -> bool:
    in_use = record.get("RecordInUseFlag")
    return in_use != _INACTIVE and bool(_components(record))


def _components(record: Any) -> tuple[str, ...]:
    value = record.get("ReferencedFileID")
    if value is None or value == "":
        return ()
    values: Iterable[Any] = (value,) if isinstance(value, str) else value
    return tuple(str(one).strip(" ") for one in values)


def _reference(record: Any, root: Path) -> Reference:
    uid = next(iter(codes(record, "ReferencedSOPInstanceUIDInFile")), "")
    components = _components(record)
    if not all(_is_name(component) for component in components):
        return Reference(None, "leaves-folder", uid)
    path = root
    for component in components:
        found = _entry(path, component)
        if found is None:
            return Reference(None, "missing", uid)
        path = found
        if not inside(path, root):
            return Reference(None, "leaves-folder", uid)
    return Reference(path, "", uid)


def _is_name(component: str) -> bool:
    """One name, on any system: no separator, drive, stream or step upward hides in it."""
    return bool(component) and component.strip(".") != "" and not set(component) & set("/\\:\0")


def _entry(folder: Path, name: str) -> Path | None:
    """The entry of this name, however its capitals survived the copying from a disc."""
    exact = folder / name
    if os.path.lexists(exact):
        return exact
    try:
        alike = [entry for entry in sorted(os.listdir(folder)) if entry.casefold() == name.casefold()]
    except OSError:
        return None
    return folder / alike[0] if alike else None
