# SPDX-License-Identifier: Apache-2.0
"""What an item was made of: a digest of its files' content, and a mark that tells cheaply whether to look again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from monai_causal.cohort.digests import digest_of, files_of
from monai_causal.cohort.items import Item

__all__ = ["Input", "input_of", "mark_of"]

_SHORT = 8


@dataclass(frozen=True)
class Input:
    """What an item was made of.

    Args:
        digest: SHA-256 of its content, and of its files' bytes instead of their paths.
        mark: sizes and times of change of the files; empty where there are none.
    """

    digest: str
    mark: str


def input_of(item: Item) -> Input:
    """Read the files of an item for their digest.

    Raises:
        OSError: a file is not there or cannot be read.
    """
    mark = mark_of(item)
    content = {**item.content, **{key: digest_of(path) for key, path in item.files().items()}}
    return Input(hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(), mark)


def mark_of(item: Item) -> str:
    """Another one where a file was changed since, as far as the file system tells."""
    marks = []
    for path in item.files().values():
        for _, one in files_of(path):
            status = one.stat()
            marks.append(f"{status.st_size}.{status.st_mtime_ns}")
    text = " ".join(marks)
    return text if len(marks) <= _SHORT else hashlib.sha256(text.encode()).hexdigest()
