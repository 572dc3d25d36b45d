# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct

import pytest

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.structure import PIXELS, Skeleton, walk, walk_meta

pytest.importorskip("pydicom", reason="extra 'dicom' is not installed")

END_ITEM, END_SEQUENCE = struct.pack("<HHL", 0xFFFE, 0xE00D, 0), struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
UNDEFINED = 0xFFFFFFFF


def short(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def long(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, vr, 0, len(value) if length is None else length) + value


def implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def item(value: bytes, length: int | None = None) -> bytes:
    return implicit(0xFFFEE000, value, length)


ROWS = short(0x00280010, b"US", b"\x01\x00")


def skeleton(data: bytes, **limits: int) -> Skeleton:
    return walk(data, 0, little=True, limits=Limits(**limits))


def test_the_walk_stops_at_the_pixel_data_and_says_where_they_lie() -> None:
    data = ROWS + long(PIXELS, b"OW", b"abcd") + b"what comes after is nobody's matter"
    found = skeleton(data)
    assert (found.stop, found.elements, found.depth) == (len(ROWS), 2, 0)
    assert found.pixels == (PIXELS, "OW", len(ROWS) + 12, len(ROWS) + 16, None)


def test_fragments_are_counted_without_the_offset_table() -> None:
    data = long(PIXELS, b"OB", item(b"") + item(b"ab") + item(b"cdef") + END_SEQUENCE, UNDEFINED)
    found = skeleton(data)
    assert found.pixels is not None
    assert found.pixels.fragments == 2
    assert found.pixels.stop == len(data)


@pytest.mark.parametrize(
    "sequence",
    [
        long(0x00081140, b"SQ", item(ROWS)),
        long(0x00081140, b"SQ", item(ROWS + END_ITEM, UNDEFINED) + END_SEQUENCE, UNDEFINED),
        long(0x00091140, b"UN", item(implicit(0x00280010, b"\x01\x00")) + END_SEQUENCE, UNDEFINED),
        long(0x00091140, b"UN", item(implicit(0x00280010, b"\x01\x00"))),
        long(0x00081140, b"SQ", item(implicit(0x00280010, b"\x01\x00"))),
        implicit(0x00081140, item(implicit(0x00280010, b"\x01\x00"))),
    ],
)
def test_a_sequence_is_entered_however_it_is_written(sequence: bytes) -> None:
    found = skeleton(sequence)
    assert (found.elements, found.depth, found.stop) == (3, 1, len(sequence))


def test_the_icon_in_a_sequence_is_not_the_picture() -> None:
    icon = long(PIXELS, b"OB", item(b"") + item(b"ab") + END_SEQUENCE, UNDEFINED)
    found = skeleton(long(0x00880200, b"SQ", item(ROWS + icon)) + ROWS)
    assert found.pixels is None


def test_bytes_that_only_begin_like_an_item_are_left_alone() -> None:
    data = long(0x00091001, b"UN", item(b"no element at all")[:-1])
    assert skeleton(data).elements >= 1
    assert skeleton(data).stop == len(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (ROWS + b"\x28\x00", "it ends inside a data element"),
        (short(0x00100010, b"PN", b"abcd")[:-1], "a data element of 4 bytes goes beyond what holds it"),
        (long(0x00081140, b"SQ", item(ROWS, 100)), "a sequence item of 100 bytes goes beyond"),
        (long(0x00081140, b"SQ", item(ROWS + END_ITEM, UNDEFINED), UNDEFINED), "a sequence has no end"),
        (long(0x00081140, b"SQ", item(ROWS, UNDEFINED)), "a sequence item has no end"),
        (long(0x00081140, b"SQ", ROWS), "a sequence holds something else than items"),
        (END_ITEM, "a delimiter stands where"),
        (long(PIXELS, b"OB", item(b"") + item(b"abc", 100), UNDEFINED), "encapsulated pixel data are cut off"),
        (long(PIXELS, b"OB", ROWS, UNDEFINED), "hold something else than fragments"),
    ],
)
def test_what_does_not_walk_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(DicomError, match=reason):
        skeleton(data)


def test_pixel_data_that_are_cut_off_are_refused_with_both_numbers() -> None:
    with pytest.raises(DicomError, match="cut off: 10 bytes are announced, 4 are there"):
        skeleton(long(PIXELS, b"OW", b"abcd", 10))


def test_limits_hold_to_the_element() -> None:
    many = ROWS * 5
    assert skeleton(many, elements=5).elements == 5
    with pytest.raises(DicomError, match=r"more than 4 data elements"):
        skeleton(many, elements=4)
    inner = ROWS
    for _ in range(3):
        inner = long(0x00081140, b"SQ", item(inner))
    assert skeleton(inner, nesting=3).depth == 3
    with pytest.raises(DicomError, match=r"nested more than 2 deep"):
        skeleton(inner, nesting=2)


def test_text_weighs_and_bytes_do_not() -> None:
    text, data = short(0x00100010, b"PN", bytes(1000)), long(0x00091001, b"OB", bytes(1000))
    skeleton(text + data, header_bytes=1000)
    with pytest.raises(DicomError, match="more than 999 bytes of header"):
        skeleton(text + data, header_bytes=999)
    # in implicit files the dictionary tells: PatientName is text, an overlay stays bytes, a private element too
    skeleton(implicit(0x00100010, bytes(1000)) + implicit(0x60003000, bytes(9)), header_bytes=1009)
    skeleton(implicit(0x00091001, bytes(1000)), header_bytes=1)
    with pytest.raises(DicomError, match="bytes of header"):
        skeleton(implicit(0x00100010, bytes(1000)), header_bytes=999)


def test_file_meta_information_ends_where_its_group_ends() -> None:
    meta = short(0x00020010, b"UI", b"1.2 ") + long(0x00020001, b"OB", b"\0\1")
    assert walk_meta(b"pre" + meta + ROWS, 3) == 3 + len(meta)
    with pytest.raises(DicomError, match="does not end"):
        walk_meta(meta * 64, 0)
