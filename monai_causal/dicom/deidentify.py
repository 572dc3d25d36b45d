# SPDX-License-Identifier: Apache-2.0
"""De-identification by the Basic Profile of PS3.15 Annex E, with named options.

What it does not do: it does not clean pixels. Text burned into a picture, and a face that could be drawn from a volume,
stay. It does not clean free text either, so descriptions are removed. Reports, presentation states with annotations and
encapsulated documents are refused, because their very content would have to be cleaned.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import io
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from monai_causal.dicom.errors import DicomError, guarded
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.safe_private import Declared, declared_blocks, safe_tags
from monai_causal.dicom.safety import open_dicom
from monai_causal.dicom.tags import codes
from monai_causal.extras import require
from monai_causal.files import draft_of

__all__ = ["OPTIONS", "SCHEMA", "UNCLEANED", "deidentify", "deidentify_dataset", "in_words"]

SCHEMA = "monai_causal/deidentification/1"
UNCLEANED = "text burned into pictures and recognizable features in pixels are not cleaned"

OPTIONS = {
    "retain-uids": ("113110", "Retain UIDs Option"),
    "retain-full-dates": ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    "retain-modified-dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "retain-patient-characteristics": ("113108", "Retain Patient Characteristics Option"),
    "retain-device-identity": ("113109", "Retain Device Identity Option"),
    "retain-institution-identity": ("113112", "Retain Institution Identity Option"),
    "retain-safe-private": ("113111", "Retain Safe Private Option"),
}
"""Options of PS3.15 E.3 by name, with their codes (CID 7050)."""
_BASIC = ("113100", "Basic Application Confidentiality Profile")

_DATES = ("DA", "TM", "DT")
_BIRTH = ("PatientBirthDate", "PatientBirthTime")
_CHARACTERISTICS = (
    *("EthnicGroup", "PatientAge", "PatientSex", "PatientSexNeutered", "PatientSize", "PatientWeight"),
    *("PregnancyStatus", "SmokingStatus"),
)
_DEVICE = (
    *("StationName", "DeviceSerialNumber", "DeviceUID", "DeviceDescription", "DeviceLabel", "PlateID", "CassetteID"),
    *("DetectorID", "GantryID", "GeneratorID", "LensMake", "LensModel", "LensSerialNumber", "LensSpecification"),
    *("ManufacturerDeviceClassUID", "ManufacturerDeviceIdentifier", "PerformedStationAETitle"),
    *("PerformedStationName", "PerformedStationNameCodeSequence", "PerformedStationGeographicLocationCodeSequence"),
    *("ScheduledProcedureStepLocation", "ScheduledStationAETitle", "ScheduledStationName"),
    *("ScheduledStationNameCodeSequence", "ScheduledStationGeographicLocationCodeSequence"),
    *("ScheduledStudyLocation", "ScheduledStudyLocationAETitle", "SourceManufacturer", "SourceSerialNumber"),
)
_INSTITUTION = (
    *("InstitutionName", "InstitutionAddress", "InstitutionCodeSequence", "InstitutionalDepartmentName"),
    *("InstitutionalDepartmentTypeCodeSequence", "ClinicalTrialCoordinatingCenterName", "ClinicalTrialSiteID"),
    *("ClinicalTrialSiteName", "ClinicalTrialProtocolEthicsCommitteeName"),
)
_UNCLEANABLE = {
    "ContentSequence": "a report: its text is not cleaned here",
    "GraphicAnnotationSequence": "a presentation state with annotations: their text is not cleaned here",
    "EncapsulatedDocument": "an encapsulated document: it is not cleaned here",
}
_DUMMIES: dict[str, Any] = {
    **dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"), "ANONYMIZED"),
    **{"DA": "19000101", "TM": "000000", "DT": "19000101000000", "AS": "000Y", "DS": "0", "IS": "0", "UR": "urn:none"},
    **{"US": 0, "SS": 0, "UL": 0, "SL": 0, "FL": 0.0, "FD": 0.0, "UN": b"", "OB": b"", "OW": b""},
}
_CHARACTERIZED = "PrivateDataElementCharacteristicsSequence"
_MOST_DAYS = 3650
_SHORT = 16


def deidentify(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    options: Sequence[str] = (),
    key: bytes | None = None,
    burned_in: bool = False,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """De-identify a file, or all files of a folder with all below it.

    Args:
        source: where they are.
        out: a folder for the results, made if it is not there; files and folders in it are named by digests.
        options: of :data:`OPTIONS`.
        key: a secret. New UIDs, pseudonyms and the shift of dates come from it: with the same key they are the same
            again. By default it is drawn and forgotten, so that they are the same within this call only.
        burned_in: take also images whose header says that text is burned in. It stays.
        limits: what each file may ask for.

    Returns:
        plain values, made for JSON: ``options``, ``uncleaned`` (what stays in the pixels), and ``files`` with ``item``,
        ``status`` (ok or refused), ``reason`` and ``remarks``; no word of it comes from a file.

    Raises:
        DicomError: the source is not there, or ``out`` lies in it.
        ValueError: an option is unknown or contradicts another.
    """
    _check(options)
    secret = key or secrets.token_bytes(32)
    source, out = Path(source), Path(out)
    if not source.exists():
        raise DicomError("the file or folder is not there")
    if out.resolve() == source.resolve() or source.resolve() in out.resolve().parents:
        raise DicomError("the folder for the results lies in the source: give another one")
    rows = []
    for number, path in enumerate(_files(source), start=1):
        item, remarks = f"file {number}", []
        try:
            opened = open_dicom(path, limits)
            item = f"file {number} ({opened.digest[:12]})"
            remarks = _doubts(opened.dataset, burned_in)
            with guarded("de-identifying it", item=item):
                dataset = require("pydicom").dcmread(path)
                _write(out, deidentify_dataset(dataset, options=options, key=secret))
        except DicomError as error:
            rows.append({"item": item, "status": "refused", "reason": error.reason, "remarks": []})
        else:
            rows.append({"item": item, "status": "ok", "reason": "", "remarks": remarks})
    return {
        "schema": SCHEMA,
        "ok": bool(rows) and all(row["status"] == "ok" for row in rows),
        "options": list(options),
        "uncleaned": UNCLEANED,
        "files": rows,
    }


def in_words(report: dict[str, Any]) -> str:
    """What :func:`deidentify` did, as text."""
    rows = report["files"]
    done = sum(row["status"] == "ok" for row in rows)
    options = f" with {', '.join(report['options'])}" if report["options"] else ""
    lines = [f"{done} of {len(rows)} files de-identified by the Basic Profile of PS3.15{options}"]
    lines.append(f"Beware: {report['uncleaned']}")
    lines += [f"  {row['item']}: refused: {row['reason']}" for row in rows if row["status"] == "refused"]
    lines += [f"  {row['item']}: {remark}" for row in rows for remark in row["remarks"]]
    return "\n".join(lines)


def deidentify_dataset(dataset: Any, *, options: Sequence[str] = (), key: bytes) -> Any:
    """A data set without what identifies the patient; the one given is changed and must not be used any more.

    Args:
        dataset: with its file meta information.
        options: of :data:`OPTIONS`.
        key: a secret, see :func:`deidentify`.

    Raises:
        DicomError: its content itself would have to be cleaned.
    """
    _check(options)
    for keyword, reason in _UNCLEANABLE.items():
        if keyword in dataset:
            raise DicomError(f"it is {reason}")
    patient = str(dataset.get("PatientID") or dataset.get("PatientName") or "")
    days = 1 + int.from_bytes(_mac(key, "days", patient)[:8], "big") % _MOST_DAYS
    _clean(dataset, frozenset(options), key, datetime.timedelta(days=days), declared_blocks(dataset))
    pseudonym = f"ANON-{_mac(key, 'patient', patient).hex()[:_SHORT]}"
    dataset.PatientID = dataset.PatientName = pseudonym
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "monai_causal: PS3.15 Basic Profile; pixels not cleaned"
    dataset.DeidentificationMethodCodeSequence = [_code(*_BASIC), *(_code(*OPTIONS[name]) for name in options)]
    dataset.LongitudinalTemporalInformationModified = (
        "UNMODIFIED"
        if "retain-full-dates" in options
        else "MODIFIED"
        if "retain-modified-dates" in options
        else "REMOVED"
    )
    meta = require("pydicom").dataset.FileMetaDataset()  # the old one may name who sent it
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    dataset.file_meta = meta
    dataset.preamble = bytes(128)
    return dataset


def _check(options: Sequence[str]) -> None:
    for name in options:
        if name not in OPTIONS:
            raise ValueError(f"option {name!r}: give one of {', '.join(OPTIONS)}.")
    if {"retain-full-dates", "retain-modified-dates"} <= set(options):
        raise ValueError("options: dates are retained in full or modified, not both; leave one out.")


def _files(source: Path) -> Iterator[Path]:
    if source.is_dir():
        yield from (path for path in sorted(source.rglob("*")) if path.is_file() and not path.is_symlink())
    else:
        yield source


def _doubts(header: Any, burned_in: bool) -> list[str]:
    """What may still show the patient; text that is declared to be burned in is refused unless it is taken."""
    said = codes(header, "BurnedInAnnotation")
    if "YES" in said and not burned_in:
        raise DicomError("its header says that text is burned into the picture, which is not cleaned here")
    remarks = []
    if "YES" in said:
        remarks.append("text is burned into the picture and stays")
    elif "NO" not in said and "Rows" in header:
        remarks.append("its header does not say whether text is burned into the picture; look at it")
    if "YES" in codes(header, "RecognizableVisualFeatures"):
        remarks.append("its header says that the patient may be recognized in the picture")
    return remarks


def _write(out: Path, dataset: Any) -> None:
    folder = out / _digest(str(dataset.get("StudyInstanceUID") or ""))
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    require("pydicom").dcmwrite(buffer, dataset, enforce_file_format=True)
    with draft_of(folder / f"{_digest(str(dataset.SOPInstanceUID))}.dcm") as draft:
        draft.write_bytes(buffer.getvalue())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_SHORT]


@lru_cache(maxsize=1)
def _actions() -> dict[int, str]:
    """What the Basic Profile does with which tag."""
    content = json.loads((files("monai_causal.dicom") / "deidentify_profile.json").read_text(encoding="utf-8"))
    return {int(tag, 16): action for action, tags in content["actions"].items() for tag in tags}


def _action(element: Any, options: frozenset[str], safe: frozenset[int]) -> str:
    """X, Z, D, U, K (keep), or C (dates: shift), for one element; ``safe``: private ones that are kept."""
    tag, keyword, vr = element.tag, element.keyword, element.VR
    if (tag.is_private and int(tag) not in safe) or 0x5000 <= tag.group <= 0x50FF or 0x6000 <= tag.group <= 0x60FF:
        return "X"
    for option, keywords in (
        ("retain-patient-characteristics", _CHARACTERISTICS),
        ("retain-device-identity", _DEVICE),
        ("retain-institution-identity", _INSTITUTION),
    ):
        if option in options and keyword in keywords:
            return "K"
    if vr == "UI":
        return "K" if "retain-uids" in options else "U"  # more than the table names: any that is no class or syntax
    listed = _actions().get(int(tag))
    if tag.is_private and vr in _DATES:
        listed = "X"  # the table does not know it, but it is a date
    if listed is None:
        return "X" if vr == "PN" else "K"  # a name that the table does not know is a name all the same
    if vr in _DATES and keyword not in _BIRTH:
        if "retain-full-dates" in options:
            return "K"
        if "retain-modified-dates" in options:
            return "C"
    if listed == "X/Z/U*":
        return "K"  # a sequence of references: kept, with other UIDs in it
    if vr in _DATES and "X" in listed:
        return "X"
    return "D" if "D" in listed else "Z" if "Z" in listed else listed


def _clean(dataset: Any, options: frozenset[str], key: bytes, shift: datetime.timedelta, declared: Declared) -> None:
    safe = safe_tags(dataset, declared) if "retain-safe-private" in options else frozenset()
    if _CHARACTERIZED in dataset:  # of blocks that are gone it says nothing any more
        dataset[_CHARACTERIZED].value = [one for one in dataset[_CHARACTERIZED].value if _is_there(one, dataset, safe)]
        if not dataset[_CHARACTERIZED].value:
            del dataset[_CHARACTERIZED]
    for element in list(dataset):
        action = _action(element, options, safe)
        if element.VR == "SQ":
            if action in ("X", "D"):
                del dataset[element.tag]
            elif action == "Z":
                element.value = []
            else:
                for item in element.value:
                    _clean(item, options, key, shift, declared)
        elif action == "X":
            del dataset[element.tag]
        elif action == "Z":
            element.value = None
        elif action == "D":
            element.value = _DUMMIES.get(element.VR)
        elif action == "U":
            element.value = _other_uids(element.value, key)
        elif action == "C":
            _shift(dataset, element, shift)


def _is_there(characteristics: Any, dataset: Any, safe: frozenset[int]) -> bool:
    """Whether something is kept of the private block that an item speaks of."""
    place = characteristics.get("PrivateGroupReference"), str(characteristics.get("PrivateCreatorReference"))
    creators = [dataset[tag] for tag in safe if tag & 0xFFFF < 0x100]
    return place in [(one.tag.group, str(one.value)) for one in creators]


def _other_uids(value: Any, key: bytes) -> Any:
    if not value:
        return value
    if isinstance(value, str):
        known = value in require("pydicom.uid").UID_dictionary
        return value if known else f"2.25.{int.from_bytes(_mac(key, 'uid', str(value))[:16], 'big')}"
    return [_other_uids(one, key) for one in value]


def _shift(dataset: Any, element: Any, shift: datetime.timedelta) -> None:
    """Dates are moved, times of day stay; a date that cannot be read is removed."""
    if element.VR == "TM":
        return
    values = element.value if element.VM > 1 else [element.value] if element.value else []
    moved = []
    for value in values:
        match = re.fullmatch(r"(\d{8})(.*)", str(value))
        try:
            day = datetime.datetime.strptime(match.group(1) if match else "", "%Y%m%d")
        except ValueError:
            del dataset[element.tag]
            return
        assert match is not None
        moved.append(f"{(day - shift):%Y%m%d}{match.group(2)}")
    element.value = moved if len(moved) > 1 else moved[0] if moved else None


def _mac(key: bytes, what: str, text: str) -> bytes:
    return hmac.new(key, f"{what} {text}".encode(), hashlib.sha256).digest()


def _code(value: str, meaning: str) -> Any:
    code = require("pydicom").Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code
