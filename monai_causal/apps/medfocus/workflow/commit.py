# SPDX-License-Identifier: Apache-2.0
"""A result is there whole or not at all, whatever is switched off when.

Objects are written into a folder of their own in ``staging``, synchronised, and the folder is renamed to its place. It
becomes a result when, last of all, its manifest gets its name. A folder without a manifest is none.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["MANIFEST", "SCHEMA", "Kept", "Store", "digest_of", "key_of"]

SCHEMA = "monai_causal/medfocus-result/1"
MANIFEST = "manifest.json"
_NAME = 32
_NAMED = re.compile(r"[0-9a-f]{32}")
_PIECE = 2**20


@dataclass(frozen=True)
class Kept:
    """One object of a result: its kind, its file below the result's folder, and the file's digest."""

    kind: str
    file: str
    sha256: str


def key_of(source_sha256: str, identity: Mapping[str, Any]) -> str:
    """What a result depends on, as one digest: the source file, and all that decides the answer.

    Example:
        >>> key_of("a", {"tau": 0.75}) == key_of("a", {"tau": 0.8})
        False
    """
    content = {"schema": SCHEMA, "source_sha256": source_sha256, "identity": identity}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


class Store:
    """Results in a folder, each in a folder named by its key.

    Args:
        results: the folder of results.
        staging: a folder on the same file system, for what is not finished.
    """

    def __init__(self, results: Path, staging: Path) -> None:
        self.results, self.staging = results, staging
        for folder in (results, staging):
            folder.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def name_of(key: str) -> str:
        """Name of the result of a key."""
        return key[:_NAME]

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """An empty folder to write into; what is left of it afterwards goes."""
        folder = self.staging / secrets.token_hex(8)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def commit(self, draft: Path, key: str, objects: Sequence[Kept], more: Mapping[str, Any]) -> str:
        """Make a result of what was written; it is on disk when this returns.

        Args:
            draft: the folder.
            key: of the result.
            objects: what is in it.
            more: for the manifest.

        Returns:
            The result's name.
        """
        name = self.name_of(key)
        for path in sorted(draft.rglob("*")):
            if path.is_file():
                _synchronise(path)
        for folder in (*(path for path in sorted(draft.rglob("*"), reverse=True) if path.is_dir()), draft):
            _synchronise(folder)
        place = self.results / name
        if place.exists():  # of a run that ended between the two renames
            self._drop(place)
        os.replace(draft, place)
        _synchronise(self.results)
        content = {"schema": SCHEMA, "key": key, **more, "objects": [vars(one) for one in objects]}
        unnamed = place / f".{MANIFEST}"
        unnamed.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        _synchronise(unnamed)
        os.replace(unnamed, place / MANIFEST)
        _synchronise(place)
        return name

    def objects(self, name: str) -> list[Kept] | None:
        """What a result holds, every digest checked; None where there is no such result.

        Raises:
            ValueError: it is damaged.
        """
        place = self.results / name
        if not (place / MANIFEST).is_file():
            return None
        try:
            content = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
            objects = [Kept(**one) for one in content["objects"]]
            whole = content["schema"] == SCHEMA and self.name_of(content["key"]) == name
        except (ValueError, KeyError, TypeError):
            objects, whole = [], False
        if not whole or any(not (place / one.file).is_file() for one in objects):
            raise ValueError("its manifest is damaged, or a file of it is missing")
        for one in objects:
            if digest_of(place / one.file) != one.sha256:
                raise ValueError("a file of it is not what was committed")
        return objects

    def set_aside(self, name: str) -> str:
        """Move a damaged result out of the way, and keep it for who wants to look; its new name."""
        aside = f"damaged-{name[:12]}-{secrets.token_hex(4)}"
        os.replace(self.results / name, self.staging / aside)
        return aside

    def sweep(self) -> int:
        """Drop what killed runs left unfinished; how many folders. Nobody else may be at work."""
        left = [path for path in self.staging.iterdir() if not path.name.startswith("damaged-")]
        # Only what bears a result's name: the folder may have been somebody's before.
        named = [path for path in self.results.iterdir() if path.is_dir() and _NAMED.fullmatch(path.name)]
        left += [path for path in named if not (path / MANIFEST).is_file()]
        for path in left:
            self._drop(path)
        return len(left)

    def _drop(self, place: Path) -> None:
        """Remove an unfinished result: renamed first, so that no half of it is ever seen under its name."""
        gone = self.staging / secrets.token_hex(8)
        os.replace(place, gone)
        shutil.rmtree(gone)


def _synchronise(path: Path) -> None:
    """Have a file or folder on disk, and not only in memory."""
    if path.is_dir() and os.name != "posix":
        return  # only POSIX opens a folder
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
