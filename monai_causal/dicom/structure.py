# SPDX-License-Identifier: Apache-2.0
"""The skeleton of a DICOM data set: tags and lengths, walked before anything is made of them.

A reader that builds objects while it reads has spent the memory, or the stack, by the time it notices. This walk
builds nothing. It follows pydicom in the liberties that real files take (implicit elements inside explicit data sets,
unknown value representations), so that what is measured here is what pydicom will read.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.limits import Limits
from monai_causal.extras import require

__all__ = ["FLOAT_PIXELS", "PIXELS", "PixelValue", "Skeleton", "walk", "walk_meta"]

PIXELS = 0x7FE00010
FLOAT_PIXELS = (0x7FE00008, 0x7FE00009)

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
# PS3.5 table 7.1-1: these have a reserved field and a length of four bytes
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
# values that stay bytes in memory, however long they are
_BYTES = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"UN"}


class PixelValue(NamedTuple):
    """Where the pixel data lie: bytes ``start`` to ``stop``; ``fragments`` is None for uncompressed ones."""

    tag: int
    representation: str
    start: int
    stop: int
    fragments: int | None


class Skeleton(NamedTuple):
    """What the walk found: ``stop`` is where the data set ends, or where its pixel data element begins."""

    stop: int
    elements: int
    depth: int
    pixels: PixelValue | None


class _BrokenError(Exception):
    """The bytes do not walk; inside a value of unknown kind this only means that it is no sequence."""


def walk(data: bytes | bytearray, start: int, *, little: bool, limits: Limits) -> Skeleton:
    """Walk a data set from ``start`` up to its pixel data.

    Args:
        data: the whole file.
        start: where the data set begins, after the file meta information.
        little: little endian, as the transfer syntax says.
        limits: ``nesting``, ``elements`` and ``header_bytes`` apply.

    Raises:
        DicomError: a limit is exceeded, or tags and lengths make no data set.
    """
    walker = _Walker(data, little, limits)
    try:
        stop = walker.dataset(start, len(data), walker.implicit(start), 0, delimited=False)
    except _BrokenError as broken:
        reason = str(broken)
    else:
        return Skeleton(stop, walker.elements, walker.depth, walker.pixels)
    raise DicomError(f"its structure is broken: {reason}")


def walk_meta(data: bytes | bytearray, start: int) -> int:
    """Where the file meta information (group 0002, always explicit little endian) that begins at ``start`` ends."""
    at = start
    for _ in range(64):  # the standard has 15 elements in this group
        if at + 8 > len(data) or data[at : at + 2] != b"\x02\x00":
            return at
        if data[at + 4 : at + 6] in _LONG:
            if at + 12 > len(data):
                break
            at += 12 + int.from_bytes(data[at + 8 : at + 12], "little")
        else:
            at += 8 + int.from_bytes(data[at + 6 : at + 8], "little")
    raise DicomError("its file meta information does not end")


class _Walker:
    def __init__(self, data: bytes | bytearray, little: bool, limits: Limits) -> None:
        order = "<" if little else ">"
        self.data, self.limits = data, limits
        self.long, self.tag = struct.Struct(order + "HHL").unpack_from, struct.Struct(order + "HH").unpack_from
        self.u16, self.u32 = struct.Struct(order + "H").unpack_from, struct.Struct(order + "L").unpack_from
        self.elements = self.depth = self.header_bytes = 0
        self.pixels: PixelValue | None = None
        self.dictionary_vr = require("pydicom.datadict").dictionary_VR

    def implicit(self, at: int) -> bool:
        """Whether the data set at ``at`` has implicit value representations, whatever was announced."""
        return not _is_vr(self.data[at + 4 : at + 6])

    def count(self) -> None:
        self.elements += 1
        if self.elements > self.limits.elements:
            raise DicomError(f"it has more than {self.limits.elements} data elements (Limits.elements)")

    def weigh(self, length: int) -> None:
        self.header_bytes += length
        if self.header_bytes > self.limits.header_bytes:
            raise DicomError(f"it has more than {self.limits.header_bytes} bytes of header (Limits.header_bytes)")

    def dataset(self, at: int, stop: int, implicit: bool, depth: int, *, delimited: bool) -> int:
        data = self.data
        while at < stop:
            if at + 8 > stop:
                raise _BrokenError("it ends inside a data element")
            group, element, length = self.long(data, at)
            tag = group << 16 | element
            if tag == _ITEM_END and delimited:
                return at + 8
            if group == 0xFFFE:
                raise _BrokenError("a delimiter stands where a data element should")
            self.count()
            head, vr = 8, b""
            if not implicit and _is_vr(data[at + 4 : at + 6]):
                vr = bytes(data[at + 4 : at + 6])
                if vr in _LONG:
                    if at + 12 > stop:
                        raise _BrokenError("it ends inside a data element")
                    head, length = 12, self.u32(data, at + 8)[0]
                else:
                    length = self.u16(data, at + 6)[0]
            value = at + head
            if depth == 0 and (tag == PIXELS or tag in FLOAT_PIXELS):
                self.pixels = self.pixel_value(tag, vr.decode(), value, length)
                return at
            at = self.value(tag, vr, value, length, stop, implicit, depth)
        if delimited:
            raise _BrokenError("a sequence item has no end")
        return at

    def value(self, tag: int, vr: bytes, value: int, length: int, stop: int, implicit: bool, depth: int) -> int:
        """Step over one value, and into it where it is a sequence."""
        if length == _UNDEFINED:
            if vr in (b"SQ", b"UN", b"") and tag != PIXELS:
                return self.sequence(value, stop, implicit, depth + 1, delimited=True)
            return self.fragments(value, stop)[1]
        end = value + length
        if end > stop:
            raise _BrokenError(f"a data element of {length} bytes goes beyond what holds it")
        if vr == b"SQ":
            return self.sequence(value, end, implicit, depth + 1, delimited=False)
        if vr in (b"", b"UN") and length >= 8 and self.tag(self.data, value) == (0xFFFE, 0xE000):
            try:
                return self.sequence(value, end, implicit, depth + 1, delimited=False)
            except _BrokenError:
                return end
        if not (self.stays_bytes(tag) if vr == b"" else vr in _BYTES):
            self.weigh(length)
        return end

    def stays_bytes(self, tag: int) -> bool:
        try:
            return self.dictionary_vr(tag).encode() in _BYTES
        except KeyError:  # what no dictionary knows stays bytes
            return True

    def sequence(self, at: int, stop: int, implicit: bool, depth: int, *, delimited: bool) -> int:
        if depth > self.limits.nesting:
            raise DicomError(f"its sequences are nested more than {self.limits.nesting} deep (Limits.nesting)")
        self.depth = max(self.depth, depth)
        while at < stop:
            if at + 8 > stop:
                raise _BrokenError("it ends inside a sequence")
            group, element, length = self.long(self.data, at)
            tag = group << 16 | element
            if tag == _SEQUENCE_END and delimited:
                return at + 8
            if tag != _ITEM:
                raise _BrokenError("a sequence holds something else than items")
            self.count()
            at += 8
            # Items may be implicit in an explicit data set, but not the other way round (PS3.5, section 6.2.2).
            inner = implicit or self.implicit(at)
            if length == _UNDEFINED:
                at = self.dataset(at, stop, inner, depth, delimited=True)
            elif at + length > stop:
                raise _BrokenError(f"a sequence item of {length} bytes goes beyond what holds it")
            else:
                at = self.dataset(at, at + length, inner, depth, delimited=False)
        if delimited:
            raise _BrokenError("a sequence has no end")
        return at

    def pixel_value(self, tag: int, vr: str, value: int, length: int) -> PixelValue:
        if length == _UNDEFINED:
            fragments, stop = self.fragments(value, len(self.data))
            return PixelValue(tag, vr, value, stop, fragments)
        there = len(self.data) - value
        if length > there:
            raise DicomError(f"its pixel data are cut off: {length} bytes are announced, {there} are there")
        return PixelValue(tag, vr, value, value + length, None)

    def fragments(self, at: int, stop: int) -> tuple[int, int]:
        """Count the fragments of encapsulated pixel data, the offset table not among them, and find their end."""
        fragments = -1
        while at + 8 <= stop:
            group, element, length = self.long(self.data, at)
            tag = group << 16 | element
            at += 8
            if tag == _SEQUENCE_END:
                return max(fragments, 0), at
            if tag != _ITEM or length == _UNDEFINED:
                raise _BrokenError("encapsulated pixel data hold something else than fragments")
            self.count()
            fragments += 1
            at += length
        raise _BrokenError("its encapsulated pixel data are cut off")


def _is_vr(two: bytes | bytearray) -> bool:
    return len(two) == 2 and 0x40 < two[0] < 0x5B and 0x40 < two[1] < 0x5B
