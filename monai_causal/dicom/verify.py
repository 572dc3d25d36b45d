# SPDX-License-Identifier: Apache-2.0
"""Check the objects that this package wrote: read back, references, UIDs, and dciodvfy where it is installed.

No word of the report comes from a file: dciodvfy quotes values, and a value may be a patient's name, so they are cut.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_causal.dicom.errors import DicomError, guarded
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.objects.belonging import CARRIED, MANUFACTURER
from monai_causal.dicom.safety import EXPLICIT_LITTLE
from monai_causal.dicom.tags import class_name
from monai_causal.extras import require

__all__ = ["SCHEMA", "in_words", "read_allowed", "run_dciodvfy", "verify"]

SCHEMA = "monai_causal/dicom-verification/1"
_PROGRAM = "dciodvfy"
_SECONDS = 120
_KINDS = {
    "1.2.840.10008.5.1.4.1.1.66.4": "seg",
    "1.2.840.10008.5.1.4.1.1.88.34": "sr",
    "1.2.840.10008.5.1.4.1.1.7": "sc",
    "1.2.840.10008.5.1.4.1.1.11.1": "gsps",
    "1.2.840.10008.5.1.4.1.1.30": "pm",
}
_PROCESSING = "109102"
_VALUE = re.compile(r" = <.*?>(?= - |$)")
_PLACE = re.compile(r"</\w+\(([0-9a-fA-F]{4}),([0-9a-fA-F]{4})\)")
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_SHOWN = 20


def verify(
    path: str | os.PathLike[str], *, allow: str | os.PathLike[str] | None = None, limits: Limits | None = None
) -> dict[str, Any]:
    """Check every object of ours in a folder (with all below it), or one file.

    Args:
        path: where they are.
        allow: a file of texts, one a line and after ``#`` its reason: what dciodvfy says and holds one of them is no
            finding.
        limits: the size that a file may have.

    Returns:
        plain values, made for JSON: ``ok``, ``dciodvfy`` (whether it is installed), ``files`` with ``item``, ``kind``,
        ``problems`` and ``warnings``, and ``skipped`` with reasons.

    Raises:
        DicomError: the path is not there, or the file of allowed texts cannot be read.
    """
    require("highdicom")
    limits = limits or Limits()
    allowed = () if allow is None else read_allowed(allow)
    program = shutil.which(_PROGRAM)
    checked: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    seen: dict[str, tuple[str, str]] = {}
    studies: dict[str, str] = {}
    for number, one in enumerate(_files(Path(path)), start=1):
        item = f"file {number}"
        try:
            content = _content(one, limits)
            item = f"file {number} ({hashlib.sha256(content).hexdigest()[:12]})"
            with guarded("reading it back", item=item):
                dataset, why_not = _ours(one, content)
        except DicomError as error:
            checked.append({"item": item, "kind": "unreadable", "problems": [error.reason], "warnings": []})
            continue
        if why_not:
            skipped.append({"item": item, "reason": why_not})
            continue
        kind = _KINDS[str(dataset.SOPClassUID)]
        problems = list(_read_back(kind, dataset, item))
        problems += _identity(dataset, content, item, seen)
        studies.setdefault(str(dataset.StudyInstanceUID), item)
        warnings: list[str] = []
        if program is not None:
            errors, warnings = run_dciodvfy(one, allowed, program)
            problems += errors
        checked.append({"item": item, "kind": kind, "problems": problems, "warnings": warnings})
    return {
        "schema": SCHEMA,
        "ok": bool(checked) and not any(one["problems"] for one in checked),
        "dciodvfy": program is not None,
        "studies": len(studies),
        "files": checked,
        "skipped": skipped,
    }


def in_words(report: Mapping[str, Any]) -> str:
    """What :func:`verify` found, as text."""
    count, bad = len(report["files"]), sum(bool(one["problems"]) for one in report["files"])
    by = "read back and by dciodvfy" if report["dciodvfy"] else "read back; dciodvfy is not installed (dicom3tools)"
    lines = [f"{count} objects of {report['studies']} studies checked ({by}), {bad} with problems"]
    for one in report["files"]:
        said = "ok" if not one["problems"] else f"{len(one['problems'])} problems"
        more = f", {len(one['warnings'])} warnings" if one["warnings"] else ""
        lines.append(f"  {one['item']}: {one['kind']}: {said}{more}")
        lines += [f"    {text}" for text in one["problems"][:_SHOWN]]
        if len(one["problems"]) > _SHOWN:
            lines.append(f"    and {len(one['problems']) - _SHOWN} more (--json lists all)")
    lines += [f"  {one['item']}: not checked: {one['reason']}" for one in report["skipped"]]
    if not count:
        lines.append("nothing here was written by monai_causal")
    return "\n".join(lines)


def read_allowed(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The texts of an allow-list: one a line, and after ``#`` its reason."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise DicomError(f"the list of allowed texts cannot be read ({type(error).__name__})") from None
    texts = []
    for number, line in enumerate(lines, start=1):
        text, mark, reason = line.partition("#")
        if text.strip() and not (mark and reason.strip()):
            raise DicomError(f"line {number} of the list of allowed texts gives no reason: write it after a #")
        if text.strip():
            texts.append(text.strip())
    return tuple(texts)


def run_dciodvfy(
    path: str | os.PathLike[str], allowed: Sequence[str] = (), program: str = _PROGRAM
) -> tuple[list[str], list[str]]:
    """What dciodvfy finds in a file that is not allowed: errors and warnings, with the file's values cut out.

    Errors in what the source says of patient and study are warnings: a result carries them on as they are.
    """
    command = [program, "-new", os.path.abspath(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return [f"dciodvfy did not end within {_SECONDS} seconds"], []
    said = (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace").splitlines()
    found: dict[str, list[str]] = {"Error": [], "Warning": []}
    for line in said:
        what, _, text = line.partition(" - ")
        if what in found and not any(one in line for one in allowed):
            found["Warning" if _is_sources(text) else what].append(f"dciodvfy: {_VALUE.sub('', text)}")
    if done.returncode < 0:
        found["Error"].append(f"dciodvfy was ended by signal {-done.returncode}")
    return found["Error"], found["Warning"]


def _is_sources(text: str) -> bool:
    """Whether an attribute of the patient or the study is meant: it is the source's, and copied with its faults."""
    place = _PLACE.match(text)
    if place is None:
        return False
    keyword = require("pydicom.datadict").keyword_for_tag(int(place.group(1) + place.group(2), 16))
    return keyword in CARRIED


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (one for one in sorted(path.rglob("*")) if one.is_file() and not one.is_symlink())
    elif path.is_file():
        yield path
    else:
        raise DicomError("the file or folder is not there")


