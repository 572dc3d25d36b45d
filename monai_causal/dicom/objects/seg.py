# SPDX-License-Identifier: Apache-2.0
"""Outlines as a binary segmentation: a frame per concept, so that they may overlap and empty ones keep their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from monai_causal.dicom.objects.belonging import Origin, adopt, coded, made_as, neutral
from monai_causal.dicom.objects.content import Algorithm, Code
from monai_causal.dicom.objects.placed import Placed
from monai_causal.dicom.objects.uids import uid_of
from monai_causal.dicom.tags import codes
from monai_causal.extras import require

__all__ = [
    "ANATOMY",
    "COLOURS",
    "SIDES",
    "describe",
    "segmentation",
    "segments",
    "settle_dimensions",
    "stored_orientation",
    "tracking_uid",
]

ANATOMY = Code("SCT", "91723000", "Anatomical Structure")
SIDES = {"left": Code("SCT", "7771000", "Left"), "right": Code("SCT", "24028007", "Right")}
ARTIFICIAL_INTELLIGENCE = Code("DCM", "123110", "Artificial Intelligence")
COLOURS = (
    *((228, 26, 28), (55, 126, 184), (77, 175, 74), (152, 78, 163), (255, 127, 0), (240, 228, 66)),
    *((166, 86, 40), (247, 129, 191), (86, 180, 233), (0, 158, 115), (204, 121, 167), (213, 94, 0)),
)
"""Red, green and blue of the segments, in turn."""


def segments(places: Sequence[Placed]) -> tuple[Placed, ...]:
    """Those that become segments, in order: groups of other concepts do not."""
    return tuple(one for one in places if not one.concept.members)


def tracking_uid(seed: str, name: str) -> str:
    """What says that a segment and a measurement are about the same thing."""
    return uid_of(seed, "concept", name)


def segmentation(origin: Origin, places: Sequence[Placed], seed: str, number: int) -> Any:
    """The segmentation of a radiograph, in the stored picture's pixels.

    Args:
        origin: whose it is.
        places: concepts; each becomes a segment, and the segment's number is its frame's.
        seed: of UIDs.
        number: of the series.
    """
    shown = segments(places)
    if not shown:
        raise ValueError("a segmentation of no concepts: leave out 'seg', or give concepts that are no groups.")
    seg = require("highdicom.seg")
    reference = neutral(origin.header)
    dataset = seg.Segmentation(
        source_images=[reference],
        pixel_array=np.stack([one.mask for one in shown], axis=-1)[None].astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=[
            describe(
                place + 1,
                one.concept.name,
                code,
                origin.algorithm,
                tracking_uid(seed, one.concept.name),
                category=one.concept.category or ANATOMY,
                laterality=one.concept.laterality,
                region=one.concept.region,
                flags=one.concept.flags,
            )
            for place, one in enumerate(shown)
            if (code := one.concept.code) is not None
        ],
        **made_as(origin, seed, number),
        omit_empty_frames=False,
        content_label="CONCEPTS",
        content_description="Named anatomy that was replaced, one at a time",
        content_creator_name=None,
    )
    adopt(dataset, origin, "seg", number)
    settle_dimensions(dataset, seed, "seg")
    dataset.PatientOrientation = stored_orientation(origin.header)
    return dataset


def stored_orientation(header: Any) -> list[str] | None:
    """PatientOrientation as the file says it; an image without a position has to say at least that it is unknown."""
    words = codes(header, "PatientOrientation")
    return list(words) if len(words) == 2 else None


def describe(
    number: int,
    name: str,
    code: Code,
    algorithm: Algorithm,
    tracking: str,
    *,
    category: Code = ANATOMY,
    laterality: str | None = None,
    region: Code | None = None,
    flags: Sequence[str] = (),
) -> Any:
    """A segment's description, with the patient's side, which highdicom has no words for.

    Args:
        number: of the segment.
        name: its label.
        code: what it is.
        algorithm: that found it.
        tracking: UID that says that it is the same thing elsewhere.
        category: of the code.
        laterality: ``"left"`` or ``"right"``.
        region: where it lies, if its code is a private one.
        flags: what is doubtful about it.
    """
    hd, seg = require("highdicom"), require("highdicom.seg")
    description = seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=coded(category),
        segmented_property_type=coded(code),
        algorithm_type="AUTOMATIC",
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=(algorithm.made_by or algorithm.name)[:64],
            family=coded(ARTIFICIAL_INTELLIGENCE),
            version=algorithm.version,
        ),
        tracking_uid=tracking,
        tracking_id=name,
        anatomic_regions=None if region is None else [coded(region)],
        display_color=hd.color.CIELabColor.from_rgb(*COLOURS[(number - 1) % len(COLOURS)]),
    )
    if laterality is not None:
        side = coded(SIDES[laterality])
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [side]
        if region is not None:
            description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [side]
    if flags:
        description.SegmentDescription = "; ".join(flags)[:1024]
    return description


def settle_dimensions(dataset: Any, seed: str, kind: str) -> None:
    """The organisation of dimensions by a UID of our own; highdicom draws one."""
    uid = uid_of(seed, kind, "dimensions")
    for sequence in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in dataset.get(sequence) or ():
            if "DimensionOrganizationUID" in item:
                item.DimensionOrganizationUID = uid
