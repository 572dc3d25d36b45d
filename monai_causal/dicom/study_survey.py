# SPDX-License-Identifier: Apache-2.0
"""Look through files, a folder, a DICOMDIR or a DICOMweb study: headers only, nothing is decoded."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from monai_causal.dicom.dicomdir import DIRECTORY, inside, read_dicomdir
from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.safety import open_dicom
from monai_causal.dicom.study import Instance, LeftOut, Survey, left_out, slim
from monai_causal.dicom.study_web import WebStudy, survey_web

__all__ = ["MOST_FILES", "survey"]

MOST_FILES = 20_000
_PREAMBLE = 128


class _Found(NamedTuple):
    """A file to look at, or the reason why not; ``place`` is its name below the folder."""

    source: Any
    place: str
    problem: str = ""
    sop_instance: str = ""


def survey(
    source: str | os.PathLike[str] | bytes | WebStudy | Sequence[Any],
    limits: Limits | None = None,
    keywords: Iterable[str] = (),
) -> Survey:
    """Find the studies in a source.

    Every file is checked as ``open_dicom`` checks it; one that is refused is left out with the reason, and the others
    are read on.

    Args:
        source: a folder (looked through with all below it), a DICOMDIR, a file, its content, a sequence of files, or a
            :class:`~monai_causal.dicom.study_web.WebStudy`.
        limits: what each file may ask for.
        keywords: attributes to keep beside :data:`~monai_causal.dicom.study.KEYWORDS`.

    Raises:
        DicomError: the source is not there, or holds more than :data:`MOST_FILES` files.
    """
    keywords = tuple(keywords)
    limits = limits or Limits()
    if isinstance(source, WebStudy):
        return survey_web(source, keywords, MOST_FILES)
    instances: list[Instance] = []
    gone: list[LeftOut] = []
    count = 0
    for count, found in enumerate(_files(source, limits), start=1):
        if count > MOST_FILES:
            raise DicomError(f"there are more than {MOST_FILES} files; give a folder that holds one study")
        looked = _look(count, found, limits, keywords)
        if isinstance(looked, Instance):
            instances.append(looked)
        else:
            gone.append(looked)
    return Survey.of(instances, gone, count)


def _files(source: Any, limits: Limits) -> Iterator[_Found]:
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if path.is_dir():
            yield from _folder(path)
        elif not os.path.lexists(path):
            raise DicomError(f"the file or folder cannot be read: {errno.errorcode[errno.ENOENT]}")
        elif _is_directory(path, limits):
            for reference in read_dicomdir(path, limits):
                place = "" if reference.path is None else str(reference.path.relative_to(path.resolve().parent))
                yield _Found(reference.path, place, reference.problem, reference.sop_instance)
        else:
            yield _Found(path, path.name)
    elif isinstance(source, Sequence) and not isinstance(source, (bytes, bytearray, memoryview)):
        for one in source:
            yield _Found(one, Path(one).name if isinstance(one, (str, os.PathLike)) else "")
    else:
        yield _Found(source, "")


def _folder(folder: Path) -> Iterator[_Found]:
    """All files below a folder, in the order of their names. Links that lead out of it are not followed."""
    root = folder.resolve()
    problem: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=problem.append):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            place = str(path.relative_to(folder))
            if path.is_symlink() and not inside(path, root):
                yield _Found(None, place, "leaves-folder")
            else:
                yield _Found(path, place)
    if problem:
        kind = errno.errorcode.get(problem[0].errno or 0, "error")
        raise DicomError(f"{len(problem)} folders below the one given cannot be read: {kind}")


def _is_directory(path: Path, limits: Limits) -> bool:
    if path.name.upper() == "DICOMDIR":
        return True
    try:
        meta = open_dicom(path, limits).dataset.file_meta
    except DicomError:
        return False
    return str(meta.get("MediaStorageSOPClassUID") or "").strip(" \0") == DIRECTORY


def _look(index: int, found: _Found, limits: Limits, keywords: tuple[str, ...]) -> Instance | LeftOut:
    if found.problem:
        return left_out(f"file {index}", found.problem, found.place)
    if isinstance(found.source, (str, os.PathLike)) and (problem := _no_dicom(found.source, limits)):
        return left_out(f"file {index}", problem, found.place)
    try:
        opened = open_dicom(found.source, limits)
    except DicomError as error:
        # Whatever could be read was named by its digest when it was refused.
        digest = (error.item or "").rpartition(" ")[2]
        item = f"file {index} ({digest})" if digest else f"file {index}"
        return left_out(item, "refused", found.place, reason=error.reason)
    meta = opened.dataset.file_meta
    sop_class = (str(opened.dataset.get("SOPClassUID") or "") or str(meta.get("MediaStorageSOPClassUID") or "")).strip(
        " \0"
    )
    instance = Instance(
        index=index,
        digest=opened.digest,
        header=slim(opened.dataset, keywords),
        transfer_syntax=opened.transfer_syntax,
        sop_class=sop_class,
        has_pixels=opened.pixels is not None,
        fetch=_Fetch(found.source),
        place=found.place,
    )
    if sop_class == DIRECTORY:
        return left_out(instance.item, "directory", found.place)
    if found.sop_instance and found.sop_instance != instance.uid:
        return left_out(instance.item, "other-object", found.place)
    return instance


class _Fetch:
    """The source again; a class, because a lambda cannot be pickled to a worker."""

    def __init__(self, source: Any) -> None:
        self.source = source

    def __call__(self) -> Any:
        return self.source


def _no_dicom(path: str | os.PathLike[str], limits: Limits) -> str:
    """Whether a look at the first bytes shows that a file need not be read; a folder may hold large other files."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return "not-regular"
            start = file.read(_PREAMBLE + 4)
    except (OSError, ValueError):
        return ""  # open_dicom says what it is
    return "" if limits.without_preamble or start[_PREAMBLE:] == b"DICM" else "not-dicom"