def _content(path: Path, limits: Limits) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limits.file_bytes + 1)
    except OSError as error:
        raise DicomError(f"the file cannot be read ({type(error).__name__})") from None
    if len(content) > limits.file_bytes:
        raise DicomError(f"the file is larger than {limits.file_bytes} bytes (Limits.file_bytes)")
    return content


def _ours(path: Path, content: bytes) -> tuple[Any, str]:
    """The data set of an object that was written here; or None, and why it is not looked at."""
    if content[128:132] != b"DICM":
        return None, "it is no DICOM file"
    meta = require("pydicom.filereader").read_file_meta_info(path)
    if str(meta.get("MediaStorageSOPClassUID")) not in _KINDS:
        return None, f"it was not written by monai_causal: {class_name(str(meta.get('MediaStorageSOPClassUID')))}"
    if str(meta.get("TransferSyntaxUID")) != EXPLICIT_LITTLE:  # all that is written here; others may inflate to a flood
        return None, "it was not written by monai_causal (another transfer syntax)"
    dataset = require("pydicom").dcmread(io.BytesIO(content))
    if str(dataset.get("Manufacturer")) != MANUFACTURER or not dataset.get("ContributingEquipmentSequence"):
        return None, "it was not written by monai_causal (another manufacturer)"
    if str(dataset.get("SOPClassUID")) not in _KINDS:
        raise DicomError("its file meta information names another class")
    for _ in dataset.iterall():  # converts every value
        pass
    return dataset, ""


def _identity(dataset: Any, content: bytes, item: str, seen: dict[str, tuple[str, str]]) -> Iterator[str]:
    """UIDs that are well formed, agree with the file's, and stand for one content each."""
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        uid = str(dataset.get(keyword) or "")
        if len(uid) > 64 or not _UID.fullmatch(uid):
            yield f"its {keyword} is no UID"
    uid = str(dataset.get("SOPInstanceUID"))
    if str(dataset.file_meta.get("MediaStorageSOPInstanceUID")) != uid:
        yield "its file meta information names another instance"
    if str(dataset.file_meta.get("MediaStorageSOPClassUID")) != str(dataset.SOPClassUID):
        yield "its file meta information names another class"
    digest = hashlib.sha256(content).hexdigest()
    known = seen.setdefault(uid, (digest, item))
    if known[0] != digest:
        yield f"it has the UID of {known[1]}, and other content"
    if not any(one.get("DeviceUID") for one in dataset.ContributingEquipmentSequence if _purpose(one) == _PROCESSING):
        yield "its contributing equipment does not identify the algorithm (DeviceUID)"


