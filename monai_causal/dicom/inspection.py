# SPDX-License-Identifier: Apache-2.0
"""What is in a study, what would be read of it and why, and what would not: for people and for programs.

No patient data by default: files, series and studies are named by number and digest, and nothing is shown that a
header says in free text.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from monai_causal.dicom.decoders import decoder_for
from monai_causal.dicom.errors import DicomError
from monai_causal.dicom.limits import Limits
from monai_causal.dicom.projection import read_projection
from monai_causal.dicom.selection import Choice, candidate, choose
from monai_causal.dicom.selection_rules import FRONTAL_CHEST, SelectionRules
from monai_causal.dicom.series import volume_of
from monai_causal.dicom.series_geometry import is_slice
from monai_causal.dicom.study import Instance, LeftOut, Series
from monai_causal.dicom.study_survey import survey
from monai_causal.dicom.tags import class_name, codes

__all__ = ["SCHEMA", "in_words", "inspect"]

SCHEMA = "monai_causal/dicom-inspection/1"
_MODALITIES = {
    *("AU", "BDUS", "BI", "BMD", "CR", "CT", "DG", "DOC", "DX", "ECG", "ES", "IO", "IVUS", "KER", "KO", "LEN", "LS"),
    *("MG", "MR", "NM", "OAM", "OCT", "OP", "OPM", "OPT", "OT", "PR", "PT", "PX", "REG", "RF", "RG", "RTDOSE"),
    *("RTIMAGE", "RTPLAN", "RTSTRUCT", "RWV", "SEG", "SM", "SR", "US", "VA", "XA", "XC"),
}
_LISTED = 8


def inspect(
    source: str | os.PathLike[str],
    *,
    rules: SelectionRules | None = None,
    names: bool = False,
    for_processing: bool = False,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """Look through a folder, a DICOMDIR or a file. Of each study the radiograph that would be read is read, to be sure.

    Args:
        source: where to look.
        rules: which image is wanted; by default a frontal chest radiograph.
        names: tell names of files and UIDs too; they may tell of a patient.
        for_processing: take also a DX for processing.
        limits: what each file may ask for.

    Returns:
        plain values, made for JSON: ``readable`` tells whether every study has something that would be read;
        ``studies`` lists for each its ``series``, ``reads`` (the radiograph, or None, with ``why_not``) and
        ``left_out``; ``left_out`` what belongs to no study.

    Raises:
        DicomError: the source is not there.
    """
    rules = rules or SelectionRules.from_json(FRONTAL_CHEST)
    found = survey(source, limits, rules.keywords)
    studies: list[dict[str, Any]] = []
    for number, study in enumerate(found.studies, start=1):
        choice = choose(study, rules, for_processing=for_processing)
        reads, why_not = _reading(choice, limits, for_processing)
        series = [_series(place, one, limits, names) for place, one in enumerate(study.series, start=1)]
        studies.append(
            {
                "study": number,
                "digest": study.digest,
                **({"uid": study.uid} if names else {}),
                "series": series,
                "rule": choice.rule,
                "reads": reads,
                "why_not": why_not,
                "left_out": [_gone(one, names) for one in choice.left_out],
            }
        )
    return {
        "schema": SCHEMA,
        "files": found.files,
        "readable": bool(studies)
        and all(study["reads"] or any(series["volume"] for series in study["series"]) for study in studies),
        "studies": studies,
        "left_out": [_gone(one, names) for one in found.left_out],
    }


def _reading(choice: Choice, limits: Limits | None, for_processing: bool) -> tuple[dict[str, Any] | None, str]:
    """What reading the chosen radiograph gives, or why it cannot be read."""
    chosen = choice.chosen
    if chosen is None:
        return None, choice.refusal
    try:
        projection = read_projection(chosen.open(limits), limits, for_processing=for_processing)
    except DicomError as error:
        return None, f"{candidate(chosen)} was chosen, but {error.reason}"
    rows, columns = projection.pixels.shape
    # A missing view is the choice's matter already, with what it means for it.
    remarks = (*choice.remarks, *(one for one in projection.remarks if one.code != "view-missing"))
    return {
        "item": chosen.item,
        "file": chosen.index,
        "digest": chosen.digest,
        "instance_number": chosen.number,
        "rows": rows,
        "columns": columns,
        "view": projection.view,
        "laterality": projection.laterality,
        "orientation": projection.orientation.name,
        "spacing": projection.spacing,
        "spacing_kind": projection.spacing_kind,
        "decoder": projection.provenance.decoder,
        "grey": projection.provenance.voi,
        "inverted": projection.provenance.inverted,
        "remarks": [remark._asdict() for remark in remarks],
    }, ""


def _series(number: int, series: Series, limits: Limits | None, names: bool) -> dict[str, Any]:
    volume, why_not = _volume(series)
    return {
        "series": number,
        "digest": series.digest,
        **({"uid": series.uid} if names else {}),
        "modality": _modality(series),
        "volume": volume,
        "why_no_volume": why_not,
        "instances": [_instance(one, names) for one in series.instances],
    }


def _volume(series: Series) -> tuple[dict[str, Any] | None, str]:
    if not any(map(is_slice, series.instances)):
        return None, ""
    try:
        grid, _ = volume_of(series)
        for syntax in {one.transfer_syntax for one in grid.slices}:
            decoder_for(syntax)
    except DicomError as error:
        return None, str(error)
    return {"shape": list(grid.shape), "spacing": list(grid.spacing), "reader": "SafeSeriesReader"}, ""


def _instance(one: Instance, names: bool) -> dict[str, Any]:
    frames, rows, columns = one.size
    view, described = one.view
    return {
        "item": one.item,
        "file": one.index,
        "digest": one.digest,
        **({"name": one.place, "uid": one.uid} if names else {}),
        "sop_class": class_name(one.sop_class),
        "instance_number": one.number,
        "frames": frames,
        "rows": rows,
        "columns": columns,
        "transfer_syntax": one.transfer_syntax,
        "transfer_syntax_name": class_name(one.transfer_syntax),
        "view": view,
        "view_from_description": described,
    }


def _modality(series: Series) -> str:
    """The modality if it is one of the standard's: another text may be anything."""
    told = {code for one in series.instances for code in codes(one.header, "Modality")} & _MODALITIES
    return "/".join(sorted(told)) or "of no known modality"


