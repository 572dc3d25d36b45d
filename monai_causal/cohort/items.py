# SPDX-License-Identifier: Apache-2.0
"""The cases of a cohort, one after another: from a list, a folder, a table, a server, or made up.

Listings come as streams and name files only; nothing of an image is read here.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_causal.apps.study.configuration import ConfigError
from monai_causal.cohort.config import (
    CsvItems,
    DecathlonItems,
    DicomwebItems,
    FolderItems,
    ItemsConfig,
    NumberItems,
    PhantomItems,
)

__all__ = ["FILES", "Item", "list_items", "named"]

FILES = ("image", "label", "study")
"""Keys of an item that name a file or folder."""

Content = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """One case.

    Args:
        number: its place in the cohort, from 0; results are known by it.
        content: what is known of it: ``image``, ``label`` or ``study`` (paths), ``site``, ``patient``, and whatever
            else a list says. It never reaches a table, a log or a file name but for ``site``.
    """

    number: int
    content: Mapping[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """What everybody may read."""
        return named(self.number)

    def files(self) -> dict[str, Path]:
        """The files and folders that it names, by key."""
        return {key: Path(self.content[key]) for key in FILES if isinstance(self.content.get(key), str)}


def named(number: int) -> str:
    """The name of an item.

    Example:
        >>> named(17)
        'item-00000017'
    """
    return f"item-{number:08d}"


def list_items(config: ItemsConfig) -> Iterator[Content]:
    """The content of every item, in a fixed order.

    Raises:
        ConfigError: the source cannot be read.
    """
    made = _SOURCES[type(config)](config)
    for number, content in enumerate(made):
        if config.limit is not None and number >= config.limit:
            return
        yield content if config.site is None else {**content, "site": config.site}


def _decathlon(config: DecathlonItems) -> Iterator[Content]:
    path = _there(config.path, "items.path")
    path = path / "dataset.json" if path.is_dir() else path
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ConfigError(f"items.path: {path.name!r} is no JSON list in the decathlon's format.") from None
    section = listed.get(config.section) if isinstance(listed, dict) else None
    if not isinstance(section, list):
        known = [key for key, value in listed.items() if isinstance(value, list)] if isinstance(listed, dict) else []
        raise ConfigError(f"items.section: {config.section!r}: the list has {', '.join(known) or 'no section'}.")
    folder = path.parent if config.base_dir is None else Path(config.base_dir)
    for number, entry in enumerate(section):
        content = {"image": entry} if isinstance(entry, str) else entry
        if not isinstance(content, dict) or not isinstance(content.get("image"), str):
            raise ConfigError(f"items.path: entry {number} of {config.section!r} names no image.")
        yield _placed(content, folder)


def _folder(config: FolderItems) -> Iterator[Content]:
    root = _there(config.path, "items.path")
    labels = None if config.labels is None else _there(config.labels, "items.labels")
    found = False
    for path in sorted(root.glob(config.pattern)):
        if path.name.startswith(".") or path.is_dir() != (config.each == "study"):
            continue
        found = True
        if config.each == "study":
            yield {"study": str(path)}
        else:
            content = {"image": str(path)}
            if labels is not None:
                content["label"] = str(labels / path.relative_to(root))
            yield content
    if not found:
        raise ConfigError(f"items.pattern: {config.pattern!r} finds no {config.each} in the folder.")


def _csv(config: CsvItems) -> Iterator[Content]:
    path = _there(config.path, "items.path")
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        heads = rows.fieldnames or ()
        if not {"image", "study"} & set(heads):
            raise ConfigError(f"items.path: the table has the columns {', '.join(heads)}: name one image or study.")
        for row in rows:
            yield _placed({key: value for key, value in row.items() if key is not None and value}, path.parent)


def _dicomweb(config: DicomwebItems) -> Iterator[Content]:
    from monai_causal.dicom.web import Credentials, DicomWeb
    from monai_causal.dicom.web.client import value_of

    client = DicomWeb(config.address, Credentials.from_environment(CREDENTIALS))
    for study in client.studies():
        yield {"address": client.address.base, "uid": value_of(study, "0020000D")}


CREDENTIALS = "MONAI_CAUSAL_FROM"
"""Prefix of the environment variables that sign in to a DICOMweb server, as for ``medfocus run``."""


def _phantoms(config: PhantomItems) -> Iterator[Content]:
    for number in range(config.count):
        yield {"phantom": config.seed + number, "options": dict(config.options)}


def _numbers(config: NumberItems) -> Iterator[Content]:
    yield from ({"value": number} for number in range(config.count))


_SOURCES: dict[type, Callable[[Any], Iterator[Content]]] = {
    DecathlonItems: _decathlon,
    FolderItems: _folder,
    CsvItems: _csv,
    DicomwebItems: _dicomweb,
    PhantomItems: _phantoms,
    NumberItems: _numbers,
}


def _there(path: str, key: str) -> Path:
    if not Path(path).exists():
        raise ConfigError(f"{key}: there is no such file or folder.")
    return Path(path)


def _placed(content: Content, folder: Path) -> Content:
    """With paths that hold wherever a worker stands."""
    placed = {key: os.path.join(folder, content[key]) for key in FILES if isinstance(content.get(key), str)}
    return {**content, **placed}
