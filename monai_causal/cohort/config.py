# SPDX-License-Identifier: Apache-2.0
"""What a cohort is: a YAML or JSON file, read into checked dataclasses. Nothing heavy is imported."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from monai_causal.apps.study.configuration import (
    ConfigError,
    checked,
    configured,
    need,
    read_content,
)
from monai_causal.cohort.digests import digest_of
from monai_causal.cohort.registry import entry_of

__all__ = [
    "CohortConfig",
    "CsvItems",
    "DecathlonItems",
    "DicomwebItems",
    "FolderItems",
    "ItemsConfig",
    "JobConfig",
    "NumberItems",
    "PhantomItems",
    "RunConfig",
    "as_config",
    "read_config",
    "with_workers",
]

SCHEMA = "monai_causal/cohort-config/1"
GIVEN = "given"
"""Stands in a record for a path of this machine."""
MOST_TOGETHER = 256


@dataclass(frozen=True, kw_only=True)
class _Items:
    """What all sources share."""

    limit: int | None = None
    """Only the first so many; null: all."""
    site: str | None = None
    """All of them are of this site; null: the items say whose they are, if they do."""

    def __post_init__(self) -> None:
        need(self.limit is None or self.limit >= 1, "limit", self.limit, "take at least one, or null for all")


@dataclass(frozen=True, kw_only=True)
class DecathlonItems(_Items):
    """A list in the decathlon's format; further keys of its entries (``site``, ``patient`` ...) come along."""

    kind: Literal["decathlon"]
    path: str
    """The JSON file, or the folder with its ``dataset.json``."""
    section: str = "training"
    base_dir: str | None = None
    """Where its paths start; null: beside the list."""


@dataclass(frozen=True, kw_only=True)
class FolderItems(_Items):
    """A folder of images, or of folders with a DICOM study each."""

    kind: Literal["folder"]
    path: str
    each: Literal["image", "study"] = "image"
    pattern: str = "*"
    """Of the names below the folder; ``**/*.png`` looks at all depths."""
    labels: str | None = None
    """A folder that holds a label of the same name for every image."""


@dataclass(frozen=True, kw_only=True)
class CsvItems(_Items):
    """A table with a head; a column ``image`` or ``study`` names files, from the table's folder."""

    kind: Literal["csv"]
    path: str


@dataclass(frozen=True, kw_only=True)
class DicomwebItems(_Items):
    """The studies that a search finds when the cohort begins; credentials come from ``MONAI_CAUSAL_FROM_TOKEN``, or
    ``MONAI_CAUSAL_FROM_USER`` and ``MONAI_CAUSAL_FROM_PASSWORD``."""

    kind: Literal["dicomweb"]
    address: str
    """With filters: ``https://HOST/PATH?ModalitiesInStudy=DX``."""


@dataclass(frozen=True, kw_only=True)
class PhantomItems(_Items):
    """Shapes phantoms, rendered by the workers: something to run on anywhere."""

    kind: Literal["phantom"]
    count: int
    seed: int = 1_000_000
    """Of the first one."""
    options: dict[str, Any] = field(default_factory=dict)
    """``size``, ``strength``, ``evidence`` of the phantoms."""

    def __post_init__(self) -> None:
        super().__post_init__()
        need(self.count >= 1, "count", self.count, "make at least one")


@dataclass(frozen=True, kw_only=True)
class NumberItems(_Items):
    """Numbers from 0, for jobs that need no image."""

    kind: Literal["numbers"]
    count: int

    def __post_init__(self) -> None:
        super().__post_init__()
        need(self.count >= 1, "count", self.count, "count to at least one")


ItemsConfig: TypeAlias = DecathlonItems | FolderItems | CsvItems | DicomwebItems | PhantomItems | NumberItems
KINDS: dict[str, Any] = {
    "decathlon": DecathlonItems,
    "folder": FolderItems,
    "csv": CsvItems,
    "dicomweb": DicomwebItems,
    "phantom": PhantomItems,
    "numbers": NumberItems,
}


@dataclass(frozen=True)
class JobConfig:
    """What is done with every item: a name of :data:`monai_causal.cohort.jobs.JOBS`, with its settings."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    """The workers check them before they do anything."""


@dataclass(frozen=True)
class RunConfig:
    """How a run is carried out. None of it decides a result, and it may change from one start to the next."""

    workers: int = 1
    """Processes; on Ray, actors that are asked for. Each loads the network once."""
    cpus: float = 1.0
    """Of Ray, per worker."""
    gpus: float = 0.0
    """Of Ray, per worker; 0.25 puts four workers on a GPU."""
    threads: int = 1
    """Of a worker's libraries."""
    timeout: float = 3600.0
    """Seconds that an item may take; then its worker is ended."""
    start: float = 1800.0
    """Seconds that a worker may take to load its network."""
    silence: float = 300.0
    """Seconds without a sign of life after which a worker of the local engine is taken for dead."""
    attempts: int = 3
    """How often an item may take its worker down before it counts as failed."""

    def __post_init__(self) -> None:
        for name in ("workers", "threads", "attempts"):
            need(getattr(self, name) >= 1, name, getattr(self, name), "give at least 1")
        for name in ("timeout", "start", "silence"):
            need(getattr(self, name) > 0, name, getattr(self, name), "give seconds above 0")
        for name in ("cpus", "gpus"):
            need(getattr(self, name) >= 0, name, getattr(self, name), "give 0 or more")


