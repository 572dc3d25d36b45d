# SPDX-License-Identifier: Apache-2.0
"""Small studies for the tests of looking through them: radiographs, slices, a report, and canaries everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from tests.dicom.encodings import radiograph, written

ROOT = "1.2.826.0.1.3680043.10.9"
REPORT = "1.2.840.10008.5.1.4.1.1.88.33"
SECONDARY = "1.2.840.10008.5.1.4.1.1.7"
CANARY = "CANARY"


def image(number: int, series: int = 1, study: int = 1, **values: Any) -> Dataset:
    """A radiograph with UIDs of its place in a study; no time tells when it was made."""
    ds = radiograph(**{"InstanceNumber": number, "SeriesNumber": series, **values})
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.{study}", f"{ROOT}.{study}.{series}"
    ds.SOPInstanceUID = f"{ROOT}.{study}.{series}.{number}"
    return ds


def report(number: int, study: int = 1) -> Dataset:
    """A structured report without content."""
    ds = image(number, series=9, study=study, SOPClassUID=REPORT, Modality="SR")
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "ViewPosition"):
        delattr(ds, keyword)
    return ds


def ct_slice(number: int, position: float, **values: Any) -> Dataset:
    """A slice of 5 columns and 4 rows with its number in its pixels; oblique, so that no sign is hidden by a zero."""
    cells = (np.arange(20, dtype=np.int16) + 100 * number - 1000).reshape(4, 5)
    ds = radiograph(cells, 16)
    for keyword in ("ViewPosition", "PatientOrientation", "ImagerPixelSpacing", "WindowCenter", "WindowWidth"):
        delattr(ds, keyword)
    across, down = np.array([0.96, 0.28, 0.0]), np.array([0.0, 0.0, -1.0])
    normal = np.cross(across, down)
    ds.SOPClassUID, ds.Modality, ds.InstanceNumber = "1.2.840.10008.5.1.4.1.1.2", "CT", number
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.7", f"{ROOT}.7.1"
    ds.SOPInstanceUID, ds.FrameOfReferenceUID = f"{ROOT}.7.1.{number}", f"{ROOT}.7.2"
    ds.ImagePositionPatient = [round(float(v), 6) for v in np.array([-31.7, 12.25, 801.5]) + position * normal]
    ds.ImageOrientationPatient = [*map(float, across), *map(float, down)]
    ds.PixelSpacing, ds.SliceThickness = ["0.73", "0.61"], "2"
    ds.RescaleSlope, ds.RescaleIntercept = "1", "-24"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def lay(folder: Path, files: dict[str, Dataset | bytes], syntax: UID = ExplicitVRLittleEndian) -> Path:
    """Write files below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else written(content, syntax))
    return folder


def with_canaries(ds: Dataset) -> Dataset:
    """The same with a planted word in every text attribute that may hold one, an unknown and a private one too."""
    texts = (
        *("PatientName", "PatientID", "PatientAddress", "OtherPatientNames", "PatientComments", "AccessionNumber"),
        *("StudyID", "StudyDescription", "SeriesDescription", "ProtocolName", "InstitutionName", "StationName"),
        *("ReferringPhysicianName", "OperatorsName", "PerformingPhysicianName", "ImageComments", "Occupation"),
        *("RequestedProcedureDescription", "AdmittingDiagnosesDescription", "BodyPartExamined", "Manufacturer"),
        *("DerivationDescription", "WindowCenterWidthExplanation", "AcquisitionDeviceProcessingDescription"),
        *("ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "ContrastBolusAgent"),
    )
    with disable_value_validation():  # pydicom says an unfit value aloud: these words would be the test's own
        for keyword in texts:
            setattr(ds, keyword, f"{CANARY}{keyword}"[:16])  # as much as the shortest of them may hold
    ds.Modality = f"{CANARY}MOD"
    ds.ImageType = [f"{CANARY}TYPE", "PRIMARY"]
    ds.PatientBirthDate, ds.AcquisitionDate, ds.AcquisitionTime = "19870613", "19870614", "131313"
    ds.add_new(0x00091001, "LO", f"{CANARY}PRIVATE")
    ds.add_new(0x00090010, "LO", f"{CANARY}CREATOR")
    item = Dataset()
    item.CodeMeaning, item.CodeValue = f"{CANARY}MEANING", f"{CANARY}VALUE"
    ds.AnatomicRegionSequence = [item]
    return ds
