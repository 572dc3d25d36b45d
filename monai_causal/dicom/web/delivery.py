# SPDX-License-Identifier: Apache-2.0
"""Send an object so that it arrives once, and know that it did: by reading it back.

A server's word is not enough. It may take an object and lose the answer on the way back, and it may answer with
success and silently keep an older object of the same UID.
"""

from __future__ import annotations

from dataclasses import dataclass

from monai_causal.dicom.web.client import DicomWeb
from monai_causal.dicom.web.problems import WebError
from monai_causal.dicom.web.same import How, how_same

__all__ = ["Delivery", "deliver"]


@dataclass(frozen=True)
class Delivery:
    """An object that a server has.

    Args:
        how: the same file, or another file of the same data set.
        sent: how often it was sent; 0 where it was there already.
    """

    how: How
    sent: int


def deliver(
    client: DicomWeb, content: bytes, study: str, series: str, instance: str, *, perhaps_there: bool = False
) -> Delivery:
    """Send an object and read it back until the server has it.

    Args:
        client: the server.
        content: the file.
        study, series, instance: its UIDs.
        perhaps_there: it may have been sent before; then the server is asked first.

    Raises:
        WebError: ``refused`` with the server's reasons; ``kept-another`` where another object has its UID; ``lost``
            where the server says that it has it and does not; or what went wrong on the way.
    """
    if perhaps_there and (how := _held(client, content, study, series, instance)) is not None:
        return Delivery(how, 0)
    for sent in range(1, client.patience.attempts + 1):
        stored = client.store(content, study)  # each step is asked again by itself; here only a loss is made good
        how = _held(client, content, study, series, instance)
        if how is not None:
            return Delivery(how, sent)
        if stored.refused:
            raise WebError("refused", f"the server refuses the object ({stored.said})", transient=stored.for_now)
        if sent < client.patience.attempts:
            client.sleep(client.patience.pause(sent))
    raise WebError("lost", f"the server takes the object ({stored.said}) and does not have it then", transient=True)


def _held(client: DicomWeb, content: bytes, study: str, series: str, instance: str) -> How | None:
    """How the server has it; None where it has not."""
    try:
        held = client.retrieve_instance(study, series, instance)
    except WebError as error:
        if error.code == "not-found":
            return None
        raise
    how = how_same(content, held)
    if how is None:
        raise WebError("kept-another", "the server keeps another object under this object's UID")
    return how
