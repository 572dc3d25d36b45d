# SPDX-License-Identifier: Apache-2.0
"""Digests of files and folders."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["digest_of", "files_of"]

_PIECE = 1 << 20


def digest_of(place: Path) -> str:
    """SHA-256 of a file's bytes; of a folder, of its files' names and digests."""
    if place.is_dir():
        lines = "".join(f"{name} {digest_of(path)}\n" for name, path in files_of(place))
        return hashlib.sha256(lines.encode()).hexdigest()
    digest = hashlib.sha256()
    with place.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def files_of(place: Path) -> Iterator[tuple[str, Path]]:
    """A file itself, or all files of a folder in the order of their names within it."""
    if not place.is_dir():
        yield place.name, place
        return
    yield from sorted((path.relative_to(place).as_posix(), path) for path in place.rglob("*") if path.is_file())
