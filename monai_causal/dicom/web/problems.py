# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with a server: a code that stays, and a sentence that holds no address, UID or word of its own."""

from __future__ import annotations

from monai_causal.dicom.errors import DicomError

__all__ = ["WebError", "problem_of", "problem_of_status"]

# 501 and 505 will not change by waiting; a full disk (507) not within the time that anybody waits here.
_FINAL_SERVER_ERRORS = (501, 505, 507)
_TRANSIENT_CLIENT_ERRORS = (408, 425, 429)
_MEANINGS = {
    400: "it does not understand the request",
    404: "it does not have what was asked for",
    409: "it refuses what was sent",
    410: "it does not have what was asked for any more",
    413: "it takes no object of this size",
    507: "it has no room left",
}


class WebError(DicomError):
    """A server does not do what it was asked.

    Args:
        code: stable, e.g. ``"timeout"``, ``"http-503"``, ``"cut-off"``, ``"kept-another"``.
        reason: a sentence; it never quotes the server, whose words may hold patient data.
        transient: waiting may help.
        wait: seconds that the server asks to wait.
        item: which file, by index or digest.
    """

    def __init__(
        self, code: str, reason: str, *, transient: bool = False, wait: float | None = None, item: str | None = None
    ) -> None:
        super().__init__(reason, item=item)
        self.code = code
        self.transient = transient
        self.wait = wait

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.code, self.reason, self.transient, self.wait, self.item)


def _rebuild(code: str, reason: str, transient: bool, wait: float | None, item: str | None) -> WebError:
    return WebError(code, reason, transient=transient, wait=wait, item=item)


def problem_of_status(status: int, retry_after: str | None = None) -> WebError:
    """What an HTTP status means.

    Example:
        >>> problem = problem_of_status(503, "7")
        >>> problem.code, problem.transient, problem.wait
        ('http-503', True, 7.0)
    """
    if status in (401, 403):
        return WebError(
            "unauthorized",
            f"the server wants other credentials (HTTP {status}); they are taken from environment variables",
        )
    transient = status in _TRANSIENT_CLIENT_ERRORS or (status >= 500 and status not in _FINAL_SERVER_ERRORS)
    meaning = _MEANINGS.get(status, "it is busy or in trouble" if transient else "it refuses the request")
    code = "not-found" if status in (404, 410) else f"http-{status}"
    return WebError(
        code, f"the server answers HTTP {status}: {meaning}", transient=transient, wait=_seconds(retry_after)
    )


def problem_of(error: Exception) -> WebError:
    """What an exception on the way to a server and back means."""
    if isinstance(error, WebError):
        return error
    if isinstance(error, DicomError):
        return WebError("unreadable", error.reason)
    from requests import exceptions
    from urllib3 import exceptions as lower

    response = getattr(error, "response", None)
    if isinstance(error, exceptions.HTTPError) and response is not None:
        return problem_of_status(response.status_code, response.headers.get("Retry-After"))
    if isinstance(error, exceptions.SSLError):
        return WebError(
            "tls",
            "the server's certificate cannot be verified; REQUESTS_CA_BUNDLE names a file with a hospital's own "
            "authority, and verification cannot be switched off",
        )
    if isinstance(error, exceptions.TooManyRedirects):
        return WebError("redirected", "the server sends us elsewhere; give the address that it means")
    if isinstance(error, (exceptions.Timeout, lower.ReadTimeoutError)):
        return WebError("timeout", "the server does not answer in time", transient=True)
    # An answer is read without the help of requests, so that these are the errors of the library below it.
    if isinstance(error, (lower.ProtocolError, lower.IncompleteRead, lower.DecodeError, lower.SSLError)):
        return WebError("cut-off", "the server's answer breaks off", transient=True)
    if isinstance(error, exceptions.JSONDecodeError):
        return WebError("cut-off", "the server's answer is no whole JSON", transient=True)
    if isinstance(error, exceptions.ConnectionError):
        return WebError("unreachable", "the server cannot be reached, or drops the connection", transient=True)
    return WebError("failed", f"asking the server failed ({type(error).__name__})")


def _seconds(text: str | None) -> float | None:
    """Of a Retry-After that gives seconds; one that gives a date is left to our own waiting."""
    return float(text) if text is not None and text.strip().isdecimal() else None