@dataclass(frozen=True)
class CohortConfig:
    """Items x one job."""

    items: ItemsConfig
    job: JobConfig
    title: str = "Cohort"
    batch: int = 1
    """Items that a worker takes at once; those of one shape run together. Neighbours in the listing stay together
    whatever happens, so that an interruption changes no digit."""
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        fits = 1 <= self.batch <= MOST_TOGETHER
        need(fits, "batch", self.batch, f"give 1 to {MOST_TOGETHER}")

    def record(self) -> dict[str, Any]:
        """The configuration for a journal: without what decides no result, and with digests in place of paths."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        for key in ("run", "title"):
            content.pop(key)
        for key in ("path", "base_dir", "labels", "address"):
            if content["items"].get(key) is not None:
                content["items"][key] = GIVEN
        contents: dict[str, str] = {}
        for holder, key in _paths(content["job"]["settings"], entry_of(self.job.name).paths):
            place = Path(holder[key])
            if place.exists():
                contents[f"{len(contents)} {key}"] = digest_of(place)
                holder[key] = GIVEN
        return {"schema": SCHEMA, **content, "contents": contents}

    def digest(self) -> str:
        """Of :meth:`record`: 16 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.record(), sort_keys=True).encode()).hexdigest()[:16]


def read_config(path: str | os.PathLike[str]) -> CohortConfig:
    """The cohort that a YAML or JSON file describes; relative paths in it start at the file's folder."""
    return as_config(read_content(path), Path(path).resolve().parent)


def as_config(content: Any, folder: Path | None = None) -> CohortConfig:
    """The cohort that a dictionary describes.

    Args:
        content: the keys of :class:`CohortConfig`.
        folder: where relative paths start; None: they stay as they are.

    Example:
        >>> cohort = as_config({"items": {"kind": "numbers", "count": 3}, "job": {"name": "trivial"}})
        >>> cohort.items.count, cohort.run.workers
        (3, 1)
    """
    items = content.get("items") if isinstance(content, Mapping) else None
    if isinstance(items, Mapping):
        kind = items.get("kind")
        need(isinstance(kind, str) and kind in KINDS, "items.kind", kind, f"choose {', '.join(KINDS)}")
        # Each kind says for itself what is wrong; a choice between them could not.
        checked(KINDS[str(kind)], items, "items")
    config = configured(CohortConfig, content, SCHEMA)
    paths = entry_of(config.job.name).paths
    if folder is None:
        return config
    settings = json.loads(json.dumps(config.job.settings))
    for holder, key in _paths(settings, paths):
        holder[key] = _place(holder[key], folder, f"job.settings: {key}", named=True)
    places: dict[str, Any] = {
        key: _place(getattr(config.items, key), folder, f"items.{key}")
        for key in ("path", "base_dir", "labels")
        if getattr(config.items, key, None) is not None
    }
    return replace(config, items=replace(config.items, **places), job=replace(config.job, settings=settings))


def with_workers(config: CohortConfig, workers: int | None) -> CohortConfig:
    """The same with another number of workers; None leaves it."""
    if workers is None:
        return config
    need(workers >= 1, "workers", workers, "give at least 1")
    return replace(config, run=replace(config.run, workers=workers))


def _paths(settings: Any, keys: tuple[str, ...]) -> list[tuple[Any, str]]:
    """Where paths stand in settings, at any depth: the dictionary and the key."""
    if isinstance(settings, list):
        return [found for one in settings for found in _paths(one, keys)]
    if not isinstance(settings, dict):
        return []
    own = [(settings, key) for key in keys if isinstance(settings.get(key), str)]
    return own + [found for value in settings.values() for found in _paths(value, keys)]


def _place(path: str, folder: Path, what: str, named: bool = False) -> str:
    """An absolute path; a setting that may be a name too is a path where there is such a file or folder."""
    place = os.path.expanduser(os.path.expandvars(path))
    if "$" in place:
        raise ConfigError(f"{what} {path!r} names a variable that is not set: set it.")
    placed = str(folder / place)
    return path if named and not os.path.exists(placed) else placed
