# SPDX-License-Identifier: Apache-2.0
"""Which phantoms are whose, by their seeds: none is learnt from and tested on. Nothing heavy is imported.

A study has a block of its own for training, validation, tests and interventions, :data:`FAR` apart.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["FAR", "FILES", "HELD_OUT", "PRETRAINED", "PROTOTYPES", "STUDY", "meeting"]

FAR = 1_000_000
"""Between the parts of a study."""
PRETRAINED = range(6_000)
"""The small CLIP that comes along was taught on these."""
PROTOTYPES = range(4_000_000, 4_000_900)
"""A dictionary of prototypes is made of these."""
STUDY = 5_000_000
"""Where a study begins, if it does not say so."""
HELD_OUT = range(9_000_000, 10_000_000)
"""The small CLIP is tested on the first of these."""
FILES = range(100_000_000, 10**15)
"""Those that are written as files, one block for each of their seeds."""

RESERVED = {
    "that the small CLIP was taught on": PRETRAINED,
    "that prototypes are made of": PROTOTYPES,
    "that the small CLIP is tested on": HELD_OUT,
    "that are written as files": FILES,
}


def meeting(parts: Iterable[range]) -> str | None:
    """What these seeds meet, in words; None if they meet nothing.

    Example:
        >>> meeting([range(5_999, 6_010)]), meeting([range(6_000, 6_010)])
        ('the phantoms 0 to 5999 that the small CLIP was taught on', None)
    """
    for part in parts:
        for words, taken in RESERVED.items():
            if part and part.start < taken.stop and taken.start < part.stop:
                span = f"from {taken.start} on" if taken is FILES else f"{taken.start} to {taken.stop - 1}"
                return f"the phantoms {span} {words}"
    return None
