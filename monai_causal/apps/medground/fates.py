# SPDX-License-Identifier: Apache-2.0
"""What became of every candidate: the records of those that were kept, and the funnel of the others."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from monai_causal.apps.medfocus.vlm.answers import Reading
from monai_causal.apps.medfocus.vlm.prompts import Mode, finding_question
from monai_causal.apps.medground.filtering import FATES
from monai_causal.apps.medground.records import MODES, Record, save_records
from monai_causal.apps.study.journal import read_journals
from monai_causal.apps.study.lines import Entry

__all__ = ["funnel", "funnel_in_words", "kept_by_mode", "read_build", "read_fates", "records_of", "write_kept"]

_MORE = ("case", "finding", "attribute", "boxes", "concepts", "size", "shown", "image", "mask", "image_sha256")


def read_build(folder: Path) -> dict[str, Any]:
    """``build.json`` of a benchmark."""
    path = folder / "build.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder.name} holds no build.json: make a benchmark with 'monai-causal medground build'."
        )
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def read_fates(folder: Path) -> list[Entry]:
    """One entry per candidate and mode, of all shards, in the source's order."""
    found = read_journals(folder.glob("fates*.jsonl"))
    order = {mode: place for place, mode in enumerate(MODES)}
    return sorted(found.values(), key=lambda entry: (order[entry["mode"]], entry["index"]))


def records_of(build: dict[str, Any], fates: Iterable[Entry], mode: Mode) -> list[Record]:
    """The samples that were kept in one mode."""
    return [_record(build, entry) for entry in fates if entry["mode"] == mode and entry["fate"] == "kept"]


def write_kept(folder: Path) -> dict[str, int]:
    """Write ``direct.json`` and ``reasoning.json`` of what was kept, and say how many there are per mode."""
    build, fates = read_build(folder), read_fates(folder)
    counts = {}
    for mode in build["config"]["modes"]:
        records = records_of(build, fates, mode)
        save_records(folder / f"{mode}.json", records)
        counts[mode] = len(records)
    return counts


def kept_by_mode(fates: Iterable[Entry]) -> dict[str, list[Entry]]:
    """The fates of the samples that were kept, in order."""
    kept: dict[str, list[Entry]] = {mode: [] for mode in MODES}
    for entry in fates:
        if entry["fate"] == "kept":
            kept[entry["mode"]].append(entry)
    return kept


def funnel(fates: Iterable[Entry]) -> list[dict[str, Any]]:
    """How many candidates each step dropped, per mode, finding and true answer, and in all."""
    fates = list(fates)
    rows = []
    for mode in MODES:
        of_mode = [entry for entry in fates if entry["mode"] == mode]
        findings = list(dict.fromkeys(entry["attribute"] for entry in of_mode))
        for answer, positive in (("yes", True), ("no", False)):
            for attribute in (None, *findings):
                some = [
                    entry
                    for entry in of_mode
                    if entry["positive"] == positive and attribute in (None, entry["attribute"])
                ]
                if some:
                    counts = {fate: sum(entry["fate"] == fate for entry in some) for fate in FATES}
                    rows.append(
                        {
                            "mode": mode,
                            "answer": answer,
                            "finding": attribute or "all",
                            "candidates": len(some),
                            **counts,
                        }
                    )
    return rows


def funnel_in_words(fates: Iterable[Entry]) -> str:
    """The funnel's first lines, for a terminal."""
    lines = []
    for row in funnel(fates):
        if row["finding"] == "all":
            dropped = ", ".join(f"{row[step]} by {step.replace('_', ' ')}" for step in FATES[1:] if row[step])
            lines.append(
                f"{row['mode']}, true answer {row['answer']}: {row['candidates']} candidates, {row['kept']} kept"
                + (f"; dropped {dropped}" if dropped else "")
            )
    return "\n".join(lines)


def _record(build: dict[str, Any], entry: Entry) -> Record:
    answer: Reading = "yes" if entry["positive"] else "no"
    predictions = {image: some[0]["text"] for image, some in entry["replies"].items() if image != "sham"}
    more = {"question": finding_question(entry["attribute"]), **{key: entry[key] for key in _MORE if key in entry}}
    more["edits"] = {edit: [one["sha256"] for one in some] for edit, some in entry["edits"].items()}
    more["build"] = build["digest"]
    more["versions"] = build["versions"]
    return Record(
        build["model"]["name"], build["source"]["source"], entry["index"], answer, entry["mode"], predictions, more
    )
