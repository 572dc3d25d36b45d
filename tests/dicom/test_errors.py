# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import pickle
import threading
import traceback
import warnings

import pytest

from monai_causal.dicom.errors import DicomError, guarded, quiet

CANARY = "CANARY^DOE"


def test_the_words_of_another_exception_stop_here() -> None:
    reason = r"^file 3: reading Rows failed \(ValueError\)$"
    with pytest.raises(DicomError, match=reason) as caught, guarded("reading Rows", item="file 3"):
        int(CANARY)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    assert CANARY not in "".join(traceback.format_exception(error, chain=True))


def test_our_own_error_passes_and_gets_its_item() -> None:
    with pytest.raises(DicomError, match=r"^file 3: no rows$") as caught, guarded("x", item="file 3"):
        raise DicomError("no rows")
    assert caught.value.__context__ is None
    with pytest.raises(DicomError, match=r"^file 1: no rows$"), guarded("x", item="file 3"):
        raise DicomError("no rows", item="file 1")


def test_an_interrupt_is_no_error_of_a_file() -> None:
    with pytest.raises(KeyboardInterrupt), guarded("x"):
        raise KeyboardInterrupt


def test_the_error_survives_another_process() -> None:
    copy = pickle.loads(pickle.dumps(DicomError("no rows", item="file 3")))
    assert (str(copy), copy.reason, copy.item) == ("file 3: no rows", "no rows", "file 3")


def test_silence_is_for_this_thread_and_this_block(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logger = logging.getLogger("pydicom")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with quiet(), quiet():
            warnings.warn(CANARY, stacklevel=1)
            logger.critical(CANARY)
            other = threading.Thread(target=logger.warning, args=["of another thread"])
            other.start()
            other.join()
        logger.warning("after")
        warnings.warn("after", stacklevel=1)
    assert [record.message for record in caplog.records] == ["of another thread", "after"]
    assert [str(warning.message) for warning in seen] == ["after"]
