# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import fields

import pytest

from monai_causal.dicom.limits import Limits


def test_a_limit_is_above_zero() -> None:
    with pytest.raises(ValueError, match=r"Limits\.frames is 0"):
        Limits(frames=0)
    with pytest.raises(ValueError, match=r"Limits\.seconds is nan"):
        Limits(seconds=float("nan"))


def test_a_large_radiograph_has_room_and_a_series_more() -> None:
    plain, series = Limits(), Limits.for_series()
    assert plain.pixels > 2 * 5000 * 5000
    assert plain.file_bytes > 2 * 5000 * 5000
    assert plain.memory_bytes >= 2**31
    for field in fields(Limits):
        assert getattr(series, field.name) >= getattr(plain, field.name)
    assert series.frames > 4000
    assert not any((plain.deflated, series.deflated, plain.without_preamble))
