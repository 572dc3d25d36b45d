# SPDX-License-Identifier: Apache-2.0
"""How right one explanation is: its boxes against the true ones, and what it points at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monai_causal.apps.medfocus.concepts import chest_vocabulary
from monai_causal.apps.medfocus.result import Attribution, MedFocusResult
from monai_causal.apps.medground.candidates import Corners
from monai_causal.apps.medground.frame import Frame
from monai_causal.metrics import box_overlap

__all__ = ["METRICS", "concept_hit", "contained_in", "pointed_at", "scored"]

METRICS = ("iou", "f1", "precision", "recall", "concept_hit")

CONTAINS = {
    "mediastinum": ("cardiac silhouette", "upper mediastinum"),
    **{f"{side} lung": (f"{side} hilar structures", f"{side} costophrenic angle") for side in ("left", "right")},
}
"""Concepts that contain others, beside the composites."""


def scored(
    result: Attribution,
    truth: Sequence[Corners],
    concepts: Sequence[str],
    mask: NDArray[np.bool_],
    frame: Frame,
) -> dict[str, float]:
    """The values of :data:`METRICS` for one explanation, each from 0 to 1.

    Args:
        result: of a method, in the pixels of the image as it was shown.
        truth: the finding's boxes in native pixels.
        concepts: that truly show the finding; empty where nobody knows.
        mask: (H, W) of the image as shown: the finding's outline, or its boxes.
        frame: of the image.

    ``concept_hit`` of a method that names anatomy says whether that is the right one (:func:`concept_hit`), of all
    others, and of all methods where the true concepts are not known, whether they point at the finding
    (:func:`pointed_at`).
    """
    overlap = box_overlap(frame.in_native(result.boxes), truth)
    named = isinstance(result, MedFocusResult) and bool(concepts)
    hit = concept_hit(result.concept, concepts) if named and isinstance(result, MedFocusResult) else None
    return {**overlap, "concept_hit": pointed_at(result, mask) if hit is None else hit}


def concept_hit(named: str | None, true: Sequence[str]) -> float:
    """1 for a true concept; 0.5 for a composite or a larger concept that contains one; 0 for all else and for none.

    Example:
        >>> [concept_hit(name, ["left lung"]) for name in ("left lung", "both lungs", "right lung", None)]
        [1.0, 0.5, 0.0, 0.0]
    """
    if named is None:
        return 0.0
    if named in true:
        return 1.0
    return 0.5 if any(named in contained_in(one) for one in true) else 0.0


def contained_in(concept: str) -> tuple[str, ...]:
    """The composites and larger concepts that contain a concept.

    Example:
        >>> contained_in("cardiac silhouette"), contained_in("left lung")
        (('mediastinum',), ('both lungs',))
    """
    larger = [name for name, members in CONTAINS.items() if concept in members]
    composites = [one.name for one in chest_vocabulary().composites if concept in one.members]
    beyond = [
        one.name
        for one in chest_vocabulary().composites
        if any(name in one.members for name in larger) and one.name not in composites
    ]
    return (*larger, *composites, *beyond)


def pointed_at(result: Attribution, mask: NDArray[np.bool_]) -> float:
    """Whether the hottest point lies on the finding.

    Of several equally hot ones it is the share that does, so that a coarse cell is judged as a whole and not by its
    first pixel. Of a method without a map the point is the middle of its strongest box; a method that names no place
    points at nothing.
    """
    if result.whole_image:
        return 0.0
    if result.heat is None:
        x0, y0, x1, y1 = result.box
        return float(mask[(y0 + y1) // 2, (x0 + x1) // 2])
    heat = np.asarray(result.heat.detach().cpu(), dtype=np.float64).reshape(mask.shape)
    return float(mask[heat == heat.max()].mean())
