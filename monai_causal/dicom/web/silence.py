# SPDX-License-Identifier: Apache-2.0
"""No log record of the libraries below while we ask: they write addresses with UIDs, and words of the server."""

from __future__ import annotations

from contextlib import AbstractContextManager

from monai_causal.dicom.silence import Silence

__all__ = ["unheard"]

# Every logger that speaks; retrying belongs to dicomweb-client.
_SPEAKERS = (
    *("dicomweb_client.web", "dicomweb_client.uri", "dicomweb_client.session_utils", "retrying", "requests"),
    *("urllib3.connectionpool", "urllib3.connection", "urllib3.response", "urllib3.util.retry", "urllib3.poolmanager"),
)
_SILENCE = Silence()


def unheard() -> AbstractContextManager[None]:
    """Drop these records of this thread while the block runs; somebody else's settings and threads stay as they are."""
    return _SILENCE.of(_SPEAKERS)
