# SPDX-License-Identifier: Apache-2.0
"""UIDs that are made of what an object says, so that what has changed can never hide behind an old one.

A server that is sent other content under a UID which it has already may keep the old object and report success. So the
UID of an object is a digest of its own bytes: of source, content, configuration and versions, of all that is written.
"""

from __future__ import annotations

import hashlib
import io
from typing import Any

from monai_causal import __version__
from monai_causal.dicom.objects.content import canonical
from monai_causal.extras import require

__all__ = ["encoded", "seal", "seed_of", "uid_of"]

_ROOT = "2.25"  # PS3.5 B.2: UIDs made of 128 bits, such as a UUID's
_SCHEME = "monai_causal/dicom-objects/1"


def uid_of(*parts: str) -> str:
    """A UID that is the same for the same texts.

    Example:
        >>> uid_of("a", "b") == uid_of("a", "b") != uid_of("ab")
        True
    """
    digest = hashlib.sha256(canonical(list(parts))).digest()
    return f"{_ROOT}.{int.from_bytes(digest[:16], 'big')}"


def seed_of(*parts: str) -> str:
    """What all UIDs of a result come from: the parts given, and the versions of what writes the objects."""
    versions = [f"{name} {require(name).__version__}" for name in ("highdicom", "pydicom")]
    return hashlib.sha256(canonical([_SCHEME, __version__, *versions, *parts])).hexdigest()


def encoded(dataset: Any) -> bytes:
    """The bytes of a data set's file."""
    buffer = io.BytesIO()
    require("pydicom").dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def seal(dataset: Any, seed: str, kind: str) -> None:
    """Give a finished object the UIDs of its instance and its series, which come from everything else in it."""
    _name(dataset, uid_of(seed, kind, "instance"), uid_of(seed, kind, "series"))
    digest = hashlib.sha256(encoded(dataset)).hexdigest()
    _name(dataset, uid_of(seed, kind, "instance", digest), uid_of(seed, kind, "series", digest))


def _name(dataset: Any, instance: str, series: str) -> None:
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = instance
    dataset.SeriesInstanceUID = series
