# SPDX-License-Identifier: Apache-2.0
"""The one radiograph of a study to read: frontal, PA before AP, the newest; or a refusal that names the candidates."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.projection import (
    FOR_PROCESSING,
    PROJECTIONS,
    RADIOGRAPHS,
    SECONDARY,
    Projection,
    read_projection,
)
from monai_causal.dicom.remarks import Remark
from monai_causal.dicom.safety import OpenedFile
from monai_causal.dicom.selection_rules import FRONTAL_CHEST, SelectionRules
from monai_causal.dicom.study import Instance, LeftOut, Study, left_out
from monai_causal.dicom.study_survey import survey
from monai_causal.dicom.study_web import WebStudy
from monai_causal.dicom.tags import class_name, codes, sequence

__all__ = ["Choice", "Selection", "SelectionError", "choose", "select_projection"]

SCHEMA = "monai_causal/selection/1"

# Attributes that tell when an image was made, the surest first; they are compared where all candidates have them.
_MOMENTS: tuple[tuple[str, ...], ...] = (
    ("AcquisitionDateTime",),
    ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"),
    ("SeriesDate", "SeriesTime"),
)
_MOMENT = re.compile(r"(\d{8})(\d{2})(\d{2})?(\d{2})?(\.\d{1,6})?([+-]\d{4})?")
_NAMED_CANDIDATES = 12


class SelectionError(DicomError):
    """No image of a study can be chosen: there is none, or several are equally good.

    Args:
        reason: what is wrong, with the candidates and what to do.
        candidates: how messages name the equally good ones.
        left_out: the others, with the reasons.
    """

    def __init__(
        self, reason: str, candidates: Sequence[str] = (), left_out: Sequence[LeftOut] = (), *, item: str | None = None
    ) -> None:
        super().__init__(reason, item=item)
        self.candidates = tuple(candidates)
        self.left_out = tuple(left_out)

    def __reduce__(self) -> tuple[object, ...]:
        return SelectionError, (self.reason, self.candidates, self.left_out)


@dataclass(frozen=True, eq=False)
class Choice:
    """What the rules make of one study.

    Args:
        study: the study.
        chosen: the image to read, or None.
        rule: name of the rule that it met, empty if there is none.
        tied: the equally good ones, where that is why none was chosen.
        left_out: all others, with the reasons.
        remarks: what is doubtful about the choice.
    """

    study: Study
    chosen: Instance | None
    rule: str
    tied: tuple[Instance, ...]
    left_out: tuple[LeftOut, ...]
    remarks: tuple[Remark, ...]

    @property
    def refusal(self) -> str:
        """Why there is none, in a sentence; empty if there is one."""
        if self.chosen is not None:
            return ""
        if not self.tied:
            return "it holds no projection radiograph that a rule wants"
        named = ", ".join(map(candidate, self.tied[:_NAMED_CANDIDATES]))
        more = len(self.tied) - _NAMED_CANDIDATES
        return (
            f"{len(self.tied)} images meet the rule '{self.rule}' and no time tells which is the newest: {named}"
            f"{f' and {more} more' if more > 0 else ''}; give the file that is meant"
        )


@dataclass(frozen=True, eq=False)
class Selection:
    """The image that was chosen, and why the others were not.

    Args:
        chosen: the image, by its header.
        rule: name of the rule that it met.
        left_out: all other files, with the reasons.
        remarks: what is doubtful about the choice.
        for_processing: DX for processing was allowed.
        limits: what the file may ask for.
    """

    chosen: Instance
    rule: str
    left_out: tuple[LeftOut, ...]
    remarks: tuple[Remark, ...]
    for_processing: bool
    limits: Limits | None

    def open(self) -> OpenedFile:
        """The file, checked to be the one that was chosen."""
        return self.chosen.open(self.limits)

    def read(self, *, upright: bool = True) -> Projection:
        """The radiograph; see :func:`~monai_causal.dicom.projection.read_projection`."""
        return read_projection(self.open(), self.limits, for_processing=self.for_processing, upright=upright)

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it, without patient data: what a result keeps to say how its image was found."""
        return {
            "schema": SCHEMA,
            "chosen": {"item": self.chosen.item, "digest": self.chosen.digest, "instance_number": self.chosen.number},
            "rule": self.rule,
            "remarks": [remark._asdict() for remark in self.remarks],
            "left_out": [{"item": one.item, "code": one.code, "reason": one.reason} for one in self.left_out],
        }


