# SPDX-License-Identifier: Apache-2.0
"""What makes an object belong to its source: patient, study, references, equipment, and dates that no clock gives.

highdicom is given a header without a patient: it would log a name that it finds odd, and refuse a study whose patient
has a sex or a date of birth that the standard does not know. Patient and study are copied over afterwards, as they are.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from monai_causal import __version__
from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.objects.content import Algorithm, Code
from monai_causal.dicom.objects.uids import uid_of
from monai_causal.dicom.silence import Silence
from monai_causal.dicom.tags import codes
from monai_causal.extras import require

__all__ = [
    "CARRIED",
    "MANUFACTURER",
    "Origin",
    "adopt",
    "coded",
    "device_uid",
    "filled",
    "made_as",
    "neutral",
    "origin_of",
    "unlogged",
]

MANUFACTURER = "monai_causal"
_SCHEME = "99MCAUSAL"
_SCHEME_NAME = "Codes of the monai_causal project"
_OTHERWISE = ("19000101", "000000")
"""date and time of an object whose source has none"""

_PATIENT = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "TypeOfPatientID", "IssuerOfPatientIDQualifiersSequence"),
    *("PatientBirthDate", "PatientBirthTime", "PatientBirthDateInAlternativeCalendar", "PatientAlternativeCalendar"),
    *("PatientDeathDateInAlternativeCalendar", "PatientSex", "QualityControlSubject", "OtherPatientNames"),
    *("OtherPatientIDsSequence", "EthnicGroupCodeSequence", "ReferencedPatientSequence", "PatientComments"),
    *("PatientSpeciesDescription", "PatientSpeciesCodeSequence", "PatientBreedDescription"),
    *("PatientBreedCodeSequence", "BreedRegistrationSequence", "ResponsiblePerson", "ResponsiblePersonRole"),
    *("ResponsibleOrganization", "PatientIdentityRemoved", "DeidentificationMethod"),
    "DeidentificationMethodCodeSequence",
)
_TRIAL = (
    *("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID"),
    *("ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID"),
    *("ClinicalTrialProtocolEthicsCommitteeName", "ClinicalTrialProtocolEthicsCommitteeApprovalNumber"),
    *("ClinicalTrialTimePointID", "ClinicalTrialTimePointDescription", "ConsentForClinicalTrialUseSequence"),
    *("LongitudinalTemporalOffsetFromEvent", "LongitudinalTemporalEventType"),
)
_STUDY = (
    *("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "IssuerOfAccessionNumberSequence", "StudyID"),
    *("ReferringPhysicianName", "ReferringPhysicianIdentificationSequence", "ConsultingPhysicianName"),
    *("ConsultingPhysicianIdentificationSequence", "StudyDescription", "ProcedureCodeSequence", "PhysiciansOfRecord"),
    *("PhysiciansOfRecordIdentificationSequence", "NameOfPhysiciansReadingStudy", "ReferencedStudySequence"),
    *("PhysiciansReadingStudyIdentificationSequence", "RequestingService", "RequestingServiceCodeSequence"),
    *("ReasonForPerformedProcedureCodeSequence", "TimezoneOffsetFromUTC", "LongitudinalTemporalInformationModified"),
)
_PATIENT_STUDY = (
    *("AdmittingDiagnosesDescription", "AdmittingDiagnosesCodeSequence", "PatientAge", "PatientSize"),
    *("PatientWeight", "PatientBodyMassIndex", "PatientSizeCodeSequence", "MedicalAlerts", "Allergies", "Occupation"),
    *("SmokingStatus", "AdditionalPatientHistory", "PregnancyStatus", "LastMenstrualDate", "PatientSexNeutered"),
    *("ReasonForVisit", "ReasonForVisitCodeSequence", "AdmissionID", "IssuerOfAdmissionIDSequence", "PatientState"),
    *("ServiceEpisodeID", "IssuerOfServiceEpisodeIDSequence", "ServiceEpisodeDescription"),
)
CARRIED = (*_PATIENT, *_TRIAL, *_STUDY, *_PATIENT_STUDY)
"""What is the source's, copied as it is: of the patient and of the study."""
# Type 2: there, if need be empty.
_ALWAYS = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber"),
    *("StudyID", "ReferringPhysicianName"),
)
_DEMANDED = frozenset((*_ALWAYS, "StudyInstanceUID"))
_EQUIPMENT = (
    *("Manufacturer", "InstitutionName", "InstitutionAddress", "StationName", "InstitutionalDepartmentName"),
    *("ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "DeviceUID"),
)
_NEUTRAL = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "InstanceNumber"),
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PatientOrientation"),
)
_POSITION = (
    *("FrameOfReferenceUID", "PositionReferenceIndicator", "ImagePositionPatient", "ImageOrientationPatient"),
    *("PixelSpacing", "SpacingBetweenSlices", "SliceThickness"),
)
_UNPAIRED = (
    *("ABDOMEN", "ABDOMENPELVIS", "AORTA", "BLADDER", "BRAIN", "CHEST", "CHESTABDOMEN", "CHESTABDPELVIS"),
    *("COCCYX", "COLON", "CSPINE", "CTSPINE", "DUODENUM", "ESOPHAGUS", "GALLBLADDER", "HEAD", "HEADNECK"),
    *("HEART", "ILEUM", "JEJUNUM", "LARYNX", "LIVER", "LSPINE", "LSSPINE", "MEDIASTINUM", "MOUTH", "NECK"),
    *("NECKCHEST", "NECKCHESTABDOMEN", "NECKCHESTABDPELV", "NOSE", "PANCREAS", "PELVIS", "PENIS", "PHARYNX"),
    *("PROSTATE", "RECTUM", "SKULL", "SPINE", "SPLEEN", "SSPINE", "STERNUM", "STOMACH", "THYMUS", "THYROID"),
    *("TLSPINE", "TONGUE", "TRACHEA", "TSPINE", "URETHRA", "UTERUS", "VAGINA", "WHOLEBODY"),
)
"""Values of BodyPartExamined (PS3.16 Annex L) that have no side."""
_SILENCE = Silence()
_MOMENTS = ("Content", "Acquisition", "Series", "Study")


