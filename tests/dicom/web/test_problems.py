# SPDX-License-Identifier: Apache-2.0
"""Everything that goes wrong on the way has a code, and says nothing of what was on the way."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import pytest

pytest.importorskip("dicomweb_client", reason="extra 'dicomweb' is not installed")

import requests
import urllib3

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.web.problems import WebError, problem_of, problem_of_status

WORD = "http://pacs/studies/1.2.3?PatientID=CANARY"


@pytest.mark.parametrize(
    ("error", "code", "transient"),
    [
        (requests.ConnectTimeout(WORD), "timeout", True),
        (requests.ReadTimeout(WORD), "timeout", True),
        (urllib3.exceptions.ReadTimeoutError(None, WORD, WORD), "timeout", True),  # type: ignore[arg-type]
        (urllib3.exceptions.IncompleteRead(1, 2), "cut-off", True),
        (urllib3.exceptions.DecodeError(WORD), "cut-off", True),
        (requests.JSONDecodeError(WORD, WORD, 0), "cut-off", True),
        (requests.exceptions.SSLError(WORD), "tls", False),
        (requests.ConnectionError(WORD), "unreachable", True),
        (requests.TooManyRedirects(WORD), "redirected", False),
        (requests.HTTPError(WORD, response=SimpleNamespace(status_code=502, headers={})), "http-502", True),
        (DicomError("plain"), "unreadable", False),
        (KeyError(WORD), "failed", False),
    ],
)
def test_an_exception_becomes_a_code(error: Exception, code: str, transient: bool) -> None:
    problem = problem_of(error)
    assert (problem.code, problem.transient) == (code, transient)
    assert "CANARY" not in str(problem)
    assert "pacs" not in str(problem)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_waiting_may_help(status: int) -> None:
    assert problem_of_status(status).transient


@pytest.mark.parametrize("status", [300, 400, 401, 403, 404, 406, 410, 413, 415, 422, 501, 505, 507])
def test_waiting_will_not_help(status: int) -> None:
    assert not problem_of_status(status).transient


@pytest.mark.parametrize(("said", "wait"), [("12", 12.0), (None, None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)])
def test_how_long_the_server_wants_us_to_wait(said: str | None, wait: float | None) -> None:
    assert problem_of_status(503, said).wait == wait


def test_a_problem_can_be_sent_to_another_process() -> None:
    problem = WebError("http-503", "busy", transient=True, wait=3.0, item="file 1")
    again = pickle.loads(pickle.dumps(problem))
    assert vars(again) == vars(problem)
    assert str(again) == "file 1: busy"
