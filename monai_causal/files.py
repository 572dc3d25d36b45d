# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["draft_of", "write_json"]


@contextmanager
def draft_of(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file of the same name in a folder beside ``path``; it becomes ``path`` when the block ends well."""
    path = Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".draft-") as folder:
        draft = Path(folder) / path.name
        yield draft
        os.replace(draft, path)


def write_json(path: str | os.PathLike[str], content: dict[str, Any]) -> Path:
    """Write JSON for people and programs; ``content`` must say its ``schema``."""
    if "schema" not in content:
        raise ValueError(f"{Path(path).name}: JSON written here has a 'schema' field; add one to the content.")
    with draft_of(path) as draft:
        draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return Path(path)
