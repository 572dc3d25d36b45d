# SPDX-License-Identifier: Apache-2.0
"""Where studies come from: a folder, a DICOMDIR or file, or a DICOMweb search. Headers only are read here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from monai_causal.dicom.dicomdir import inside
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.study import Instance, LeftOut, Study, Survey, left_out
from monai_causal.dicom.study_survey import survey
from monai_causal.dicom.study_web import WebStudy
from monai_causal.dicom.web.client import DicomWeb, value_of

__all__ = ["FolderSource", "Found", "Listing", "Source", "WebSource"]

_STUDY, _COUNT, _INSTANCE = "0020000D", "00201208", "00080018"
Mark = tuple[int, int, int]


@dataclass(frozen=True)
class Found:
    """A study that a source has.

    Args:
        uid: StudyInstanceUID.
        signature: another one where the study is another one, as far as the source tells without reading it.
        look: gives the headers of its instances.
    """

    uid: str = field(repr=False)
    signature: str
    look: Callable[[], Survey] = field(repr=False)


@dataclass(frozen=True)
class Listing:
    """What a source has now.

    Args:
        studies: in the order found.
        refused: files that belong to no study because they cannot be read, each with a signature of its own.
    """

    studies: tuple[Found, ...]
    refused: tuple[tuple[str, LeftOut], ...] = ()


class Source(Protocol):
    """Where studies come from."""

    kind: str
    """``"folder"`` or ``"dicomweb"``."""

    def listing(self) -> Listing:
        """What it has now; asked again, it looks again."""


class FolderSource:
    """Studies in a folder, with all below it; or in a DICOMDIR or file. A file is read again only if it has changed.

    Args:
        path: of the folder.
        keywords: attributes that selection rules look at.
        limits: what each file may ask for.
    """

    kind = "folder"

    def __init__(
        self, path: str | os.PathLike[str], keywords: Iterable[str] = (), limits: Limits | None = None
    ) -> None:
        self._path, self._keywords, self._limits = Path(path), tuple(keywords), limits
        if not self._path.exists():
            raise ValueError("the source is neither a folder or file that is there nor the address of a server.")
        self._known: dict[Path, tuple[Mark, Instance | LeftOut]] = {}
        self._count = 0

    def listing(self) -> Listing:
        """See :class:`Source`."""
        if not self._path.is_dir():
            found = survey(self._path, self._limits, self._keywords)
            return _listing(found.studies, found.left_out)
        known: dict[Path, tuple[Mark, Instance | LeftOut]] = {}
        root = self._path.resolve()
        for path in _files(self._path):
            try:
                status = path.stat()
            except OSError:  # it went while we looked, or it is a link to nothing
                continue
            mark = (status.st_size, status.st_mtime_ns, status.st_ino)
            before = self._known.get(path)
            known[path] = before if before is not None and before[0] == mark else (mark, self._look(path, root))
        self._known = known
        seen = [one for _, one in known.values()]
        grouped = Survey.of((one for one in seen if isinstance(one, Instance)), (), len(seen))
        return _listing(grouped.studies, [one for one in seen if isinstance(one, LeftOut)])

    def _look(self, path: Path, root: Path) -> Instance | LeftOut:
        self._count += 1
        item = f"file {self._count}"
        if path.is_symlink() and not inside(path, root):
            return left_out(item, "leaves-folder")
        found = survey([path], self._limits, self._keywords)
        if found.studies:
            return replace(found.studies[0].instances[0], index=self._count)
        (gone,) = found.left_out
        return gone._replace(item=gone.item.replace("file 1", item, 1), place="")


class WebSource:
    """The studies that a DICOMweb search finds; the filters stand in the server's address.

    Args:
        client: the server.
        keywords: attributes that selection rules look at.
    """

    kind = "dicomweb"

    def __init__(self, client: DicomWeb, keywords: Iterable[str] = ()) -> None:
        self._client, self._keywords = client, tuple(keywords)

    def listing(self) -> Listing:
        """See :class:`Source`."""
        found = []
        for one in self._client.studies():
            uid = value_of(one, _STUDY)
            # The number of instances is what a search tells at no cost; where a server does not, they are listed.
            count = value_of(one, _COUNT)
            if not count:
                held = sorted(value_of(each, _INSTANCE) for each in self._client.instances(uid))
                count = _digest(held)
            found.append(Found(uid, count, _Look(WebStudy(self._client, uid), self._keywords)))
        return Listing(tuple(found))


@dataclass(frozen=True)
class _Look:
    study: WebStudy
    keywords: tuple[str, ...]

    def __call__(self) -> Survey:
        return survey(self.study, None, self.keywords)


def _listing(studies: Iterable[Study], gone: Iterable[LeftOut]) -> Listing:
    found = []
    for study in studies:
        signature = _digest(sorted(one.digest for one in study.instances))
        found.append(Found(study.uid, signature, partial(Survey, (study,), (), len(study.instances))))
    return Listing(tuple(found), tuple((_digest([one.item, one.reason]), one) for one in gone))


def _files(folder: Path) -> Iterable[Path]:
    """All files below a folder in the order of their names; folders that cannot be entered hold none for us."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield Path(parent, name)


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
