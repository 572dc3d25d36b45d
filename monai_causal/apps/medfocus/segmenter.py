# SPDX-License-Identifier: Apache-2.0
"""Named anatomy on an image: masks and boxes in the image's own pixels, with how they were found and what is doubtful.

The default is the small network that comes along, taught by phantoms alone. The transport of the paper stays at hand as
:class:`~monai_causal.apps.medfocus.segmenters.transported.TransportSegmenter`. Every result says what was used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray

from monai_causal.apps.medfocus.concepts import Concept, Vocabulary, chest_vocabulary
from monai_causal.apps.medfocus.segmenter_quality import concept_flags, image_flags
from monai_causal.apps.medfocus.segmenters.base import Image, Mask, Refinement, Segmented, Segmenter, tight_box
from monai_causal.apps.medfocus.segmenters.network import NetworkSegmenter

__all__ = ["ConceptSegmenter", "Concepts", "FoundConcept", "as_image"]

Box = tuple[tuple[int, int], tuple[int, int]]

SMALLEST = 32
"""Pixels of the shorter side; on fewer no concept has an outline."""
LATERAL = ("LL", "RL", "LAT", "LATERAL", "LLD", "RLD")
LEAST_CONTRAST = 1e-3
"""Standard deviation of the grey values, of their range, below which an image is blank."""


@dataclass(frozen=True, eq=False)
class FoundConcept:
    """One concept, or one composite, on one image.

    Args:
        name: of the concept or composite.
        mask: (H, W) at the image's own size; of a composite the union of its members.
        confidence: 0 (not found) to 1; of a composite the least of its members.
        flags: what is implausible, in words; empty if nothing is.
        members: names of a composite's members, empty for a concept.
        boxes: the tight boxes, half-open, rows then columns: one, or one per member that was found. An intervention
            on a composite covers all of them.
    """

    name: str
    mask: Mask
    confidence: float
    flags: tuple[str, ...]
    boxes: tuple[Box, ...]
    members: tuple[str, ...] = ()

    @property
    def box(self) -> Box | None:
        """The tight box around all of it, half-open, rows then columns; None where nothing was found."""
        if not self.boxes:
            return None
        rows, columns = ([box[axis] for box in self.boxes] for axis in (0, 1))
        return (
            (min(start for start, _ in rows), max(stop for _, stop in rows)),
            (min(start for start, _ in columns), max(stop for _, stop in columns)),
        )

    @property
    def corners(self) -> tuple[int, int, int, int] | None:
        """``x0, y0, x1, y1`` of the box, half-open, for formats that ask for it."""
        if self.box is None:
            return None
        (top, bottom), (left, right) = self.box
        return left, top, right, bottom

    @property
    def plausible(self) -> bool:
        """Found, and nothing speaks against it."""
        return bool(self.boxes) and not self.flags


@dataclass(frozen=True, eq=False)
class Concepts(Mapping[str, FoundConcept]):
    """What was found on an image: concepts and composites by name, concepts first.

    Args:
        found: by name.
        vocabulary: of what was looked for.
        steps: what found the masks and what refined them, in order.
        flags: what is implausible about the image as a whole.
        notes: what a reader should know: fallbacks, labels left out.
        details: for the record; plain values, made for JSON.
        affine: of the image, if it had one.
    """

    found: Mapping[str, FoundConcept]
    vocabulary: Vocabulary
    steps: tuple[str, ...]
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    affine: NDArray[np.float64] | None = None

    def __getitem__(self, name: str) -> FoundConcept:
        if name not in self.found:
            raise KeyError(f"{name!r}: looked for were {', '.join(self.found)}")
        return self.found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    @property
    def how(self) -> str:
        """The steps in one line."""
        return " + ".join(self.steps)

    def stack(self) -> MetaTensor:
        """The concepts' masks, (concepts, H, W), in the vocabulary's order, lying where the image lies."""
        masks = np.stack([self.found[name].mask for name in self.vocabulary.names])
        return MetaTensor(
            torch.from_numpy(masks), affine=None if self.affine is None else torch.from_numpy(self.affine)
        )

    def as_dict(self) -> dict[str, Any]:
        """All but the masks, as JSON takes it; boxes as x0 y0 x1 y1."""
        rows = [
            {
                "name": one.name,
                "corners": one.corners,
                "confidence": round(one.confidence, 4),
                "flags": list(one.flags),
                "members": list(one.members),
            }
            for one in self.found.values()
        ]
        return {"concepts": rows, "steps": list(self.steps), "flags": list(self.flags), "notes": list(self.notes)}


class ConceptSegmenter:
    """Finds the concepts of a vocabulary on an image.

    Args:
        segmenter: what finds them; by default the network that comes along.
        refinement: what draws them anew, for instance
            :class:`~monai_causal.apps.medfocus.refine.sam.SamRefinement`; by default nothing.
        vocabulary: by default that of the frontal chest radiograph. A concept that the segmenter does not know is
            there with an empty mask and a flag.

    Example:
        >>> from monai_causal.data.phantoms.chest import chest
        >>> concepts = ConceptSegmenter()(chest(0, size=(128, 128)).image)
        >>> len(concepts), concepts["both lungs"].members
        (15, ('left lung', 'right lung'))
    """

    def __init__(
        self,
        segmenter: Segmenter | None = None,
        refinement: Refinement | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        self.segmenter: Segmenter = segmenter if segmenter is not None else NetworkSegmenter()
        self.refinement = refinement
        self.vocabulary = vocabulary or chest_vocabulary()

    def __call__(self, image: Any) -> Concepts:
        """Concepts and composites in the image's own pixels.

        Args:
            image: a :class:`~monai_causal.dicom.projection.Projection`, whose ``pixels`` are taken; or an array or a
                (Meta)Tensor, (rows, columns) with leading axes of 1: whole numbers of their type's whole range, or
                floats, which are brought to [0, 1] if they exceed it.
        """
        grey, affine, notes = as_image(image)
        found = self.segmenter(grey)
        if self.refinement is not None:
            found = self.refinement(grey, found)
        for name, mask in found.masks.items():
            if mask.shape != grey.shape:
                raise ValueError(f"{found.steps[-1]}: the mask of {name} is {mask.shape}, the image is {grey.shape}.")
        flags = concept_flags(found, self.vocabulary)
        concepts = {one.name: _concept(one, found, flags[one.name], grey.shape) for one in self.vocabulary.concepts}
        unknown = [name for name in found.masks if name not in concepts]
        if unknown:
            raise ValueError(
                f"{found.steps[0]} finds {unknown[0]!r}, which is no concept of the {self.vocabulary.name}."
            )
        composites = {
            one.name: _united(one.name, [concepts[name] for name in one.members]) for one in self.vocabulary.composites
        }
        return Concepts(
            {**concepts, **composites},
            self.vocabulary,
            found.steps,
            image_flags(found, flags),
            (*notes, *found.notes),
            found.details,
            affine,
        )


def as_image(image: Any) -> tuple[Image, NDArray[np.float64] | None, tuple[str, ...]]:
    """Any accepted image as float32 (H, W) in [0, 1], its affine if it has one, and notes on what was done to it."""
    view = getattr(image, "view", None)
    if hasattr(image, "pixels"):
        if isinstance(view, str) and view.upper() in LATERAL:
            raise ValueError(f"the image is a lateral view ({view}): concepts are known on frontal views only.")
        image = image.pixels
    affine = np.asarray(image.affine, dtype=np.float64) if isinstance(image, MetaTensor) else None
    array = np.asarray(image.detach().cpu() if isinstance(image, torch.Tensor) else image)
    if array.ndim < 2 or any(length != 1 for length in array.shape[:-2]):
        raise ValueError(f"an image of shape {array.shape}: one grey image is needed, (H, W), leading axes of 1 aside.")
    rows, columns = array.shape[-2:]
    array = array.reshape(rows, columns)
    if min(rows, columns) < SMALLEST:
        raise ValueError(f"an image of {rows} x {columns} pixels: give at least {SMALLEST} per side.")
    if array.dtype.kind not in "buif":
        raise ValueError(f"an image of type {array.dtype}: give whole or real numbers.")
    if not np.isfinite(array).all():
        raise ValueError(f"the image holds {int((~np.isfinite(array)).sum())} values that are NaN or infinite.")
    notes: tuple[str, ...] = ()
    if array.dtype.kind in "ui":
        grey = array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    else:
        grey = array.astype(np.float32)
        low, high = float(grey.min()), float(grey.max())
        if low < 0 or high > 1:
            notes = (f"grey values from {low:g} to {high:g} were brought to [0, 1]",)
            grey = (grey - low) / np.float32(high - low)
    span = float(grey.max() - grey.min())
    if span == 0 or float(grey.std(dtype=np.float64)) < LEAST_CONTRAST * span or span < 1 / 65535:
        raise ValueError("the image is blank: there is nothing on it to find.")
    return grey, affine, notes


def _concept(concept: Concept, found: Segmented, flags: tuple[str, ...], shape: tuple[int, ...]) -> FoundConcept:
    mask = found.masks.get(concept.name)
    if mask is None:
        return FoundConcept(concept.name, np.zeros(shape, dtype=bool), 0.0, flags, ())
    box = tight_box(mask)
    return FoundConcept(concept.name, mask, found.confidence[concept.name], flags, () if box is None else (box,))


def _united(name: str, members: list[FoundConcept]) -> FoundConcept:
    mask: Mask = np.logical_or.reduce([one.mask for one in members])
    flags = tuple(f"{one.name}: {said}" for one in members for said in one.flags)
    boxes = tuple(box for one in members for box in one.boxes)
    return FoundConcept(
        name, mask, min(one.confidence for one in members), flags, boxes, tuple(one.name for one in members)
    )