def _gone(one: LeftOut, names: bool) -> dict[str, Any]:
    return {"item": one.item, "code": one.code, "reason": one.reason, **({"name": one.place} if names else {})}


def in_words(report: Mapping[str, Any]) -> str:
    """What :func:`inspect` found, as text."""
    studies = report["studies"]
    objects = sum(len(series["instances"]) for study in studies for series in study["series"])
    lines = [f"{_many(report['files'], 'file')}: {_many(objects, 'DICOM object')} in {_many(len(studies), 'study')}"]
    for study in studies:
        lines += ["", f"Study {study['study']} ({study['digest']})", *_study_lines(study)]
    if report["left_out"]:
        lines += ["", "Not read, and in no study", *_gone_lines(report["left_out"])]
    return "\n".join(lines)


def _study_lines(study: Mapping[str, Any]) -> Iterator[str]:
    for series in study["series"]:
        yield f"  Series {series['series']} ({series['digest']}): {series['modality']}, {_kinds(series)}"
        if series["volume"]:
            shape, spacing = series["volume"]["shape"], series["volume"]["spacing"]
            apart = " x ".join(f"{value:.4g}" for value in spacing if value is not None)
            yield f"    would be read as a volume of {_times(shape)} voxels, {apart} mm (SafeSeriesReader)"
        elif series["why_no_volume"]:
            yield f"    is no volume: {series['why_no_volume']}"
        if not series["volume"]:
            yield from _instance_lines(series["instances"])
    reads = study["reads"]
    if reads is None:
        if study["rule"] or not any(series["volume"] for series in study["series"]):
            yield f"  No radiograph would be read: {study['why_not']}"
    else:
        yield f"  Would be read: {reads['item']}, by the rule '{study['rule']}'"
        yield f"    {_picture(reads)}"
        yield from (f"    remark: {remark['sentence']}" for remark in reads["remarks"])
    volumes = [series for series in study["series"] if series["volume"]]
    slices = {one["item"] for series in volumes for one in series["instances"]}
    gone = [one for one in study["left_out"] if one["item"] not in slices]
    if gone:
        yield "  Not read"
        yield from (f"  {line}" for line in _gone_lines(gone))


def _instance_lines(instances: list[Mapping[str, Any]]) -> Iterator[str]:
    for one in instances[:_LISTED]:
        item = one["item"]
        if one["instance_number"] is not None:
            item = f"{item[:-1]}, instance number {one['instance_number']})"
        size = f", {one['rows']} x {one['columns']}" if one["rows"] and one["columns"] else ""
        view = f", view {one['view']}" if one["view"] else ""
        name = f"  {one['name']}" if "name" in one else ""
        yield f"    {item}{view}{size}, {one['transfer_syntax_name']}{name}"
    if len(instances) > _LISTED:
        yield f"    and {len(instances) - _LISTED} more (--json lists all)"


def _picture(reads: Mapping[str, Any]) -> str:
    spacing = "spacing unknown"
    if reads["spacing"]:
        spacing = f"{_times([f'{value:.4g}' for value in reads['spacing']])} mm ({reads['spacing_kind']})"
    parts = [f"{reads['rows']} x {reads['columns']}", spacing, f"view {reads['view'] or 'unsaid'}"]
    if reads["laterality"]:
        parts.append(f"laterality {reads['laterality']}")
    turned = "as stored" if reads["orientation"] == "IDENTITY" else f"turned upright ({reads['orientation'].lower()})"
    grey = f"grey by {reads['grey']}{', inverted' if reads['inverted'] else ''}"
    return ", ".join([*parts, turned, grey, f"decoded by {reads['decoder']}"])


def _gone_lines(gone: list[Mapping[str, Any]]) -> Iterator[str]:
    """One line for each reason; many files with the same one are counted."""
    reasons = Counter(one["reason"] for one in gone)
    for reason, count in reasons.items():
        items = [
            one["item"] + (f" {one['name']}" if one.get("name") else "") for one in gone if one["reason"] == reason
        ]
        named = ", ".join(items[:_LISTED]) + (f" and {count - _LISTED} more" if count > _LISTED else "")
        yield f"  {named}: {reason}"


def _kinds(series: Mapping[str, Any]) -> str:
    classes = Counter(one["sop_class"] for one in series["instances"])
    return ", ".join(f"{count} x {name}" for name, count in classes.items())


def _many(count: int, what: str) -> str:
    plural = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{count} {what if count == 1 else plural}"


def _times(values: list[Any]) -> str:
    return " x ".join(map(str, values))
