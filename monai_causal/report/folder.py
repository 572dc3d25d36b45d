# SPDX-License-Identifier: Apache-2.0
"""What a results folder holds, sorted by what it is: cases, tables, pictures, volumes, texts.

Each file is looked at once. A case claims the files that were written with it; what nobody can read is named on the
page with its reason, never passed over in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_causal.apps.medfocus.result import ATTRIBUTION_SCHEMA, MEDFOCUS_SCHEMA, read_result
from monai_causal.report.attributed import AttributedFile
from monai_causal.report.explained import EXPLAIN, PDCR
from monai_causal.report.originals import BESIDE
from monai_causal.report.tables import read_json

__all__ = ["Contents", "sort_folder"]

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
TEXTS = (".md", ".txt")
MOST_FILES = 20_000


@dataclass
class Contents:
    """What is in a folder; names are relative to it.

    Attributes:
        explained: folders of ``monai-causal explain`` with their summaries.
        pdcr: folders of ``PdCRResult.save`` that stand by themselves, with their summaries.
        attributed: records of ``monai-causal medfocus attribute``.
        records: other JSON files that are objects.
        tables, pictures, volumes, texts: files.
        left_out: what could not be read, and why.
    """

    root: Path
    explained: list[tuple[Path, Mapping[str, Any]]] = field(default_factory=list)
    pdcr: list[tuple[Path, Mapping[str, Any]]] = field(default_factory=list)
    attributed: list[AttributedFile] = field(default_factory=list)
    records: list[tuple[Path, Mapping[str, Any]]] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    volumes: list[Path] = field(default_factory=list)
    texts: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def name(self, path: Path) -> str:
        """Of a file or folder, as the page shows it."""
        inside = path.relative_to(self.root).as_posix()
        return self.root.resolve().name if inside == "." else inside

    def without(self, path: Path, why: object) -> None:
        """Say that a file is not on the page."""
        self.left_out.append(f"{self.name(path)}: {why}")


def sort_folder(root: Path) -> Contents:
    """Look through a folder and all below it; hidden files, and links that lead elsewhere, are not followed.

    Raises:
        ValueError: it is no folder, or holds nothing that a page could show.
    """
    if not root.is_dir():
        raise ValueError("there is no such folder: give one that a command of monai-causal wrote.")
    contents = Contents(root)
    files = sorted(_files(root), key=lambda path: path.relative_to(root).as_posix())
    claimed: set[Path] = set()
    # A summary claims what lies beside and below it, so summaries come first.
    for path in sorted(files, key=lambda path: path.name != "summary.json"):
        if path.name.lower().endswith(".json"):
            _sort_json(path, contents, claimed)
    for path in files:
        name = path.name.lower()
        if path in claimed or any(folder in claimed for folder in path.parents) or name.endswith(".json"):
            continue
        kinds = (
            ((".csv",), contents.tables),
            (PICTURES, contents.pictures),
            ((".nii", ".nii.gz"), contents.volumes),
            (TEXTS, contents.texts),
        )
        for endings, place in kinds:
            if name.endswith(endings):
                place.append(path)
    held = (contents.explained, contents.pdcr, contents.attributed, contents.records, contents.tables)
    if not any((*held, contents.pictures, contents.volumes)):
        reasons = f" ({'; '.join(contents.left_out[:3])})" if contents.left_out else ""
        raise ValueError(f"the folder holds no results{reasons}: give one that a command of monai-causal wrote.")
    return contents


def _files(root: Path) -> Iterator[Path]:
    seen = 0
    for path in root.rglob("*"):
        if any(part.startswith(".") for part in path.relative_to(root).parts) or path.is_symlink():
            continue
        if path.is_file():
            seen += 1
            if seen > MOST_FILES:
                raise ValueError(f"the folder holds more than {MOST_FILES:,} files: give one of its parts.")
            yield path


def _sort_json(path: Path, contents: Contents, claimed: set[Path]) -> None:
    if path in claimed or any(folder in claimed for folder in path.parents):
        return
    try:
        content = read_json(path)
        schema = content.get("schema") if isinstance(content, Mapping) else None
        if schema in (ATTRIBUTION_SCHEMA, MEDFOCUS_SCHEMA):
            contents.attributed.append(AttributedFile(path, read_result(path)))
            claimed |= {path.with_suffix(".png"), *(path.parent / name for name in BESIDE)}
        elif schema == EXPLAIN and path.name == "summary.json":
            contents.explained.append((path.parent, content))
            own = ("explanation.png", "map.nii.gz", "pdcr", *BESIDE)
            claimed |= {path.parent / name for name in own}
        elif schema == PDCR:
            contents.pdcr.append((path.parent, content))
            names = ("effects.csv", "ites.csv", *(f"{one}.nii.gz" for one in _PDCR_VOLUMES))
            claimed |= {path.parent / name for name in names}
        elif isinstance(content, Mapping):
            contents.records.append((path, content))
    except ValueError as error:
        contents.without(path, error)


_PDCR_VOLUMES = ("map", "ate", "standard_error", "roi", "regions")
