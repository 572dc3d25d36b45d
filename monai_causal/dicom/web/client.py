# SPDX-License-Identifier: Apache-2.0
"""Ask a DICOMweb server: QIDO-RS, WADO-RS and STOW-RS by ``dicomweb-client``, whole objects as bytes.

The library asks and understands what comes as JSON. Objects go and come as the bytes that they are: what is sent is
what was checked, what is received is checked before pydicom sees it, and half an answer is no answer. Orthanc, dcm4chee
and Google's Cloud Healthcare API are spoken to alike.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urljoin

from monai_causal.dicom.limits import Limits
from monai_causal.dicom.web.access import Address, Credentials, SignIn
from monai_causal.dicom.web.multipart import parts_of, related
from monai_causal.dicom.web.patience import Patience
from monai_causal.dicom.web.problems import WebError, problem_of_status
from monai_causal.dicom.web.silence import unheard
from monai_causal.extras import require

__all__ = ["DicomWeb", "Stored"]

Given = TypeVar("Given")
Found = Mapping[str, Any]

MOST_FOUND = 100_000
_PIECE = 2**20
_UID = re.compile(r"[0-9.]{1,64}")
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
# A refusal in a STOW-RS answer: FailedSOPSequence, FailureReason.
_FAILED, _REASON = "00081198", "00081197"
_OUT_OF_RESOURCES = 0xA700


@dataclass(frozen=True)
class Stored:
    """What a server says to an object that it was sent. Whether it keeps it, only reading it back tells.

    Args:
        status: of HTTP: 200, 202 (with remarks) or 409 (refused).
        reasons: FailureReason of each refusal, as PS3.18 Table I.2-2 lists them.
    """

    status: int
    reasons: tuple[int, ...] = ()

    @property
    def refused(self) -> bool:
        """The server says that it did not take it."""
        return self.status == 409 or bool(self.reasons)

    @property
    def for_now(self) -> bool:
        """All that it lacks is room or another resource."""
        return bool(self.reasons) and all(reason & 0xFF00 == _OUT_OF_RESOURCES for reason in self.reasons)

    @property
    def said(self) -> str:
        """In words."""
        listed = ", ".join(f"0x{reason:04X}" for reason in self.reasons)
        return f"HTTP {self.status}" + (f", failure reason {listed}" if listed else "")


class DicomWeb:
    """A DICOMweb server. It is what :class:`~monai_causal.dicom.study_web.WebStudy` asks for a client.

    Args:
        address: base address, with filters for :meth:`studies` as its query if wanted.
        credentials: by default none; :meth:`Credentials.from_environment` finds them.
        patience: timeouts and attempts.
        limits: ``file_bytes`` bounds every answer.
        page: results asked for at once in a search.
        sleep: waits.

    Example:
        >>> DicomWeb("https://pacs.example/dicom-web?ModalitiesInStudy=DX")
        DicomWeb(https, 1 filter)
    """

    def __init__(
        self,
        address: str | Address,
        credentials: Credentials | None = None,
        *,
        patience: Patience | None = None,
        limits: Limits | None = None,
        page: int = 200,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if page < 1:
            raise ValueError(f"page={page}: ask for at least one result at once.")
        self.address = address if isinstance(address, Address) else Address.parse(address)
        self.patience, self.limits, self.page, self.sleep = patience or Patience(), limits or Limits(), page, sleep
        web = require("dicomweb_client.web")
        import requests

        session = requests.Session()
        session.auth = SignIn(self.address, credentials or Credentials())
        session.verify = True
        # A redirect would carry a request, and maybe credentials, to a place that nobody named.
        session.max_redirects = 0
        self._timeouts = (self.patience.connect, self.patience.read)
        self._client = web.DICOMwebClient(self.address.base, session=session, timeout=self._timeouts)
        # Its own retries would send an empty body the second time: the pieces of a large one are used up by the first.
        self._client.set_http_retry_params(retry=False)
        session.hooks = {"response": [self._read_whole]}
        self._session = session

    def __repr__(self) -> str:  # an address may name a hospital, and a filter a patient
        count = len(self.address.filters)
        return f"DicomWeb({self.address.origin[0]}, {count} filter{'' if count == 1 else 's'})"

    def studies(self) -> list[Found]:
        """QIDO-RS: the studies that the address's filters mean, all pages, each once; DICOM JSON."""

        def ask(offset: int) -> Sequence[Found]:
            found: Sequence[Found] = self._client.search_for_studies(
                limit=self.page, offset=offset, search_filters=dict(self.address.filters)
            )
            return found

        return self._all(ask, _STUDY)

    def instances(self, study: str) -> list[Found]:
        """QIDO-RS: the instances of a study, all pages, each once; DICOM JSON."""

        def ask(offset: int) -> Sequence[Found]:
            found: Sequence[Found] = self._client.search_for_instances(_checked(study), limit=self.page, offset=offset)
            return found

        return self._all(ask, _INSTANCE)

    def retrieve_study_metadata(self, study_instance_uid: str) -> Sequence[Found]:
        """WADO-RS: the headers of a study's instances; DICOM JSON."""
        uid = _checked(study_instance_uid)
        found: Sequence[Found] = self._asked(lambda: self._client.retrieve_study_metadata(uid))
        return found

    def retrieve_instance(self, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str) -> bytes:
        """WADO-RS: one instance as the server keeps it, in whatever transfer syntax.

        Raises:
            WebError: ``not-found``, ``cut-off``, or what else goes wrong.
        """
        uids = [_checked(uid) for uid in (study_instance_uid, series_instance_uid, sop_instance_uid)]
        url = "{}/studies/{}/series/{}/instances/{}".format(self.address.base, *uids)
        return self._bytes(url, 'multipart/related; type="application/dicom"; transfer-syntax=*')

    def retrieve_bulk_data(self, uri: str) -> bytes:
        """WADO-RS: what a ``BulkDataURI`` of the metadata leads to; relative ones count from the service's address."""
        url = urljoin(f"{self.address.base}/", uri)
        if not self.address.owns(url):
            raise WebError("elsewhere", "the bulk data lie on another server than the one named; they are not fetched")
        return self._bytes(url, 'multipart/related; type="application/octet-stream"; transfer-syntax=*, */*;q=0.1')

    def store(self, content: bytes, study: str) -> Stored:
        """STOW-RS: send one object. Only reading it back tells what the server has then; see :func:`deliver`."""
        body, content_type = related([content])
        headers = {"Content-Type": content_type, "Accept": "application/dicom+json"}
        url = f"{self.address.base}/studies/{_checked(study)}"

        def post() -> Stored:
            answer = self._session.post(url, data=body, headers=headers, timeout=self._timeouts)
            if answer.status_code not in (200, 202, 409):
                raise problem_of_status(answer.status_code, answer.headers.get("Retry-After"))
            return Stored(answer.status_code, _reasons(answer))

        return self._asked(post)

    def _all(self, ask: Callable[[int], Sequence[Found]], key: str) -> list[Found]:
        """All pages. A page that brings nothing new is the end: some servers give fewer results than asked for, some
        repeat the last ones, and what is stored while we turn pages moves the others."""
        found: dict[str, Found] = {}
        offset = 0
        while True:
            page = self._asked(partial(ask, offset))
            new = [one for one in page if (uid := value_of(one, key)) and uid not in found]
            if not new:
                return list(found.values())
            found.update((value_of(one, key), one) for one in new)
            if len(found) > MOST_FOUND:
                raise WebError("too-many", f"the search finds more than {MOST_FOUND}; narrow it by filters")
            offset += len(page)

    def _bytes(self, url: str, accept: str) -> bytes:
        def get() -> bytes:
            answer = self._session.get(url, headers={"Accept": accept}, timeout=self._timeouts)
            if answer.status_code != 200:
                raise problem_of_status(answer.status_code, answer.headers.get("Retry-After"))
            parts = parts_of(answer.content, answer.headers.get("Content-Type", ""))
            if len(parts) != 1:
                raise WebError("not-one", f"the server gives {len(parts)} parts where one was asked for")
            return parts[0]

        return self._asked(get)

    def _asked(self, call: Callable[[], Given]) -> Given:
        with unheard():
            return self.patience.ask(call, self.sleep)

    def _read_whole(self, response: Any, *_: Any, **__: Any) -> None:
        """Read an answer within its bounds; ``requests`` alone knows neither a size nor an end of patience."""
        most, until = self.limits.file_bytes + _PIECE, time.monotonic() + self.patience.whole
        content = bytearray()
        # What has arrived, and not a whole piece: else one that trickles in would be waited for without an end.
        arrived = getattr(response.raw, "read1", response.raw.read)
        while piece := arrived(_PIECE, True):
            content += piece
            if len(content) > most:
                response.close()
                raise WebError("too-large", f"the answer exceeds {self.limits.file_bytes} bytes (Limits.file_bytes)")
            if time.monotonic() > until:
                response.close()
                raise WebError("timeout", "the server does not come to an end in time", transient=True)
        response._content, response._content_consumed = bytes(content), True


def value_of(found: Found, tag: str) -> str:
    """The first value of an attribute in DICOM JSON, as text; empty where it has none."""
    element = found.get(tag) if isinstance(found, Mapping) else None
    values = element.get("Value") if isinstance(element, Mapping) else None
    return str(values[0]) if isinstance(values, list) and values and isinstance(values[0], (str, int)) else ""


def _checked(uid: str) -> str:
    """A UID that may stand in an address."""
    if not _UID.fullmatch(uid):
        raise WebError("no-uid", "what the server was to be asked for is no UID (digits and dots, 64 at most)")
    return uid


def _reasons(answer: Any) -> tuple[int, ...]:
    """Failure reasons, where the server gives them as JSON; what it says otherwise is not needed."""
    try:
        said = answer.json()
    except ValueError:
        return ()
    return tuple(_walk(said[0] if isinstance(said, list) and said else said))


def _walk(said: Any) -> Iterator[int]:
    element = said.get(_FAILED) if isinstance(said, Mapping) else None
    items = element.get("Value") if isinstance(element, Mapping) else None
    for item in items if isinstance(items, list) else ():
        reason = value_of(item, _REASON)
        yield int(reason) if reason.isdecimal() else 0
