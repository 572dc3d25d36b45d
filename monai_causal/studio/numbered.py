# SPDX-License-Identifier: Apache-2.0
"""A folder of its own for each result that is kept."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["next_folder"]

_NUMBERED = re.compile(r"(\d{2,})-")


def next_folder(out: Path, name: str) -> Path:
    """The next free folder below ``out``, made: ``01-name``, ``02-name`` ... What is there is never written over."""
    out.mkdir(parents=True, exist_ok=True)
    taken = [int(match[1]) for path in out.iterdir() if (match := _NUMBERED.match(path.name))]
    folder = out / f"{max(taken, default=0) + 1:02d}-{name}"
    folder.mkdir()
    return folder
