# SPDX-License-Identifier: Apache-2.0
"""The concepts and composites of an image as regions of the engine, by box or by outline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from monai_causal.apps.medfocus.segmenter import Concepts, FoundConcept
from monai_causal.apps.medfocus.segmenters.base import Mask, tight_box
from monai_causal.intervene import Region, Regions

__all__ = ["By", "Places", "concept_regions"]

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


class Places:
    """Which pixels the concepts replace: how many, and whether one's lie mostly among another's.

    Args:
        regions: of the concepts; None where nothing was found.
    """

    def __init__(self, regions: Regions | None) -> None:
        self._regions = {} if regions is None else {str(region.name): region for region in regions}
        self._shape = None if regions is None else regions.spatial_shape
        self.sizes = {name: self._count(region.mask, region.box) for name, region in self._regions.items()}

    def inside(self, one: str, other: str) -> bool:
        """Whether more than half of what is replaced for one is replaced for the other as well."""
        return one == other or 2 * int((self._covered(one) & self._covered(other)).sum()) > self.sizes[one]

    def _covered(self, name: str) -> Tensor:
        assert self._shape is not None
        region = self._regions[name]
        covered = torch.zeros(self._shape, dtype=torch.bool)
        place = tuple(slice(start, stop) for start, stop in region.box)
        covered[place] = True if region.mask is None else region.mask
        return covered

    @staticmethod
    def _count(mask: Tensor | None, box: Sequence[tuple[int, int]]) -> int:
        (top, bottom), (left, right) = box
        return (bottom - top) * (right - left) if mask is None else int(mask.sum())


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
