# SPDX-License-Identifier: Apache-2.0
"""Waiting: as often and as long as said."""

from __future__ import annotations

import pytest

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")
pytest.importorskip("dicomweb_client", reason="extra 'dicomweb' is not installed")

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.web.patience import Patience
from monai_causal.dicom.web.problems import WebError


def test_pauses_double_with_a_little_chance_up_to_the_longest() -> None:
    patience = Patience(first=2.0, longest=10.0)
    for attempt, least in ((1, 2.0), (2, 4.0), (3, 8.0)):
        pauses = {patience.pause(attempt) for _ in range(50)}
        assert least <= min(pauses) < max(pauses) <= min(1.25 * least, 10.0)
    assert patience.pause(4) == 10.0
    assert [patience.pause(1, asked) for asked in (7.0, 70.0)] == [7.0, 10.0]


def test_what_will_not_change_is_asked_once() -> None:
    asked = []

    def ask() -> None:
        asked.append(1)
        raise DicomError("no such thing")

    with pytest.raises(WebError, match=r"^no such thing$") as caught:
        Patience().ask(ask, pytest.fail)
    assert (caught.value.code, len(asked)) == ("unreadable", 1)


def test_the_last_problem_is_told() -> None:
    waited: list[float] = []
    codes = iter(["one", "two", "three"])

    def ask() -> None:
        raise WebError(next(codes), "not now", transient=True)

    with pytest.raises(WebError) as caught:
        Patience(attempts=3).ask(ask, waited.append)
    assert (caught.value.code, len(waited)) == ("three", 2)


@pytest.mark.parametrize("name", ["attempts", "first", "longest", "connect", "read", "whole"])
def test_no_patience_at_all(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: 0: "):
        Patience(**{name: 0})
