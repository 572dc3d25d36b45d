# SPDX-License-Identifier: Apache-2.0
"""Write a result as DICOM objects of the study that it is about."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from monai_causal.dicom.errors import guarded
from monai_causal.dicom.objects.belonging import Origin, origin_of, unlogged
from monai_causal.dicom.objects.content import ResultContent
from monai_causal.dicom.objects.gsps import presentation
from monai_causal.dicom.objects.parametric_map import radiograph_map
from monai_causal.dicom.objects.placed import placed
from monai_causal.dicom.objects.sc import capture
from monai_causal.dicom.objects.seg import segmentation
from monai_causal.dicom.objects.sr import report
from monai_causal.dicom.objects.uids import encoded, seal, seed_of
from monai_causal.dicom.projection import Projection
from monai_causal.files import draft_of

__all__ = ["KINDS", "SERIES_NUMBERS", "Kind", "WrittenObject", "build_objects", "write_results", "written"]

Kind = Literal["seg", "sr", "sc", "gsps", "pm"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SERIES_NUMBERS: dict[Kind, int] = {kind: 9701 + place for place, kind in enumerate(KINDS)}
"""Of the series that each kind makes: high, so that they come after the study's own."""


@dataclass(frozen=True)
class WrittenObject:
    """One object that was written.

    Args:
        kind: one of :data:`KINDS`.
        path: of the file; its name tells nothing of the patient.
        sop_class_uid: what it is.
        sop_instance_uid: which it is; another content, configuration or version has another one.
        series_instance_uid: of the series of its own that it makes.
        study_instance_uid: the source's.
        sha256: of the whole file.
        size: of the file in bytes.
    """

    kind: str
    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    sha256: str
    size: int


def write_results(
    sources: Projection | Sequence[Projection],
    content: ResultContent,
    folder: str | os.PathLike[str],
    *,
    kinds: Sequence[Kind] = ("seg", "sr", "sc", "gsps"),
) -> tuple[WrittenObject, ...]:
    """Write a result about a projection as DICOM objects, byte for byte the same for the same arguments.

    Args:
        sources: the projection that was explained (or a sequence of just this one), as ``read_projection`` gave it, or
            resized: its header says whose study it is, its placement how to go back to the stored picture.
        content: what is to be written.
        folder: is there already; each file is whole or not there at all.
        kinds: ``"seg"`` outlines, ``"sr"`` the report, ``"sc"`` the picture, ``"gsps"`` outlines on the source as a
            presentation state, ``"pm"`` the map (needs ``content.heat``).

    Returns:
        What was written, in the order of ``kinds``.

    Raises:
        ValueError: the content does not fit the projection, or a kind lacks what it is made of; before anything is
            written.
    """
    projection = _only(sources)
    built = build_objects(projection, content, kinds=kinds)
    return tuple(written(kind, built[kind], folder) for kind in kinds)


def build_objects(projection: Projection, content: ResultContent, *, kinds: Sequence[Kind]) -> dict[Kind, Any]:
    """The same as pydicom data sets, by kind, none of them written."""
    _check(content, kinds)
    places = placed(projection, content)
    algorithm = content.algorithm
    with guarded("writing a result", item=f"DICOM file {projection.provenance.file_sha256[:12]}"), unlogged():
        title = f"{algorithm.name}: {content.question}"
        origin = origin_of([projection.header], algorithm, title, content.moment)
        seed = seed_of(
            str(projection.header.SOPInstanceUID),
            projection.provenance.file_sha256,
            projection.provenance.stored_sha256,
            content.digest,
        )
        made: dict[Kind, Any] = {}
        for kind in sorted(kinds, key=lambda kind: (kind == "sr", KINDS.index(kind))):  # the report refers to all
            made[kind] = _built(kind, origin, projection, content, places, made, seed)
            seal(made[kind], seed, kind)
    return made


def written(kind: str, dataset: Any, folder: str | os.PathLike[str]) -> WrittenObject:
    """Write one finished object; its file is named by kind and a digest of its UID."""
    data = encoded(dataset)
    uid = str(dataset.SOPInstanceUID)
    path = Path(folder) / f"{kind}-{hashlib.sha256(uid.encode()).hexdigest()[:16]}.dcm"
    with draft_of(path) as draft:
        draft.write_bytes(data)
    return WrittenObject(
        kind,
        path,
        str(dataset.SOPClassUID),
        uid,
        str(dataset.SeriesInstanceUID),
        str(dataset.StudyInstanceUID),
        hashlib.sha256(data).hexdigest(),
        len(data),
    )


def _only(sources: Projection | Sequence[Projection]) -> Projection:
    if isinstance(sources, Projection):
        return sources
    if len(sources) != 1:
        raise ValueError(f"{len(sources)} projections: a result is about one; write each one's on its own.")
    return sources[0]


def _check(content: ResultContent, kinds: Sequence[Kind]) -> None:
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"kinds: {kind!r} is none of {', '.join(KINDS)}.")
    if not kinds or len(set(kinds)) < len(kinds):
        raise ValueError(f"kinds={tuple(kinds)}: name each kind once, and at least one.")
    if "sc" in kinds and content.picture is None:
        raise ValueError("kinds: 'sc' is made of content.picture, which is None; give one or leave out 'sc'.")
    if "pm" in kinds and content.heat is None:
        raise ValueError("kinds: 'pm' is made of content.heat, which is None; give one or leave out 'pm'.")
    if "seg" in kinds and all(one.members for one in content.concepts):
        raise ValueError("kinds: 'seg' is made of concepts that are no groups, and there is none; leave out 'seg'.")


def _built(
    kind: Kind,
    origin: Origin,
    projection: Projection,
    content: ResultContent,
    places: Any,
    made: Mapping[Kind, Any],
    seed: str,
) -> Any:
    number = SERIES_NUMBERS[kind]
    if kind == "seg":
        return segmentation(origin, places, seed, number)
    if kind == "sr":
        return report(origin, content, places, made, seed, number)
    if kind == "sc":
        assert content.picture is not None
        return capture(origin, content.picture, projection.orientation, content.caveat, seed, number)
    if kind == "gsps":
        return presentation(origin, projection, content, places, seed, number)
    assert content.heat is not None
    return radiograph_map(origin, projection.to_source(content.heat), content.heat_means, seed, number)
