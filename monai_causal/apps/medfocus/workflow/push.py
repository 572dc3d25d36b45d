# SPDX-License-Identifier: Apache-2.0
"""Where committed results go: a folder, which has them by being committed to; or a DICOMweb server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from monai_causal.apps.medfocus.workflow.commit import Kept
from monai_causal.apps.medfocus.workflow.journal import StudyJournal
from monai_causal.apps.medfocus.workflow.problems import stage
from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.web.client import DicomWeb
from monai_causal.dicom.web.delivery import deliver
from monai_causal.dicom.web.reading import read_object

__all__ = ["FolderTarget", "Target", "WebTarget", "uids_of"]

Uids = tuple[str, str, str]


class Target(Protocol):
    """Where committed results go."""

    kind: str
    """``"folder"`` or ``"dicomweb"``."""

    name: str
    """What journals call it; another server is another name."""

    def push(self, folder: Path, objects: Sequence[Kept], journal: StudyJournal) -> None:
        """Bring the objects of a result there, each once.

        Raises:
            WorkflowError: one of them does not arrive; those before it have.
        """


class FolderTarget:
    """The folder that results are committed to: there is nothing left to do."""

    kind = "folder"
    name = "folder"

    def push(self, folder: Path, objects: Sequence[Kept], journal: StudyJournal) -> None:
        """See :class:`Target`."""


class WebTarget:
    """A DICOMweb server.

    Args:
        client: the server.
        name: what journals call it, which is not its address.
        noted: is told of each object that has arrived: its digest, how the server has it, how often it was sent.
    """

    kind = "dicomweb"

    def __init__(self, client: DicomWeb, name: str, noted: Callable[[str, str, int], object]) -> None:
        self._client, self.name, self._noted = client, name, noted

    def push(self, folder: Path, objects: Sequence[Kept], journal: StudyJournal) -> None:
        """See :class:`Target`."""
        for one in objects:
            before = journal.sent(self.name, one.sha256)
            if before == "pushed":
                continue
            with stage("push"):
                content = (folder / one.file).read_bytes()
                uids = uids_of(content)
                # Killed between here and `pushed`, we would not know: next time it is asked for before it is sent.
                journal.note("pushing", to=self.name, sha256=one.sha256)
                delivery = deliver(self._client, content, *uids, perhaps_there=before == "pushing")
                journal.note("pushed", to=self.name, sha256=one.sha256, how=delivery.how)
                self._noted(one.sha256, delivery.how, delivery.sent)


def uids_of(content: bytes) -> Uids:
    """StudyInstanceUID, SeriesInstanceUID and SOPInstanceUID of an object of ours."""
    header, _ = read_object(content)
    uids = tuple(str(header.get(key) or "") for key in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
    if not all(uids):
        raise DicomError("it lacks a UID, by which a server would keep it")
    study, series, instance = uids
    return study, series, instance