def select_projection(
    source: str | os.PathLike[str] | bytes | WebStudy | Sequence[Any],
    rules: SelectionRules | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    study: str | None = None,
    for_processing: bool = False,
    limits: Limits | None = None,
) -> Selection:
    """Find the one radiograph to read. Headers only are looked at, nothing is decoded.

    Args:
        source: a folder, a DICOMDIR, a file, a sequence of files, or a
            :class:`~monai_causal.dicom.study_web.WebStudy`, of which only the metadata are fetched.
        rules: which image is wanted, see :class:`~monai_causal.dicom.selection_rules.Rule`; by default a frontal chest
            radiograph, PA before AP. Among those that meet the best rule the newest is taken.
        study: where there are several studies: the UID of one, or the beginning of its digest as messages give it.
        for_processing: take also a DX for processing.
        limits: what each file may ask for.

    Raises:
        SelectionError: there is no such image, several are equally good, or there are several studies.

    Example:
        >>> selection = select_projection("study")  # doctest: +SKIP
        >>> selection.read().view, [one.reason for one in selection.left_out]  # doctest: +SKIP
        ('PA', ['no rule is met; its view is LL'])
    """
    parsed = _rules(rules)
    found = survey(source, limits, parsed.keywords)
    choices = [choose(one, parsed, for_processing=for_processing) for one in _wanted(found.studies, study)]
    fit = [choice for choice in choices if choice.chosen is not None or choice.tied]
    gone = [*found.left_out, *(one for choice in choices for one in choice.left_out)]
    if len(fit) > 1:
        named = [f"study {choice.study.digest}" for choice in fit]
        raise SelectionError(
            f"{len(fit)} studies hold a radiograph that is wanted: {', '.join(named[:_NAMED_CANDIDATES])}; "
            "give study= with one of these digests, or a folder that holds one study",
            named,
            gone,
        )
    if not fit:
        reasons = sorted({one.reason for one in gone})
        said = f" ({'; '.join(reasons[:_NAMED_CANDIDATES])})" if reasons else ""
        raise SelectionError(f"of {found.files} files none is a projection radiograph that is wanted{said}", (), gone)
    (choice,) = fit
    if choice.chosen is None:
        raise SelectionError(choice.refusal, [candidate(one) for one in choice.tied], gone)
    remarks = (*choice.remarks, *_about_refused(found.left_out))
    return Selection(choice.chosen, choice.rule, tuple(gone), remarks, for_processing, limits)


def choose(study: Study, rules: SelectionRules | None = None, *, for_processing: bool = False) -> Choice:
    """What the rules make of one study; a tie is told, not raised."""
    rules = rules or SelectionRules.from_json(FRONTAL_CHEST)
    gone: list[LeftOut] = []
    ranked: list[tuple[int, Instance]] = []
    for instance in _originals(study.instances, for_processing, gone):
        rank = rules.rank(instance)
        if rank is None:
            gone.append(_left(instance, "no-rule", view=instance.view[0] or "unsaid"))
        else:
            ranked.append((rank, instance))
    best = min((rank for rank, _ in ranked), default=0)
    gone += [_left(one, "less-preferred", rule=rules.rules[rank].name) for rank, one in ranked if rank > best]
    left = [one for rank, one in ranked if rank == best]
    left = _kept(left, [one for one in left if not _is_secondary(one)], "secondary", gone)
    left = _newest(left, gone)
    order = {one.item: one.index for one in study.instances}
    gone.sort(key=lambda one: order[one.item])
    chosen = left[0] if len(left) == 1 else None
    return Choice(
        study=study,
        chosen=chosen,
        rule=rules.rules[best].name if left else "",
        tied=tuple(left) if len(left) > 1 else (),
        left_out=tuple(gone),
        remarks=() if chosen is None else _remarks(chosen),
    )


def candidate(instance: Instance) -> str:
    """How a refusal names an image: by what somebody can find it, and nothing of the patient."""
    return instance.item if instance.number is None else f"{instance.item[:-1]}, instance number {instance.number})"


def _rules(rules: SelectionRules | Mapping[str, Any] | str | os.PathLike[str] | None) -> SelectionRules:
    if isinstance(rules, SelectionRules):
        return rules
    return SelectionRules.from_json(FRONTAL_CHEST if rules is None else rules)


def _wanted(studies: Sequence[Study], name: str | None) -> Sequence[Study]:
    if name is None:
        return studies
    wanted = [one for one in studies if name and (one.uid == name or one.digest.startswith(name))]
    if len(wanted) != 1:
        raise SelectionError(
            f"study= names {len(wanted)} of the {len(studies)} studies; they are: "
            f"{', '.join(one.digest for one in studies[:_NAMED_CANDIDATES])}"
        )
    return wanted


