# SPDX-License-Identifier: Apache-2.0
"""The report: question, answer, and what each concept had to do with it, as Comprehensive 3D SR by TID 1500.

Two groups speak of a concept, tied by one tracking UID. The first (planar ROI of the box in the source image) holds
its effect and rank, because viewers draw such boxes; the second (planar ROI of the segment) holds the confidence of its
outline. A concept that has no place in the image is a group without a region, which says so. The finding is written as
what was asked about, never as what the patient has: no reader may mistake a question for a diagnosis. The report is the
root of what was written: from it lead references to segments, picture and presentation state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from monai_causal.dicom.geometry import Box
from monai_causal.dicom.objects.belonging import MANUFACTURER, Origin, adopt, coded, device_uid, neutral
from monai_causal.dicom.objects.content import Code, Concept, ResultContent, canonical
from monai_causal.dicom.objects.library import image_library
from monai_causal.dicom.objects.placed import Placed
from monai_causal.dicom.objects.seg import SIDES, segments, tracking_uid
from monai_causal.dicom.objects.uids import uid_of
from monai_causal.extras import require

__all__ = ["READINGS", "TERMS", "report"]

TERMS = {
    "question": "Question put to the model",
    "answer": "Answer of the model",
    "reading": "What the answer says",
    "finding-asked": "Finding that was asked about",
    "chosen": "Concept that the answer rests on",
    "rests-on-this": "The answer rests on this",
    "outline": "Outline",
    "no-outline": "Not found on the image",
    "rank": "Rank of the effect, 1 is the largest",
    "outline-confidence": "Confidence of the outline",
    "no-concept": "None: it hardly depends on any of them",
    "configuration": "Configuration of the run",
    "unclear": "Unclear",
}
"""Terms of the project's own, by code value."""

READINGS = {"yes": Code("SCT", "373066001", "Yes"), "no": Code("SCT", "373067005", "No")}
_NO_UNITS = Code("UCUM", "1", "no units")
_COMMENT = Code("DCM", "121106", "Comment")
_EVALUATIONS = Code("UMLS", "C0034375", "Qualitative Evaluations")
_PROCEDURE = Code("SCT", "363679005", "Imaging procedure")
_TITLE = Code("DCM", "126000", "Imaging Measurement Report")


def report(
    origin: Origin,
    content: ResultContent,
    places: Sequence[Placed],
    others: Mapping[Any, Any],
    seed: str,
    number: int,
) -> Any:
    """The structured report of a result.

    Args:
        origin: whose it is.
        content: what it says.
        places: its concepts in the stored picture.
        others: finished objects of the same result by kind, to be referred to: ``"seg"``, ``"sc"``, ``"gsps"``.
        seed: of UIDs.
        number: of the series.
    """
    hd, sr = require("highdicom"), require("highdicom.sr")
    algorithm = origin.algorithm
    observer = sr.ObserverContext(
        observer_type=coded(Code("DCM", "121007", "Device")),
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=device_uid(algorithm),
            name=algorithm.name,
            manufacturer_name=MANUFACTURER,
            model_name=algorithm.model,
            serial_number=algorithm.model_digest,
        ),
    )
    body = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=coded(_PROCEDURE),
        imaging_measurements=list(_groups(origin, content, places, others.get("seg"), seed)) or None,
        title=coded(_TITLE),
    )
    inside = body[0].ContentSequence
    # Before the measurements, which are the last that highdicom writes (TID 1500).
    inside.insert(len(inside) - 1, image_library(origin.header, others.get("gsps"), others.get("sc")))
    inside.append(_evaluations(content))
    referred = [others[kind] for kind in ("seg", "sc", "gsps") if kind in others]
    dataset = sr.Comprehensive3DSR(
        evidence=[*(neutral(header) for header in origin.headers), *referred],
        content=body[0],
        series_instance_uid=uid_of(seed, "series"),
        series_number=number,
        sop_instance_uid=uid_of(seed, "instance"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
        transfer_syntax_uid=hd.UID("1.2.840.10008.1.2.1"),
    )
    adopt(dataset, origin, "sr", number)
    return dataset


def _term(value: str) -> Any:
    return coded(Code("99MCAUSAL", value, TERMS[value]))


def _evaluations(content: ResultContent) -> Any:
    """Question, answer and conclusion, the warning first, in the container of TID 1500 for qualitative evaluations."""
    sr = require("highdicom.sr")

    def text(name: Any, value: str) -> Any:
        readable = "".join(one if one.isprintable() or one in "\r\n\t" else " " for one in value)
        return sr.TextContentItem(name=name, value=readable, relationship_type="CONTAINS")

    def code(name: Any, value: Any) -> Any:
        return sr.CodeContentItem(name=name, value=value, relationship_type="CONTAINS")

    items = [
        text(coded(_COMMENT), content.caveat),
        text(_term("question"), content.question),
        text(_term("answer"), content.answer),
    ]
    if content.reading:
        said = coded(READINGS[content.reading]) if content.reading in READINGS else _term("unclear")
        items.append(code(_term("reading"), said))
    if content.finding is not None:
        items.append(code(_term("finding-asked"), coded(content.finding)))
    chosen = content.chosen_concept
    if chosen is None:
        items.append(code(_term("chosen"), _term("no-concept")))
    else:
        items.append(text(_term("chosen"), chosen.name))
    items += [text(coded(_COMMENT), note) for note in content.notes]
    items.append(text(_term("configuration"), canonical(dict(content.configuration)).decode()))
    container = sr.ContainerContentItem(
        name=coded(_EVALUATIONS), is_content_continuous=False, relationship_type="CONTAINS"
    )
    container.ContentSequence = sr.ContentSequence(items)
    return container


def _groups(
    origin: Origin, content: ResultContent, places: Sequence[Placed], segmentation: Any | None, seed: str
) -> Iterator[Any]:
    sr = require("highdicom.sr")
    algorithm = origin.algorithm
    identification = sr.AlgorithmIdentification(
        name=algorithm.name,
        version=algorithm.version,
        parameters=[
            f"model: {algorithm.model}",
            f"SHA-256 of the model: {algorithm.model_digest}",
            f"SHA-256 of the configuration: {content.configuration_digest}",
        ],
    )
    frames = {one.concept.name: place + 1 for place, one in enumerate(segments(places))}
    concepts = {one.concept.name: one.concept for one in places}
    for one in places:
        concept = one.concept
        common: dict[str, Any] = {
            "tracking_identifier": sr.TrackingIdentifier(uid=tracking_uid(seed, concept.name), identifier=concept.name),
            "finding_sites": _sites(concept, concepts),
        }
        found: dict[str, Any] = {
            "algorithm_id": identification,
            "measurements": _measurements(concept, content),
            "qualitative_evaluations": (
                [sr.QualitativeEvaluation(_term("rests-on-this"), coded(READINGS["yes"]))]
                if concept.name == content.chosen
                else []
            ),
        }
        if one.box is None:
            found["qualitative_evaluations"].append(sr.QualitativeEvaluation(_term("outline"), _term("no-outline")))
            yield sr.MeasurementsAndQualitativeEvaluations(**common, **found)
            continue
        yield sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            referenced_region=_region(one.box, origin.header), **common, **found
        )
        if segmentation is not None and concept.name in frames and one.mask.any():
            yield _of_segment(segmentation, frames[concept.name], one, origin, common)


