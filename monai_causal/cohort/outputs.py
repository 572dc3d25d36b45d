# SPDX-License-Identifier: Apache-2.0
"""Outputs: written in a folder of their own, moved to their place whole, found there by the item's number."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_causal.cohort.items import named

__all__ = ["RECORD", "Store", "read_record", "write_record"]

RECORD = "record.json"
SCHEMA = "monai_causal/cohort-item/1"
_IN_ONE_FOLDER = 1000


class Store:
    """The folder that holds the outputs of all items. One process publishes, and nobody else.

    Args:
        out: of the cohort.
    """

    def __init__(self, out: Path) -> None:
        self.items = out / "items"
        self._drafts = out / "cohort" / "staging"
        # What a worker of a killed run may still be writing lies elsewhere.
        self.staging = self._drafts / secrets.token_hex(4)

    def begin(self) -> None:
        """Make the folders, and drop what killed runs left unpublished."""
        self.items.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._drafts, ignore_errors=True)
        self.staging.mkdir(parents=True)

    def end(self) -> None:
        """Drop what was not published."""
        shutil.rmtree(self.staging, ignore_errors=True)

    def place(self, number: int) -> Path:
        """Where the output of an item is."""
        return self.items / f"{number // _IN_ONE_FOLDER:06d}" / named(number)

    def publish(self, number: int, staged: str) -> None:
        """Move an output to its place; what was there from an attempt that was never journalled makes room."""
        place = self.place(number)
        try:
            os.rename(staged, place)
        except FileNotFoundError:
            place.parent.mkdir(exist_ok=True)
            os.rename(staged, place)
        except OSError:
            if not place.exists():
                raise
            shutil.rmtree(place)
            os.rename(staged, place)

    def withdraw(self, number: int) -> None:
        """Remove an output."""
        shutil.rmtree(self.place(number), ignore_errors=True)


def write_record(folder: Path, content: Mapping[str, Any]) -> tuple[str, int]:
    """Write an item's record beside its files.

    Returns:
        the record's digest, and the bytes of everything in the folder.
    """
    # NaN is no JSON: whoever has one says null, and means it.
    text = json.dumps({"schema": SCHEMA, **content}, allow_nan=False).encode()
    (folder / RECORD).write_bytes(text)
    size = sum(entry.stat().st_size for entry in os.scandir(folder) if entry.is_file())
    inside = (entry.path for entry in os.scandir(folder) if entry.is_dir())
    size += sum(path.stat().st_size for one in inside for path in Path(one).rglob("*") if path.is_file())
    return hashlib.sha256(text).hexdigest(), size


def read_record(place: Path, digest: str) -> dict[str, Any] | None:
    """An item's record; None where it is not the one of this digest, or is not there."""
    try:
        text = (place / RECORD).read_bytes()
    except OSError:
        return None
    if hashlib.sha256(text).hexdigest() != digest:
        return None
    content: dict[str, Any] = json.loads(text)
    return content
