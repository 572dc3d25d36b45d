# SPDX-License-Identifier: Apache-2.0
"""A study on a DICOMweb server: its metadata first, then only the instance that is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any, Protocol

from monai_causal.dicom.errors import DicomError, guarded
from monai_causal.dicom.study import KEYWORDS, Instance, LeftOut, Survey, left_out
from monai_causal.extras import require

__all__ = ["WebClient", "WebStudy", "survey_web"]


class WebClient(Protocol):
    """What is asked of a server; ``dicomweb_client.DICOMwebClient`` has these, and a few lines make a stand-in."""

    def retrieve_study_metadata(self, study_instance_uid: str) -> Sequence[Mapping[str, Any]]:
        """The headers of a study's instances in DICOM JSON."""

    def retrieve_instance(self, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str) -> Any:
        """One instance: content of a file or a pydicom data set."""


@dataclass(frozen=True)
class WebStudy:
    """A study, and whom to ask for it.

    Args:
        client: asks the server; how it signs in and how often it tries again is its matter.
        uid: StudyInstanceUID.
    """

    client: WebClient = field(repr=False)
    uid: str = field(repr=False)


def survey_web(study: WebStudy, keywords: Sequence[str], most: int) -> Survey:
    """Group the instances of a study by their metadata; see :func:`monai_causal.dicom.study_survey.survey`."""
    with guarded("asking the server for the study"):
        listed = list(study.client.retrieve_study_metadata(study.uid))
    if len(listed) > most:
        raise DicomError(f"the study has more than {most} instances")
    instances: list[Instance] = []
    gone: list[LeftOut] = []
    for index, metadata in enumerate(listed, start=1):
        try:
            with guarded("reading its metadata"):
                instances.append(_instance(index, metadata, study, keywords))
        except DicomError as error:
            gone.append(left_out(f"instance {index}", "refused", reason=error.reason))
    return Survey.of(instances, gone, len(listed))


def _instance(index: int, metadata: Mapping[str, Any], study: WebStudy, keywords: Sequence[str]) -> Instance:
    header = _header(metadata, keywords)
    uid, series = (str(header.get(keyword) or "") for keyword in ("SOPInstanceUID", "SeriesInstanceUID"))
    if not uid or not series:
        raise DicomError("its metadata lack the UID of the instance or of its series")
    if str(header.get("StudyInstanceUID") or study.uid) != study.uid:
        raise DicomError("it belongs to another study than the one asked for")
    return Instance(
        index=index,
        digest=sha256(uid.encode()).hexdigest(),
        header=header,
        transfer_syntax="",
        sop_class=str(header.get("SOPClassUID") or ""),
        # Pixel data are left out of metadata or given as a link, but an image has a size.
        has_pixels="Rows" in header,
        fetch=partial(_fetched, study, series, uid),
        whole=False,
    )


def _fetched(study: WebStudy, series: str, uid: str) -> Any:
    with guarded("asking the server for the instance"):
        return study.client.retrieve_instance(study.uid, series, uid)


def _header(metadata: Mapping[str, Any], keywords: Sequence[str]) -> Any:
    """The attributes needed and no others: what is not looked at can do no harm."""
    pydicom = require("pydicom")
    wanted = {f"{pydicom.datadict.tag_for_keyword(keyword):08X}" for keyword in (*KEYWORDS, *keywords)}
    header = pydicom.Dataset()
    for tag in sorted(wanted & set(metadata)):
        value = metadata[tag]
        if not isinstance(value, Mapping) or "BulkDataURI" in value:
            continue
        try:
            with guarded("reading an attribute"):
                header.update(pydicom.Dataset.from_json({tag: dict(value)}))
        except DicomError:  # as with a file: what cannot be read counts as missing
            continue
    return header
