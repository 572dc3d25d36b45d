# SPDX-License-Identifier: Apache-2.0
"""A pool of references from a folder of pictures and their masks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monai_causal.apps.medfocus.pool import ReferencePool
from monai_causal.apps.medfocus.pool_sources import pool_from_masks

__all__ = ["pool_from_folder"]

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def pool_from_folder(
    folder: str | os.PathLike[str], concepts: Sequence[str] | None = None, *, size: int = 256
) -> ReferencePool:
    """Make a pool of ``images/NAME.png`` and ``masks/CONCEPT/NAME.png``, white where the concept is.

    References are numbered in the order of their file names, which do not enter the pool. A mask that is not there is a
    concept that is not known on that image.

    Args:
        folder: holds ``images`` and ``masks``.
        concepts: by default the folders below ``masks``, in the order of their names.
        size: see :func:`~monai_causal.apps.medfocus.pool_sources.pool_from_masks`.
    """
    root = Path(folder)
    if not (root / "images").is_dir() or not (root / "masks").is_dir():
        raise ValueError(f"{root.name!r} does not hold the folders 'images' and 'masks': lay it out so.")
    there = sorted(path.name for path in (root / "masks").iterdir() if path.is_dir())
    wanted = there if concepts is None else list(concepts)
    absent = [name for name in wanted if name not in there]
    if absent or not wanted:
        raise ValueError(f"there is no folder masks/{absent[0] if absent else 'CONCEPT'}: a concept's masks lie there.")
    paths = sorted(path for path in (root / "images").iterdir() if path.suffix.lower() in PICTURES)
    if not paths:
        raise ValueError(f"{root.name!r} has no picture in 'images' ({', '.join(PICTURES)}).")
    known = []
    for path in paths:
        masks = {concept: _mask_of(root / "masks" / concept, path) for concept in wanted}
        known.append({concept: _grey(mask) > 127 for concept, mask in masks.items() if mask is not None})
    source = {"source": "a folder of images and masks"}
    return pool_from_masks([_grey(path) for path in paths], known, wanted, size=size, provenance=source)


def _mask_of(folder: Path, image: Path) -> Path | None:
    return next((path for end in PICTURES if (path := folder / f"{image.stem}{end}").is_file()), None)


def _grey(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as file:
        return np.asarray(file.convert("L"))
