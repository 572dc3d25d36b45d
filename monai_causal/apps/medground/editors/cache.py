# SPDX-License-Identifier: Apache-2.0
"""Edits kept on disk under a digest of all that they depend on, so that none is made twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from monai_causal.apps.medground.editors.base import Pixels
from monai_causal.files import draft_of

__all__ = ["EditCache"]


class EditCache:
    """A folder of PNGs.

    Args:
        folder: made when something is kept. What is in it may be deleted at any time.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def __call__(self, image: Pixels, request: Mapping[str, Any], make: Callable[[], Pixels]) -> Pixels:
        """The edit of an image as it is kept, or as ``make`` makes it.

        Args:
            image: before the edit.
            request: everything else that the edit depends on, ready for JSON.
            make: called if it is not there yet.
        """
        digest = hashlib.sha256(json.dumps([list(image.shape), dict(request)], sort_keys=True).encode())
        digest.update(np.ascontiguousarray(image).tobytes())
        path = self.folder / f"{digest.hexdigest()}.png"
        if path.exists():
            with Image.open(path) as kept:
                return np.asarray(kept, dtype=np.uint8)
        made = make()
        self.folder.mkdir(parents=True, exist_ok=True)
        with draft_of(path) as draft:
            Image.fromarray(made).save(draft)
        return made