def _purpose(equipment: Any) -> str:
    codes = equipment.get("PurposeOfReferenceCodeSequence") or ()
    return str(codes[0].get("CodeValue")) if codes else ""


def _read_back(kind: str, dataset: Any, item: str) -> Iterator[str]:
    checks = {"seg": _seg, "sr": _sr, "sc": _sc, "gsps": _gsps, "pm": _pm}
    try:
        with guarded("reading it back", item=item):
            found = [*checks[kind](dataset), *_references(dataset)]
    except DicomError as error:
        found = [error.reason]
    yield from found


def _seg(dataset: Any) -> Iterator[str]:
    segmentation = require("highdicom.seg").Segmentation.from_dataset(dataset)
    numbers = list(segmentation.segment_numbers)
    if numbers != list(range(1, len(numbers) + 1)):
        yield "its segments are not numbered from 1 on"
    pixels = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    if len(pixels) != int(dataset.NumberOfFrames) or pixels.max(initial=0) > 1:
        yield "its frames are not what its header says"
    # Where one segment has all the frames, its number stands in what they share.
    groups = [*dataset.PerFrameFunctionalGroupsSequence, *dataset.SharedFunctionalGroupsSequence]
    used = {
        int(item.ReferencedSegmentNumber)
        for group in groups
        for item in group.get("SegmentIdentificationSequence") or ()
    }
    if not used <= set(numbers):
        yield "a frame belongs to no segment"


def _sr(dataset: Any) -> Iterator[str]:
    sr = require("highdicom.sr").Comprehensive3DSR.from_dataset(dataset)
    content = sr.content
    if not hasattr(content, "get_planar_roi_measurement_groups"):
        yield "it is no measurement report by TID 1500"
        return
    content.get_planar_roi_measurement_groups()
    content.get_image_measurement_groups()
    if not any(
        str(item.get("TextValue") or "")
        for container in dataset.ContentSequence
        for item in container.get("ContentSequence") or ()
        if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeValue == "121106"
    ):
        yield "it does not say what it is and is not (a comment of the qualitative evaluations)"


def _sc(dataset: Any) -> Iterator[str]:
    size = dataset.Rows * dataset.Columns * 3
    if len(dataset.PixelData) != size + size % 2 or dataset.pixel_array.shape != (dataset.Rows, dataset.Columns, 3):
        yield "its picture is not what its header says"


def _gsps(dataset: Any) -> Iterator[str]:
    for annotation in dataset.get("GraphicAnnotationSequence") or ():
        for one in annotation.get("GraphicObjectSequence") or ():
            if len(one.GraphicData) != 2 * int(one.NumberOfGraphicPoints):
                yield "a line has other points than it says"


def _pm(dataset: Any) -> Iterator[str]:
    # highdicom 0.28 does not read maps of real numbers back; pydicom does.
    values = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    if len(values) != int(dataset.NumberOfFrames) or not np.isfinite(values).all():
        yield "its values are not what its header says, or not finite"


def _references(dataset: Any) -> Iterator[str]:
    """Whatever an object refers to stands in its list of series and instances too (PS3.3 C.12.2, C.17.2)."""
    listed = set()
    sequences = [dataset.get("ReferencedSeriesSequence") or ()]
    for study in dataset.get("CurrentRequestedProcedureEvidenceSequence") or ():
        sequences.append(study.get("ReferencedSeriesSequence") or ())
    for series in (one for sequence in sequences for one in sequence):
        for keyword in ("ReferencedInstanceSequence", "ReferencedSOPSequence", "ReferencedImageSequence"):
            listed |= {str(one.ReferencedSOPInstanceUID) for one in series.get(keyword) or ()}
    used = {str(one.value) for one in dataset.iterall() if one.keyword == "ReferencedSOPInstanceUID"}
    if not listed:
        yield "it refers to no source image"
    if used - listed:
        yield f"{len(used - listed)} of the instances that it refers to are not in its list of references"
