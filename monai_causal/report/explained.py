# SPDX-License-Identifier: Apache-2.0
"""What ``monai-causal explain`` and ``PdCRResult.save`` wrote, for a page."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_causal.report.content import Case, Fact, Region, Role, Scale, View, number
from monai_causal.report.facts import facts_of, said
from monai_causal.report.originals import Originals, read_volume
from monai_causal.report.pictures import bar, encode_file, extent
from monai_causal.report.planes import planes_of

__all__ = ["EXPLAIN", "PDCR", "conclusions", "explained_case", "pdcr_case"]

EXPLAIN, PDCR = "monai_causal/explain/1", "monai_causal/pdcr/1"
LISTED = 40
"""Rows of a table of regions; all of them are on the picture."""

Array = NDArray[np.float64]
_CAVEAT = "This explains a model. It is no statement about a patient."
_SETTINGS = ("settings", "model", "image", "label", "class", "roi", "replaced_by", "findings", "versions")


def explained_case(
    title: str, folders: Sequence[Path], summaries: Sequence[Mapping[str, Any]], originals: Originals, room: int
) -> Case:
    """One image, explained by one or more methods.

    Args:
        title: of the case.
        folders: that were written to, one per method.
        summaries: their summary.json.
        originals: where the image may be found.
        room: bytes for all pictures.
    """
    first = summaries[0]
    image = first.get("image", {})
    asked: tuple[Fact, ...] = (
        ("Image", f"digest {said(image.get('digest'))}, {_times(image.get('shape'))} voxels"),
        ("Model", said(first.get("model", {}).get("name", "") or first.get("model", {}).get("kind", ""))),
    )
    views = tuple(
        _view(folder, summary, originals, room // len(folders))
        for folder, summary in zip(folders, summaries, strict=True)
    )
    return Case(title, tuple(one for one in asked if one[1]), views, said(first.get("caveat")) or _CAVEAT)


def pdcr_case(title: str, folder: Path, content: Mapping[str, Any], room: int) -> Case:
    """A PdCR result by itself: its map without the image, which such a folder does not hold."""
    file = folder / "map.nii.gz"
    heat = _map(file, content["spatial_shape"]) if file.is_file() else None
    regions = _regions(folder)
    limit = 0.0 if heat is None else extent(heat, True)
    view = View(
        "pdcr",
        f"{content['relevant']} of {len(regions)} regions matter; before: {number(content['baseline'])} "
        f"{content['unit']}.",
        content["unit"],
        content["sign"],
        () if heat is None else planes_of(None, heat, signed=True, limit=limit, room=room),
        regions,
        _strongest(regions),
        profile=_profile(content.get("profile")),
        facts=facts_of({name: content[name] for name in ("rule", "record", "evaluations", "not_settled")}),
        warnings=tuple(map(said, content.get("record", {}).get("notes", ()))),
        scale=_scale(True, limit, content["unit"]),
        note="The folder does not hold the image: the map is shown alone.",
    )
    return Case(title, (), (view,), said(content.get("caveat")) or _CAVEAT)


def _view(folder: Path, summary: Mapping[str, Any], originals: Originals, room: int) -> View:
    shape = tuple(summary["image"]["shape"])
    heat = _map(folder / "map.nii.gz", shape)
    image = originals.explained(folder, summary["image"]["digest"], shape)
    signed = summary["sign"].startswith("after - before")
    whole = summary["method"] in ("pdcr", "kernel-shap", "ria")  # values belong to whole regions
    limit = extent(heat, signed)
    _, edges = read_volume(folder / "map.nii.gz")
    planes = planes_of(
        image,
        heat,
        signed=signed,
        limit=limit,
        room=room * 3 // 5,
        smooth=not whole,
        edges=edges[: len(shape)].tolist(),
    )
    same_grid = list(shape) == list(summary["image"].get("shape_for_the_network", ()))
    pdcr = folder / "pdcr"
    regions = _regions(pdcr) if (pdcr / "effects.csv").is_file() else ()
    result = json.loads((pdcr / "result.json").read_text(encoding="utf-8")) if regions else {}
    notes = [] if image is not None else ["The image itself was not given (--image FILE): the map is shown alone."]
    if regions and not same_grid:
        notes.append("Regions lie on the network's own grid, not on this picture's: the table names them.")
        regions = tuple(_without_place(one) for one in regions)
    figure = folder / "explanation.png"
    asked, box = summary["roi"].get("asked"), summary["roi"].get("box")
    return View(
        summary["method"],
        " ".join(conclusions(summary)) or "The map says nothing: it is 0 everywhere.",
        summary["unit"],
        summary["sign"],
        planes,
        regions,
        _strongest(regions),
        None if not box else tuple((int(low), int(high)) for low, high in box),
        f"What was asked about ({_where(asked)}, {number(summary['roi']['voxels'])} voxels)" if asked else "",
        profile=_profile(result.get("profile")),
        facts=(
            *facts_of({name: summary[name] for name in _SETTINGS if name in summary}),
            ("seconds", number(summary["seconds"])),
        ),
        warnings=(
            *map(said, summary.get("notes", ())),
            *map(said, (summary.get("findings", {}).get("run") or {}).get("notes", ())),
        ),
        figure=encode_file(figure, room * 2 // 5)[0] if figure.is_file() else "",
        note=" ".join(notes),
        scale=_scale(signed, limit, summary["unit"]),
    )


def _where(asked: Any) -> str:
    """A rule by its name, a box as the command takes it: ``72:104, 88:120``."""
    if not isinstance(asked, list):
        return said(asked)
    return ", ".join(f"{start}:{stop}" for start, stop in asked)


def conclusions(summary: Mapping[str, Any]) -> list[str]:
    """What came out of an explanation, a sentence each; none where its map is 0 everywhere.

    Args:
        summary: of ``monai-causal explain``.
    """
    found, unit = summary["findings"], summary["unit"]
    lines = []
    if "relevant" in found:
        lines.append(
            f"{found['relevant']} of {found['regions']} regions matter; before: {number(found['baseline'])} {unit}."
        )
    for name in ("support", "suppression"):
        strongest = found.get(f"strongest_{name}")
        if strongest is not None:
            place = ", ".join(map(str, strongest["voxel"]))
            lines.append(f"Strongest {name}: {number(strongest['value'], True)} {unit} at voxel ({place}).")
    return lines


def _scale(signed: bool, limit: float, unit: str) -> Scale:
    end = number(limit)
    if signed:
        return Scale(f"\u2212{end}" if limit else "0", f"+{end}" if limit else "0", bar(True), "supports", "suppresses")
    return Scale("0", f"{end} {unit}", bar(False), "", "supports")


def _regions(folder: Path) -> tuple[Region, ...]:
    with (folder / "effects.csv").open(newline="", encoding="utf-8") as lines:
        return tuple(_region(line) for line in csv.DictReader(lines))


def _region(line: Mapping[str, str]) -> Region:
    effect, relevant = _float(line["ate"]), line["relevant"] == "1"
    role: Role = "none"
    if relevant and effect:
        role = "supports" if effect < 0 else "suppresses"
    box = tuple((int(low), int(high)) for low, high in (span.split(":") for span in line["box"].split()))
    note = "" if line["settled"] == "1" else "not settled when its draws ended"
    return Region(
        line["name"],
        box or None,
        effect,
        _float(line["low"]),
        _float(line["high"]),
        int(line["draws"]),
        role,
        relevant,
        note=note,
    )


def _without_place(region: Region) -> Region:
    place = "" if region.box is None else " x ".join(f"{low}:{high}" for low, high in region.box)
    note = "; ".join(part for part in (region.note, f"at {place} on the network's grid" if place else "") if part)
    return Region(
        region.name, None, region.effect, region.low, region.high, region.draws, region.role, region.chosen, note=note
    )


def _strongest(regions: Sequence[Region]) -> tuple[int, ...]:
    order = sorted(range(len(regions)), key=lambda at: (not regions[at].chosen, -abs(regions[at].effect or 0.0), at))
    return tuple(order[:LISTED])


def _profile(content: Mapping[str, Any] | None) -> tuple[tuple[str, int, float], ...]:
    """Shares and the histogram, in the order of the effects."""
    if not content:
        return ()
    shares = content["shares"]
    rows = [(name, int(content[name]), float(shares[name])) for name in ("supporting", "suppressing", "irrelevant")]
    total = max(1, sum(content["histogram"]))
    for (low, high), count in zip(content["edges"], content["histogram"], strict=True):
        label = (
            f"below {number(high)}"
            if low is None
            else f"{number(low)} and above"
            if high is None
            else f"{number(low)} to {number(high)}"
        )
        rows.append((f"effect {label}", int(count), count / total))
    return tuple(rows)


def _map(path: Path, shape: Sequence[int]) -> Array:
    values, _ = read_volume(path)
    if values.size != int(np.prod(shape)):
        raise ValueError(f"{path.name} holds {values.shape}, its result says {tuple(shape)}.")
    return values.reshape(tuple(shape))


def _float(text: str) -> float | None:
    value = float(text)
    return None if value != value else value


def _times(shape: Any) -> str:
    return " x ".join(map(str, shape)) if isinstance(shape, list | tuple) else said(shape)
