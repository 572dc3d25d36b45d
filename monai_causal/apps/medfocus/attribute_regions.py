# SPDX-License-Identifier: Apache-2.0
"""The concepts and composites of an image as regions of the engine, by box or by outline."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from monai_causal.apps.medfocus.segmenter import Concepts, FoundConcept
from monai_causal.apps.medfocus.segmenters.base import Mask, tight_box
from monai_causal.intervene import Region, Regions

__all__ = ["By", "concept_regions"]

By = Literal["box", "mask"]


def concept_regions(concepts: Concepts, by: By = "box") -> Regions | None:
    """One region per concept or composite that was found, under its name.

    A region's number is the concept's place in the vocabulary, so that its random draws do not depend on what else was
    found.

    Args:
        concepts: what was found.
        by: ``"box"``: its box, of a composite the boxes of all members, as published; ``"mask"``: its outline.

    Returns:
        the regions, or None where nothing was found.
    """
    if by not in ("box", "mask"):
        raise ValueError(f"by={by!r}: choose 'box' or 'mask'.")
    found = [(number, one) for number, one in enumerate(concepts.values()) if one.boxes]
    if not found:
        return None
    shape = found[0][1].mask.shape
    return Regions(shape, tuple(_region(number, one, by) for number, one in found))


def _region(number: int, one: FoundConcept, by: By) -> Region:
    covered = _boxes(one) if by == "box" else one.mask
    box = tight_box(covered)
    assert box is not None  # it has a box
    inside = covered[tuple(slice(start, stop) for start, stop in box)]
    mask = None if inside.all() else torch.from_numpy(np.ascontiguousarray(inside))
    return Region(number, box, mask, name=one.name)


def _boxes(one: FoundConcept) -> Mask:
    covered = np.zeros_like(one.mask)
    for rows, columns in one.boxes:
        covered[slice(*rows), slice(*columns)] = True
    return covered
