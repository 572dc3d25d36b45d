# SPDX-License-Identifier: Apache-2.0
"""Could these masks be a body? What the vocabulary says of places, areas and overlaps, held against what was found.

Nothing is corrected here and nothing is thrown away: what is implausible is said, in words, beside the result.
"""

from __future__ import annotations

from collections.abc import Mapping

from scipy import ndimage

from monai_causal.apps.medfocus.concepts import Vocabulary
from monai_causal.apps.medfocus.segmenters.base import Mask, Segmented

__all__ = ["concept_flags", "image_flags"]

LEAST_CONFIDENCE = 0.6
MOST_SHARED = 0.3
"""Of the smaller of two concepts that should lie apart."""
LEAST_MASS, FARTHEST = 0.5, 0.15
"""Of a transport: the mass that arrives, and the mean displacement as a fraction of the image's longer side."""
DOUBTFUL = 0.3
"""The share of implausible concepts from which the image itself is doubted."""


def concept_flags(found: Segmented, vocabulary: Vocabulary) -> dict[str, tuple[str, ...]]:
    """What is implausible about each concept of the vocabulary, in words; an empty tuple where nothing is."""
    flags: dict[str, list[str]] = {name: [] for name in vocabulary.names}
    for concept in vocabulary.concepts:
        mask = found.masks.get(concept.name)
        if mask is None:
            flags[concept.name].append("the segmenter does not know it")
            continue
        area = float(mask.mean())
        if area == 0:
            flags[concept.name].append("not found")
            continue
        if not concept.area[0] <= area <= concept.area[1]:
            usual = f"{concept.area[0]:.2%} to {concept.area[1]:.0%}"
            flags[concept.name].append(f"covers {area:.2%} of the image, usual is {usual}")
        if found.confidence[concept.name] < LEAST_CONFIDENCE:
            flags[concept.name].append(f"confidence {found.confidence[concept.name]:.2f} is below {LEAST_CONFIDENCE}")
    centres = {name: ndimage.center_of_mass(mask) for name, mask in found.masks.items() if mask.any()}
    for pairs, axis, side in ((vocabulary.across, 1, "left of"), (vocabulary.down, 0, "above")):
        for first, second in pairs:
            if first in centres and second in centres and centres[first][axis] >= centres[second][axis]:
                flags[first].append(f"is not {side} {second} on the picture")
                flags[second].append(f"{first} is not {side} it on the picture")
    for first, second in vocabulary.apart:
        if first in centres and second in centres:
            shared = _shared(found.masks[first], found.masks[second])
            if shared > MOST_SHARED:
                flags[first].append(f"shares {shared:.0%} with {second}")
                flags[second].append(f"shares {shared:.0%} with {first}")
    return {name: tuple(said) for name, said in flags.items()}


def image_flags(found: Segmented, flags: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What is implausible about the image as a whole."""
    said = []
    known = [name for name in flags if name in found.masks]
    doubted = [name for name in known if flags[name]]
    if known and len(doubted) > DOUBTFUL * len(known):
        said.append(
            f"{len(doubted)} of {len(known)} concepts are implausible: perhaps no upright frontal view of what the "
            "vocabulary describes"
        )
    unsure: Mapping[str, float] = found.details.get("network", {}).get("uncertainty", {})
    if unsure and unsure["upside down"] < unsure["as given"]:
        said.append("the network is surer of the image turned upside down")
    carried: Mapping[str, float] = found.details.get("transport", {})
    if carried.get("mass", 1.0) < LEAST_MASS:
        said.append(f"the transport carried a mass of {carried['mass']:.2f} only: image and references differ too much")
    if carried.get("displacement", 0.0) > FARTHEST:
        said.append(f"the transport moved the references by {carried['displacement']:.0%} of the image in the mean")
    return tuple(said)


def _shared(first: Mask, second: Mask) -> float:
    """The overlap as a fraction of the smaller one."""
    return float((first & second).sum() / min(first.sum(), second.sum()))
