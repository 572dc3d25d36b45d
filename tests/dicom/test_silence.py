# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import threading

import pytest

from monai_causal.dicom.silence import Silence


def test_blocks_may_lie_in_each_other_and_an_error_ends_them(caplog: pytest.LogCaptureFixture) -> None:
    logger, silence = logging.getLogger("tests.speaker"), Silence()
    with silence.of(["tests.speaker"]):
        with pytest.raises(KeyError), silence.of(["tests.speaker"]):
            raise KeyError
        logger.error("unheard")
        logging.getLogger("tests.another").error("of another logger")
    logger.error("after")
    assert caplog.messages == ["of another logger", "after"]
    assert logger.filters == [silence]  # entered three times, added once


def test_one_silence_is_not_another_and_no_other_thread_is_silenced(caplog: pytest.LogCaptureFixture) -> None:
    first, second = Silence(), Silence()
    with first.of(["tests.first"]), second.of(["tests.second"]):
        pass
    with first.of(["tests.first"]):
        logging.getLogger("tests.first").error("unheard")
        logging.getLogger("tests.second").error("second")
        other = threading.Thread(target=logging.getLogger("tests.first").error, args=["thread"])
        other.start()
        other.join()
    assert caplog.messages == ["second", "thread"]


def test_settings_of_somebody_else_stay() -> None:
    logger = logging.getLogger("tests.settings")
    logger.setLevel(logging.ERROR)
    with Silence().of(["tests.settings"]):
        assert logger.level == logging.ERROR
    assert logger.level == logging.ERROR
