# SPDX-License-Identifier: Apache-2.0
"""How much a DICOM file may ask for before it is refused."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Limits"]

_MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """What one file may hold and what reading it may cost; the defaults leave a chest radiograph ample room.

    Args:
        file_bytes: size of the file.
        pixels: rows x columns x frames x samples, as the header declares them.
        frames: number of frames.
        nesting: depth of sequences inside sequences.
        elements: data elements and sequence items, nested ones included, before the pixel data.
        header_bytes: bytes of values that become Python objects (text and numbers); each may cost a hundred times
            its size in memory. Values that stay bytes do not count.
        inflated_bytes: size of a deflated file when inflated.
        seconds: wall clock, and processor time, for decoding one file.
        memory_bytes: what the decoding child may take on top of what it has when idle.
        deflated: read files of the deflated transfer syntax at all.
        without_preamble: read a file that lacks the preamble, if all of it has the structure of DICOM.

    Example:
        >>> Limits(frames=1, seconds=5).frames
        1
    """

    file_bytes: int = 256 * _MIB
    pixels: int = 64 * _MIB
    frames: int = 16
    nesting: int = 16
    elements: int = 20_000
    header_bytes: int = 2 * _MIB
    inflated_bytes: int = 128 * _MIB
    seconds: float = 60.0
    memory_bytes: int = 2048 * _MIB
    deflated: bool = False
    without_preamble: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, bool) and not value > 0:
                raise ValueError(f"Limits.{field.name} is {value!r}; a limit is a number above zero.")

    @classmethod
    def for_series(cls) -> Limits:
        """Room for a multi-frame CT or MR object: thousands of frames, a header with an entry for each.

        Example:
            >>> Limits.for_series().frames
            8192
        """
        return cls(
            file_bytes=2048 * _MIB,
            pixels=1024 * _MIB,
            frames=8192,
            elements=1_000_000,
            header_bytes=32 * _MIB,
            inflated_bytes=2048 * _MIB,
            seconds=600.0,
            memory_bytes=8192 * _MIB,
        )
