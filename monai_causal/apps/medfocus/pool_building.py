# SPDX-License-Identifier: Apache-2.0
"""A pool of references from one of three sources, as the command asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_causal.apps.medfocus.concepts import chest_vocabulary
from monai_causal.apps.medfocus.pool import ReferencePool
from monai_causal.apps.medfocus.pool_folder import pool_from_folder
from monai_causal.apps.medfocus.pool_sources import pool_from_imagenome, pool_from_phantoms

__all__ = ["build_reference"]


def build_reference(
    phantoms: int | None = None,
    folder: Path | None = None,
    imagenome: Path | None = None,
    images: Path | None = None,
    identifiers: Sequence[str] = (),
    *,
    size: int = 256,
    seed: int = 0,
) -> ReferencePool:
    """Make a pool of exactly one source: phantoms, a folder of images and masks, or Chest ImaGenome."""
    given = [name for name, one in (("phantoms", phantoms), ("folder", folder), ("imagenome", imagenome)) if one]
    if len(given) != 1:
        raise ValueError(f"sources given: {', '.join(given) or 'none'}. Give one of phantoms, folder and imagenome.")
    if phantoms:
        return pool_from_phantoms(range(seed, seed + phantoms), size)
    if folder:
        return pool_from_folder(folder, size=size)
    assert imagenome is not None
    if images is None or not identifiers:
        raise ValueError("with imagenome, give images (the folder of MIMIC-CXR-JPG) and at least one image's id.")
    return pool_from_imagenome(imagenome, images, identifiers, chest_vocabulary().names, size=size)
