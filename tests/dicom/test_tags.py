# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from monai_causal.dicom.tags import codes, number, numbers, sequence


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ()),
        ("", ()),
        ("  ", ()),
        (5, (5.0,)),
        ("5.5", (5.5,)),
        ([1, "2"], (1.0, 2.0)),
        ([1, ""], ()),
        (["nan", 1], ()),
        ("1e999", ()),
        ("A", ()),
        (10**400, ()),
        (b"12", ()),
        ([None], ()),
    ],
)
def test_numbers(value: Any, expected: tuple[float, ...]) -> None:
    assert numbers({"Key": value}, "Key") == expected
    assert number({"Key": value}, "Key") == (expected[0] if expected else None)


def test_codes_are_stripped_and_in_capitals() -> None:
    assert codes({"Key": ["pa ", "", "X\0"]}, "Key") == ("PA", "", "X")
    assert codes({"Key": "yes"}, "Key") == ("YES",)
    assert codes({}, "Key") == ()


def test_what_is_no_sequence_has_no_items() -> None:
    assert sequence({"Key": [{"a": 1}]}, "Key") == ({"a": 1},)
    assert sequence({"Key": "text"}, "Key") == ()
    assert sequence({"Key": [1, 2]}, "Key") == ()
