# SPDX-License-Identifier: Apache-2.0
"""The small interface of everything that finds concepts: image in, masks of that image's size out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from monai_causal.data.phantoms.chest import box_of

__all__ = ["Image", "Mask", "Refinement", "Segmented", "Segmenter", "tight_box"]

Image = NDArray[np.float32]
"""(H, W), black 0 to white 1, upright, the patient's right at the picture's left."""
Mask = NDArray[np.bool_]
"""(H, W)."""


@dataclass(frozen=True, eq=False)
class Segmented:
    """Masks by concept, and how they were come by.

    Args:
        masks: by concept, each (H, W) like the image; a concept that was looked for and not found has an empty one.
        confidence: by concept, from 0 (not found) to 1.
        steps: what found the masks and what worked on them since, in order.
        details: for the record; plain values, made for JSON.
        notes: what a reader should know: fallbacks, concepts that a segmenter does not know.
    """

    masks: Mapping[str, Mask]
    confidence: Mapping[str, float]
    steps: tuple[str, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if set(self.masks) != set(self.confidence):
            raise ValueError(
                f"masks of {sorted(self.masks)} but confidence of {sorted(self.confidence)}: each needs both."
            )
        shapes = {mask.shape for mask in self.masks.values()}
        if len(shapes) > 1:
            raise ValueError(f"masks of several shapes, {sorted(shapes)}: each must have the image's.")

    def then(
        self,
        step: str,
        masks: Mapping[str, Mask],
        confidence: Mapping[str, float] | None = None,
        details: Mapping[str, Any] | None = None,
        notes: tuple[str, ...] = (),
    ) -> Segmented:
        """The same with masks that a further step has worked on."""
        return replace(
            self,
            masks=masks,
            confidence=self.confidence if confidence is None else confidence,
            steps=(*self.steps, step),
            details={**self.details, **(details or {})},
            notes=(*self.notes, *notes),
        )


class Segmenter(Protocol):
    """Finds concepts on an image. ``name`` is what results say."""

    @property
    def name(self) -> str: ...

    def __call__(self, image: Image) -> Segmented: ...


class Refinement(Protocol):
    """Works on masks that were found. ``name`` is what results say."""

    @property
    def name(self) -> str: ...

    def __call__(self, image: Image, found: Segmented) -> Segmented: ...


def tight_box(mask: Mask) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """The half-open box around a mask, rows then columns; None where it is empty.

    Example:
        >>> mask = np.zeros((5, 6), bool)
        >>> mask[1:3, 2:6] = True
        >>> tight_box(mask)
        ((1, 3), (2, 6))
    """
    return box_of(mask) if mask.any() else None