def _left(instance: Instance, code: str, **words: str) -> LeftOut:
    return left_out(instance.item, code, instance.place, **words)


def _originals(instances: Sequence[Instance], for_processing: bool, gone: list[LeftOut]) -> list[Instance]:
    """The radiographs, without copies and without what was made from another one of them."""
    seen: dict[str, Instance] = {}
    fit = []
    for instance in instances:
        unfit = _unfit(instance, for_processing)
        if unfit is not None:
            gone.append(unfit)
        elif instance.digest in seen:
            gone.append(_left(instance, "copy", other=seen[instance.digest].item))
        else:
            seen[instance.digest] = instance
            fit.append(instance)
    by_uid = {instance.uid: instance for instance in fit if instance.uid}
    originals = []
    for instance in fit:
        sources = [
            by_uid[uid]
            for item in sequence(instance.header, "SourceImageSequence")
            for uid in codes(item, "ReferencedSOPInstanceUID")
            if uid in by_uid and uid != instance.uid
        ]
        if sources and "DERIVED" in codes(instance.header, "ImageType"):
            gone.append(_left(instance, "derived", other=sources[0].item))
        else:
            originals.append(instance)
    return originals


def _unfit(instance: Instance, for_processing: bool) -> LeftOut | None:
    """Why ``read_projection`` would refuse it, as far as the header tells."""
    sop_class = instance.sop_class
    if not instance.has_pixels:
        return _left(instance, "not-image", name=class_name(sop_class))
    if sop_class not in (*PROJECTIONS, *SECONDARY, FOR_PROCESSING):
        return _left(instance, "not-radiograph", name=class_name(sop_class))
    if sop_class == FOR_PROCESSING and not for_processing:
        return _left(instance, "for-processing")
    if sop_class in SECONDARY and not set(codes(instance.header, "Modality")) & set(RADIOGRAPHS):
        return _left(instance, "secondary-modality")
    if not instance.uid or not instance.header.get("SOPClassUID"):
        return _left(instance, "no-uid")
    frames = instance.size[0]
    return _left(instance, "frames", count=str(frames)) if frames != 1 else None


def _is_secondary(instance: Instance) -> bool:
    return instance.sop_class in SECONDARY or "SECONDARY" in codes(instance.header, "ImageType")


def _kept(all_: list[Instance], kept: list[Instance], code: str, gone: list[LeftOut]) -> list[Instance]:
    """Those kept, if there are any; the others go."""
    if not kept:
        return all_
    gone += [_left(one, code) for one in all_ if one not in kept]
    return kept


def _newest(instances: list[Instance], gone: list[LeftOut]) -> list[Instance]:
    for keywords in _MOMENTS:
        moments = [_moment(instance.header, keywords) for instance in instances]
        known = [moment for moment in moments if moment is not None]
        if len(instances) > 1 and len(known) == len(instances):
            latest = [one for one, moment in zip(instances, moments, strict=True) if moment == max(known)]
            instances = _kept(instances, latest, "older", gone)
    return instances


def _moment(header: Any, keywords: tuple[str, ...]) -> datetime | None:
    """When, in universal time if an offset is known; None unless date and hour are there."""
    parts = [next(iter(codes(header, keyword)), "").replace(":", "") for keyword in keywords]
    text = parts[0] if len(parts) == 1 else parts[0].replace(".", "") + parts[1]
    matched = _MOMENT.fullmatch(text)
    if matched is None:
        return None
    day, hour, minute, second, fraction, offset = matched.groups()
    offset = offset or next(iter(codes(header, "TimezoneOffsetFromUTC")), "")
    try:
        moment = datetime.strptime(f"{day}{hour}{minute or '00'}{min(int(second or 0), 59):02d}", "%Y%m%d%H%M%S")
        moment += timedelta(seconds=float(fraction or 0))
        if re.fullmatch(r"[+-]\d{4}", offset):
            ahead = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:]))
            moment -= -ahead if offset[0] == "-" else ahead
    except (ValueError, OverflowError):
        return None
    return moment


def _remarks(chosen: Instance) -> tuple[Remark, ...]:
    view, described = chosen.view
    if view is None:
        return (Remark("view-unsaid", "Nothing says which view this is; it may not be frontal."),)
    if described:
        return (Remark("view-from-description", f"Only the description of its series says that the view is {view}."),)
    return ()


def _about_refused(gone: Sequence[LeftOut]) -> tuple[Remark, ...]:
    count = sum(one.code in ("refused", "missing", "leaves-folder", "other-object") for one in gone)
    if not count:
        return ()
    sentence = f"Files that could not be read: {count}; the image that is wanted may be among them."
    return (Remark("refused-files", sentence),)