@dataclass(frozen=True, eq=False)
class Origin:
    """The source of a result.

    Args:
        headers: of its images, in order; they hold patient data.
        algorithm: who made the result.
        moment: date and time that the objects bear.
        description: of the series, in a few words.
    """

    headers: tuple[Any, ...]
    algorithm: Algorithm
    moment: tuple[str, str]
    description: str

    def __repr__(self) -> str:  # headers in a log or a traceback would be the patient's
        return f"Origin({len(self.headers)} images, {self.algorithm.name})"

    @property
    def header(self) -> Any:
        """Of the first image."""
        return self.headers[0]


def origin_of(
    headers: Sequence[Any], algorithm: Algorithm, description: str, moment: tuple[str, str] | None = None
) -> Origin:
    """Where results of these images belong.

    Raises:
        DicomError: an image lacks a UID, so that nothing could refer to it.
    """
    for place, header in enumerate(headers):
        for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            if not str(header.get(keyword) or "").strip(" \0"):
                raise DicomError(f"it has no {keyword}: a result could not refer to it", item=f"image {place + 1}")
    # A backslash would begin another value, and a control character has no place in one.
    title = "".join(one if one.isprintable() else " " for one in description.replace("\\", "/"))
    return Origin(tuple(headers), algorithm, moment or _moment(headers[0]), " ".join(title.split())[:64])


def unlogged() -> AbstractContextManager[None]:
    """Drop what highdicom logs in this thread while the block runs: it names the UIDs of the source."""
    for part in ("sr", "seg", "sc", "pr", "pm"):  # whose loggers are made when they are imported
        require(f"highdicom.{part}")
    return _SILENCE.of([name for name in logging.root.manager.loggerDict if name.split(".")[0] == "highdicom"])


def filled(**values: Any) -> Any:
    """A data set with these attributes."""
    dataset = require("pydicom").Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def coded(code: Code) -> Any:
    """A code as highdicom takes it."""
    return require("highdicom.sr").CodedConcept(code.value, code.scheme, code.meaning)


def neutral(header: Any, *, positioned: bool = False) -> Any:
    """What highdicom is shown of a source image: references and the pixels' description, but no patient.

    Args:
        header: of the image.
        positioned: also where it lies in the patient. Of a radiograph never, not even where it names a frame of
            reference: highdicom would look for a position that it has not.
    """
    dataset = require("pydicom").Dataset()
    for keyword in (*_NEUTRAL, *(_POSITION if positioned else ())):
        if keyword in header and not _empty(header[keyword].value):
            dataset[keyword] = header[keyword]
    for keyword in _ALWAYS:
        setattr(dataset, keyword, None)
    dataset.file_meta = (
        header.file_meta if hasattr(header, "file_meta") else require("pydicom").dataset.FileMetaDataset()
    )
    return dataset


