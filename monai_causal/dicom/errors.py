# SPDX-License-Identifier: Apache-2.0
"""The one error for what a DICOM file can do wrong, and silence about what the file says.

pydicom quotes values in its exceptions, its warnings and its log, and a value may be a patient's name. So its words
stop here: an exception becomes a :class:`DicomError` that tells its kind only, warnings and log records are dropped.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from monai_causal.dicom.silence import Silence

__all__ = ["DicomError", "guarded", "quiet"]

# warnings.catch_warnings changes the process, not the thread: two threads in it at once could leave it changed.
_ONE_AT_A_TIME = threading.RLock()
_SILENCE = Silence()


class DicomError(ValueError):
    """A DICOM file is refused or cannot be read.

    The message holds numbers, tags, attribute names and transfer syntaxes; never a value that may tell of a patient,
    nor the name of a file.

    Args:
        reason: what is wrong, and what to do where something can be done.
        item: which file, by index or digest.

    Example:
        >>> print(DicomError("it has no rows", item="file 3"))
        file 3: it has no rows
    """

    def __init__(self, reason: str, *, item: str | None = None) -> None:
        super().__init__(f"{item}: {reason}" if item else reason)
        self.reason = reason
        self.item = item

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.reason, self.item)


def _rebuild(reason: str, item: str | None) -> DicomError:
    return DicomError(reason, item=item)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop the warnings and the pydicom log records of this thread while the block runs."""
    with _ONE_AT_A_TIME, warnings.catch_warnings(), _SILENCE.of(["pydicom"]):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def guarded(doing: str, *, item: str | None = None) -> Iterator[None]:
    """Turn any exception of the block into a :class:`DicomError` that gives the exception's kind but not its text.

    A :class:`DicomError` of the block passes, with ``item`` added where it names none. The original exception is not
    kept as cause or context, so that no report of a traceback can print it.

    Args:
        doing: what the block does, e.g. ``"reading the lookup table"``.
        item: which file, by index or digest.

    Example:
        >>> with guarded("reading Rows"):
        ...     int("DOE^JANE")
        Traceback (most recent call last):
        ...
        monai_causal.dicom.errors.DicomError: reading Rows failed (ValueError)
    """
    try:
        with quiet():
            yield
    except DicomError as error:
        if item is None or error.item is not None:
            raise
        failure = DicomError(error.reason, item=item)
    except Exception as error:
        failure = DicomError(f"{doing} failed ({type(error).__name__})", item=item)
    else:
        return
    # Raised after the handlers have ended, so that nothing is being handled that could become its context; contextlib
    # re-enters the handler of the block for us, which is why the context is cleared by hand as well.
    try:
        raise failure
    except DicomError as error:
        error.__context__ = None
        raise
