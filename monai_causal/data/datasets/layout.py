# SPDX-License-Identifier: Apache-2.0
"""What a data set is, and what every loader needs to list one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from monai_causal.data.readers import PICTURES

Item: TypeAlias = dict[str, Any]
Paths: TypeAlias = dict[str, Path]


class DatasetError(ValueError):
    """A data set that is not there, or not in its published layout."""


@dataclass(frozen=True)
class Layout:
    """A data set: where it is published, what its folder looks like, and how that is read."""

    title: str
    page: str
    tree: str
    load: Callable[..., list[Item]]
    splits: tuple[str, ...] = ()
    count: int | None = None
    """how many images are published, where a loader checks it"""
    note: str = ""
    """what to know of the files before they are used: terms, known defects"""
    unmasked: str = ""
    """why images of the published data set have no mask"""

    def error(self, problem: str) -> DatasetError:
        """What is wrong, the official page and the expected tree."""
        note = f"\n{self.note}" if self.note else ""
        return DatasetError(f"{self.title}: {problem}\nIt is published at {self.page}{note}\nExpected:\n{self.tree}")

    def folder(self, root: Path, *candidates: str) -> Path:
        """The first of these folders that is there."""
        for candidate in candidates:
            if (root / candidate).is_dir():
                return root / candidate
        raise self.error(f"the folder {candidates[0]!r} is missing.")

    def counted(self, items: list[Item], complete: bool) -> list[Item]:
        """The items, if they are as many as were published or a part is allowed."""
        if complete and len(items) != self.count:
            raise self.error(
                f"there are {len(items)} images where {self.count} are published "
                "(complete=False accepts a part, or more)."
            )
        return items


def inside(root: Path, *ways: str) -> Path:
    """The first of these folders in ``root`` that is there, or else ``root`` itself."""
    return next((root / way for way in ways if (root / way).is_dir()), root)


def files(layout: Layout, folder: Path, label_suffix: str = "", named: Callable[[str], str] = str) -> Paths:
    """The pictures of a folder by id, in this order.

    ``label_suffix`` is what a mask's name may end with; ``named`` makes the rest of a name the id.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.name[0] != ".")
    found = {named(path.stem.removesuffix(label_suffix)): path for path in paths}
    if len(found) < len(paths):
        raise layout.error(
            f"{len(paths) - len(found)} pictures of one folder have the name of another one beside them."
        )
    return dict(sorted(found.items()))


def paired(layout: Layout, images: Paths, labels: Paths) -> list[Item]:
    """Images and the masks of the same id; a mask without an image is an error, an image without a mask is not yet."""
    strays = [number for number, name in enumerate(labels) if name not in images]
    if strays:
        raise layout.error(
            f"{len(strays)} of {len(labels)} masks have no image, the first is number {strays[0]} in sorted order."
        )
    items = [
        {"image": str(path), **({"label": str(labels[name])} if name in labels else {})}
        for name, path in images.items()
    ]
    return [{**item, "label_type": "binary", "id": name} for name, item in zip(images, items, strict=True)]


def listed(layout: Layout, root: Path, name: str) -> list[str]:
    """The words of a text file."""
    if not (root / name).is_file():
        raise layout.error(f"the file {name!r} is missing.")
    return (root / name).read_text(encoding="utf-8").split()


def require_files(layout: Layout, items: Sequence[Item], keys: Sequence[str] = ("image", "label")) -> None:
    """The files that a list names are there."""
    for key in keys:
        named = [([path] if isinstance(path, str) else path or ()) for path in (item.get(key) for item in items)]
        missing = [number for number, paths in enumerate(named) if not all(Path(path).is_file() for path in paths)]
        if missing:
            raise layout.error(
                f"{len(missing)} of {len(items)} {key}s that its list names are not there, the first is number "
                f"{missing[0]}."
            )
