# SPDX-License-Identifier: Apache-2.0
"""A chest phantom as a hospital would send it: a DICOM study of one computed or digital radiograph.

What was asked of a machine is in the file (view, laterality, spacing, window); what is true of the picture is in a JSON
file beside it. All identifiers come from the content, so that the same phantom is the same study everywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from monai_causal import __version__
from monai_causal.data.phantoms.chest import ChestPhantom, chest
from monai_causal.extras import require

__all__ = ["KINDS", "truth_of", "write_phantom_study"]

Kind = Literal["cr", "dx"]
KINDS: tuple[Kind, ...] = ("cr", "dx")
SCHEMA = "monai_causal/phantom-study/1"

_CLASSES = {"cr": "1.2.840.10008.5.1.4.1.1.1", "dx": "1.2.840.10008.5.1.4.1.1.1.1"}
_BITS = 12
_WIDTH = 350.0  # mm at the detector: a cassette for an adult's chest
_MOMENT = ("20200101", "120000")


def write_phantom_study(
    seed: int, out: Path, size: tuple[int, int] = (1024, 1024), kind: Kind = "dx", **options: Any
) -> Path:
    """Write a chest phantom as a DICOM study of one image.

    Args:
        seed: of the phantom.
        out: a folder, for ``study-SEED/image.dcm`` and, of what is true of it, ``study-SEED/truth.json``.
        size: rows and columns.
        kind: ``"dx"``, stored bright for bone; or ``"cr"``, stored as film has it, bright for air (MONOCHROME1).
        options: of :func:`~monai_causal.data.phantoms.chest.chest`, such as ``findings=["cardiomegaly"]``.

    Returns:
        The study's folder.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: choose one of {', '.join(KINDS)}.")
    if not 0 <= seed < 10**12:
        raise ValueError(f"seed={seed}: give a number from 0 to 999999999999; it becomes the patient's.")
    phantom = chest(seed, size=size, **options)
    folder = Path(out) / f"study-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    # The truth first: a study whose truth is missing would look like a patient's.
    (folder / "truth.json").write_text(
        json.dumps({"schema": SCHEMA, "seed": seed, "kind": kind, **truth_of(phantom)}, indent=2) + "\n",
        encoding="utf-8",
    )
    dataset = _dataset(seed, phantom.image[0], kind)
    require("pydicom").dcmwrite(folder / "image.dcm", dataset, enforce_file_format=True)
    return folder


def truth_of(phantom: ChestPhantom) -> dict[str, Any]:
    """Findings with boxes (x0, y0, x1, y1, half-open) and the concepts that show them; artefacts; answers; causes."""

    def thing(one: Any) -> dict[str, Any]:
        (top, bottom), (left, right) = one.box
        return {
            "strength": one.strength,
            "side": one.side,
            "box": [left, top, right, bottom],
            "concepts": list(one.concepts),
        }

    return {
        "size": list(phantom.image.shape[1:]),
        "answers": phantom.answers,
        "findings": {name: thing(one) for name, one in phantom.findings.items()},
        "artefacts": {name: thing(one) for name, one in phantom.artefacts.items()},
        "causes": json.loads(json.dumps(asdict(phantom.causes), default=_plain)),
    }


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else list(value)


def _dataset(seed: int, image: NDArray[np.float32], kind: Kind) -> Any:
    uid = require("pydicom.uid")
    top = 2**_BITS - 1
    stored = np.rint(image * top).astype(np.uint16)
    if kind == "cr":
        stored = top - stored
    spacing = _decimal(_WIDTH / image.shape[1])
    date, time = _MOMENT
    content: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "ImageType": ["DERIVED", "PRIMARY", ""],
        "SOPClassUID": _CLASSES[kind],
        **{f"{what}Date": date for what in ("Study", "Series", "Acquisition", "Content")},
        **{f"{what}Time": time for what in ("Study", "Series", "Acquisition", "Content")},
        "AccessionNumber": "",
        "Modality": kind.upper(),
        "Manufacturer": "monai_causal",
        "ManufacturerModelName": "chest phantom",
        "SoftwareVersions": __version__,
        "ReferringPhysicianName": "",
        "StudyDescription": "Rendered chest phantom",
        "SeriesDescription": f"Phantom {seed}, rendered",
        "DerivationDescription": "rendered by a computer; no patient",
        "PatientName": f"Phantom^Chest {seed}",
        "PatientID": f"PHANTOM-{seed}",
        "PatientBirthDate": "",
        "PatientSex": "O",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "PatientOrientation": ["L", "F"],
        "StudyID": str(seed)[:16],
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "ImagerPixelSpacing": [spacing, spacing],
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2" if kind == "dx" else "MONOCHROME1",
        "Rows": image.shape[0],
        "Columns": image.shape[1],
        "BitsAllocated": 16,
        "BitsStored": _BITS,
        "HighBit": _BITS - 1,
        "PixelRepresentation": 0,
        "WindowCenter": _decimal(2 ** (_BITS - 1)),
        "WindowWidth": _decimal(2**_BITS),
    }
    if kind == "dx":
        content |= {
            "PresentationIntentType": "FOR PRESENTATION",
            "PixelIntensityRelationship": "LOG",
            "PixelIntensityRelationshipSign": -1,
            "RescaleIntercept": "0",
            "RescaleSlope": "1",
            "RescaleType": "US",
            "PresentationLUTShape": "IDENTITY",
            "DetectorType": "DIRECT",
            "PositionerType": "",
            "AnatomicRegionSequence": [_code("816094009", "SCT", "Chest")],
            "ViewCodeSequence": [_code("272479007", "SCT", "postero-anterior", ViewModifierCodeSequence=[])],
            "AcquisitionContextSequence": [],
            "ImageLaterality": "U",
        }
    dataset = _filled(content)
    dataset.PixelData = stored.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode() + dataset.PixelData).digest()
    dataset.StudyInstanceUID = _uid(digest, "study")
    dataset.SeriesInstanceUID = _uid(digest, "series")
    dataset.SOPInstanceUID = _uid(digest, "instance")
    dataset.file_meta = require("pydicom.dataset").FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    return dataset


def _filled(content: Mapping[str, Any]) -> Any:
    dataset = require("pydicom.dataset").Dataset()
    for keyword, value in content.items():
        setattr(dataset, keyword, value)
    return dataset


def _code(value: str, scheme: str, meaning: str, **more: Any) -> Any:
    return _filled({"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning, **more})


def _uid(digest: bytes, what: str) -> str:
    # As PS3.5 B.2 makes UIDs of UUIDs: 128 bits under 2.25.
    return f"2.25.{int.from_bytes(hashlib.sha256(digest + what.encode()).digest()[:16], 'big')}"


def _decimal(value: float) -> str:
    """At most 16 characters, as a decimal string has them."""
    return f"{value:.6g}"