def _of_segment(segmentation: Any, frame: int, one: Placed, origin: Origin, common: Mapping[str, Any]) -> Any:
    """A planar ROI that is a segment of the segmentation."""
    sr = require("highdicom.sr")
    header = origin.header
    segment = sr.ReferencedSegmentationFrame(
        sop_class_uid=segmentation.SOPClassUID,
        sop_instance_uid=segmentation.SOPInstanceUID,
        frame_number=frame,
        segment_number=frame,
        source_image=sr.SourceImageForSegmentation(header.SOPClassUID, header.SOPInstanceUID),
    )
    # Frame and segment numbers exclude each other (PS3.3, Image SOP Instance Reference Macro). In a binary segmentation
    # a frame has one segment.
    del segment[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
    confidence = one.concept.confidence
    measured = sr.Measurement(name=_term("outline-confidence"), value=confidence or 0.0, unit=coded(_NO_UNITS))
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        referenced_segment=segment, measurements=None if confidence is None else [measured], **common
    )


def _measurements(concept: Concept, content: ResultContent) -> list[Any]:
    sr = require("highdicom.sr")
    measured = []
    if concept.effect is not None:
        unit = content.effect_unit
        name = coded(Code("99MCAUSAL", "effect", content.effect_name))
        measured.append(sr.Measurement(name=name, value=float(concept.effect), unit=coded(Code("UCUM", unit, unit))))
    if concept.rank is not None:
        measured.append(sr.Measurement(name=_term("rank"), value=float(concept.rank), unit=coded(_NO_UNITS)))
    return measured


def _sites(concept: Concept, concepts: Mapping[str, Concept]) -> list[Any]:
    """Where in the body a concept is; of a group all its members' sites."""
    sr = require("highdicom.sr")
    sites = []
    for one in [concepts[name] for name in concept.members] if concept.members else [concept]:
        side = None if one.laterality is None else coded(SIDES[one.laterality])
        for code in (one.code, one.region):
            if code is not None:
                sites.append(sr.FindingSite(anatomic_location=coded(code), laterality=side))
    return sites


def _region(box: Box, header: Any) -> Any:
    """A box as a closed line along the outer edges of its pixels (PS3.3 C.18.6.1.1: column, row; 0 is an edge)."""
    sr = require("highdicom.sr")
    (top, bottom), (left, right) = box
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return sr.ImageRegion(
        graphic_type="POLYLINE",
        graphic_data=np.array(corners, np.float64),
        source_image=sr.SourceImageForRegion(header.SOPClassUID, header.SOPInstanceUID),
    )