def adopt(dataset: Any, origin: Origin, kind: str, number: int) -> None:
    """Make an object one of the source's study, made by the algorithm, at the source's moment.

    Args:
        dataset: what highdicom made of :func:`neutral` headers.
        origin: whose it becomes.
        kind: ``"seg"``, ``"sr"`` ...
        number: of its series.
    """
    header = origin.header
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword in CARRIED:
        if keyword in header and (keyword in _DEMANDED or _valid(header[keyword])):
            dataset[keyword] = header[keyword]
        elif keyword in _ALWAYS:
            setattr(dataset, keyword, None)
        elif keyword in dataset:
            del dataset[keyword]
    date, time = origin.moment
    for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
        if keyword in dataset:
            del dataset[keyword]
    for keyword in ("ContentDate", "PresentationCreationDate", "DateOfSecondaryCapture"):
        if keyword in dataset:
            setattr(dataset, keyword, date)
    for keyword in ("ContentTime", "PresentationCreationTime", "TimeOfSecondaryCapture"):
        if keyword in dataset:
            setattr(dataset, keyword, time)
    dataset.SeriesDate, dataset.SeriesTime = date, time
    dataset.SeriesNumber, dataset.InstanceNumber = number, 1
    dataset.SeriesDescription = origin.description
    if kind != "sr":  # a report's series has neither
        part = next(iter(codes(header, "BodyPartExamined")), "")
        if part:
            dataset.BodyPartExamined = part
        # A series of a part that may have a side says so, or that it does not know; a segmentation's segments do it.
        if part not in _UNPAIRED and kind != "seg":
            dataset.Laterality = _side(header)
    dataset.ContributingEquipmentSequence = _contributors(origin)
    algorithm = origin.algorithm
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = algorithm.name[:64]
    dataset.SoftwareVersions = [__version__, *([algorithm.version] if algorithm.version != __version__ else [])]
    dataset.DeviceSerialNumber = algorithm.model_digest[:64]
    dataset.DeviceUID = device_uid(algorithm)
    dataset.CodingSchemeIdentificationSequence = [
        filled(
            CodingSchemeDesignator=_SCHEME,
            CodingSchemeName=_SCHEME_NAME,
            CodingSchemeResponsibleOrganization=MANUFACTURER,
        )
    ]


def made_as(origin: Origin, seed: str, number: int) -> dict[str, Any]:
    """What highdicom is told of every object that has a whole maker: who made it, and as which of which series.

    Args:
        origin: whose it becomes.
        seed: of UIDs, which :func:`~monai_causal.dicom.objects.uids.seal` replaces in the end.
        number: of its series.
    """
    return {
        "series_instance_uid": uid_of(seed, "series"),
        "series_number": number,
        "sop_instance_uid": uid_of(seed, "instance"),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": origin.algorithm.name,
        "software_versions": origin.algorithm.version,
        "device_serial_number": origin.algorithm.model_digest,
    }


def device_uid(algorithm: Algorithm) -> str:
    """Of the algorithm with its model: another one whenever either changes, as IHE AI Results asks."""
    return uid_of("device", algorithm.name, algorithm.version, algorithm.model, algorithm.model_digest)


def _contributors(origin: Origin) -> list[Any]:
    """What took the picture, and what explained it."""
    items = []
    header = origin.header
    there = [word for word in _EQUIPMENT if word in header and not _empty(header[word].value) and _valid(header[word])]
    if "Manufacturer" in there:
        item = filled(PurposeOfReferenceCodeSequence=[coded(Code("DCM", "109101", "Acquisition Equipment"))])
        for keyword in there:
            item[keyword] = header[keyword]
        items.append(item)
    algorithm = origin.algorithm
    items.append(
        filled(
            PurposeOfReferenceCodeSequence=[coded(Code("DCM", "109102", "Processing Equipment"))],
            Manufacturer=MANUFACTURER,
            ManufacturerModelName=algorithm.name[:64],
            SoftwareVersions=algorithm.version[:64],
            DeviceSerialNumber=algorithm.model_digest[:64],
            DeviceUID=device_uid(algorithm),
            ContributionDescription=f"explained the answer of the model {algorithm.model}"[:1024],
        )
    )
    return items


def _side(header: Any) -> str | None:
    """The side of a paired part of the body; a series has to say at least that it is unknown."""
    return next(
        (side for word in ("Laterality", "ImageLaterality") for side in codes(header, word) if side in "LR"), None
    )


def _moment(header: Any) -> tuple[str, str]:
    """The newest thing that the source says about itself."""
    for what in _MOMENTS:
        date = str(header.get(f"{what}Date") or "").strip(" \0")
        if re.fullmatch(r"[12]\d{3}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", date):
            time = str(header.get(f"{what}Time") or "").strip(" \0")
            return date, time if re.fullmatch(r"([01]\d|2[0-3])([0-5]\d){2}(\.\d{1,6})?", time) else "000000"
    return _OTHERWISE


def _valid(element: Any) -> bool:
    """Whether a value is as its representation says. What the standard does not demand is not carried on otherwise."""
    valuerep = require("pydicom.valuerep")
    if element.VR == "SQ":
        return all(_valid(one) for item in element.value for one in item)
    values = element.value if element.VM > 1 else [element.value]
    try:
        for value in values:
            valuerep.validate_value(element.VR, value, require("pydicom").config.RAISE)
    except Exception:  # whatever pydicom says of a value that does not fit, in words that may quote it
        return False
    return True


def _empty(value: Any) -> bool:
    return value is None or (hasattr(value, "__len__") and len(value) == 0)
