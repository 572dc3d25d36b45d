# SPDX-License-Identifier: Apache-2.0
"""A result's places brought from the projection's pixels to the stored picture, where every object needs them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monai_causal.dicom.geometry import Box
from monai_causal.dicom.objects.content import Concept, ResultContent
from monai_causal.dicom.projection import Projection

__all__ = ["Placed", "placed"]


@dataclass(frozen=True, eq=False)
class Placed:
    """A concept in the stored picture.

    Args:
        concept: as the result says it.
        mask: (rows, columns) of the stored picture.
        box: half-open, rows then columns, of the stored picture; None where it was not found, or lies in what was
            padded to the picture.
    """

    concept: Concept
    mask: NDArray[np.bool_]
    box: Box | None


def placed(projection: Projection, content: ResultContent) -> tuple[Placed, ...]:
    """Every concept as it lies in the stored picture.

    Raises:
        ValueError: a mask or the map is not of the projection's size, or a box leaves it.
    """
    shape = projection.pixels.shape
    if content.heat is not None and content.heat.shape != shape:
        raise ValueError(
            f"the map is {content.heat.shape}, the projection {shape}: give the projection that was explained."
        )
    return tuple(_placed(projection, concept) for concept in content.concepts)


def _placed(projection: Projection, concept: Concept) -> Placed:
    shape = projection.pixels.shape
    if concept.mask.shape != shape:
        raise ValueError(
            f"{concept.name}: its mask is {concept.mask.shape}, the projection {shape}: "
            "give the projection that was explained."
        )
    mask = projection.to_source(concept.mask)
    if concept.box is None:
        return Placed(concept, mask, None)
    if any(not 0 <= start < stop <= size for (start, stop), size in zip(concept.box, shape, strict=True)):
        raise ValueError(f"{concept.name}: its box {concept.box} leaves the projection of {shape} or is empty.")
    if not _meets_picture(projection, concept.box):
        return Placed(concept, mask, None)
    return Placed(concept, mask, projection.to_source(concept.box))


def _meets_picture(projection: Projection, box: Box) -> bool:
    """Whether a box has anything of the picture, beside what was padded to it."""
    placement = projection.placement
    return all(
        start < size - after and stop > before
        for (start, stop), (before, after), size in zip(box, placement.padding, placement.view, strict=True)
    )
