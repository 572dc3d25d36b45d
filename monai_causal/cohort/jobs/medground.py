# SPDX-License-Identifier: Apache-2.0
"""``medground`` for every item: put its questions through the causal filter, and judge attributions of what passes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, floor
from pathlib import Path
from typing import Any, Literal

from monai_causal.apps.medfocus.baselines.registry import METHODS
from monai_causal.apps.medground.building import Build, BuildConfig, build_benchmark
from monai_causal.apps.medground.candidates import Candidate, Case, Pixels, Source
from monai_causal.apps.medground.editors import InpaintingEditor
from monai_causal.apps.medground.evaluating import FOLDER, evaluate_benchmark
from monai_causal.apps.medground.fates import kept_by_mode, read_fates
from monai_causal.apps.medground.models import model_of
from monai_causal.apps.medground.sources.annotated import read_pixels
from monai_causal.apps.study.configuration import checked, need
from monai_causal.apps.study.journal import read_journals
from monai_causal.cohort.items import Item
from monai_causal.cohort.jobs.base import Job, Record
from monai_causal.cohort.jobs.images import picture_of
from monai_causal.cohort.jobs.rows import Rows

__all__ = ["JudgeAttributions", "MedGroundSettings", "boxes_of"]


@dataclass(frozen=True)
class MedGroundSettings:
    """As ``monai-causal medground build`` and ``evaluate`` take it; the editor is inpainting.

    An item has an ``image`` (or ``study``) and a ``finding``, with ``boxes`` where it is there (``x0 y0 x1 y1; ...``,
    half-open, in native pixels, or a list of such fours), and none where it is not."""

    vlm: str = "demo"
    methods: tuple[str, ...] = ("medfocus", "occlusion")
    modes: tuple[Literal["direct", "reasoning"], ...] = ("direct",)
    resolution: int | None = None
    seeds: int = 1
    agreement: float = 1.0
    sham: bool = False
    device: str | None = None
    batch_size: int = 16
    files: bool = False
    """Keep the small benchmark of every item."""

    def __post_init__(self) -> None:
        for name in self.methods:
            need(name in METHODS, "methods", name, f"choose among {', '.join(METHODS)}")
        need(bool(self.modes), "modes", (), "name at least one")


@dataclass(frozen=True, eq=False)
class _Sample:
    item: Item
    image: Path
    finding: str
    boxes: tuple[tuple[float, float, float, float], ...]


class _Image(Case):
    """An item as the benchmark takes it."""

    def __init__(self, sample: _Sample) -> None:
        finding, positive = sample.finding, bool(sample.boxes)
        super().__init__(
            sample.item.name, [Candidate(sample.item.number, finding, finding.replace("_", " ").lower(), positive)]
        )
        self.sample = sample

    @cached_property
    def _grey(self) -> Pixels:
        return read_pixels(self.sample.image, self.name)

    def pixels(self) -> Pixels:
        return self._grey

    def located(self, candidate: Candidate) -> Candidate:
        if not candidate.positive:
            return candidate
        height, width = self._grey.shape
        clipped = [
            (max(0, floor(x0)), max(0, floor(y0)), min(width, ceil(x1)), min(height, ceil(y1)))
            for x0, y0, x1, y1 in self.sample.boxes
        ]
        boxes = tuple(dict.fromkeys(box for box in clipped if box[0] < box[2] and box[1] < box[3]))
        if not boxes:
            raise ValueError(f"no box of {candidate.finding} lies on the image of {width} x {height} pixels")
        return replace(candidate, boxes=boxes)


class _Asked(Source):
    """The one question about an item."""

    name = "cohort"

    def __init__(self, sample: _Sample) -> None:
        self.sample = sample

    @property
    def record(self) -> dict[str, Any]:
        return {"source": self.name, "item": self.sample.item.number}

    def cases(self, count: int | None, negatives: float) -> Iterator[Case]:
        yield _Image(self.sample)


class JudgeAttributions(Job):
    """A benchmark of one image after another, with a model that is loaded once."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings: MedGroundSettings = checked(MedGroundSettings, settings, "job.settings")
        given = self.settings
        self.vlm, self.model = model_of(given.vlm, device=given.device, batch_size=given.batch_size)
        self.editor = InpaintingEditor()
        self.config = BuildConfig(
            count=1,
            modes=given.modes,
            resolution=given.resolution,
            seeds=given.seeds,
            agreement=given.agreement,
            sham=given.sham,
        )

    def read(self, item: Item, scratch: Path) -> _Sample:
        finding = item.content.get("finding")
        if not isinstance(finding, str) or not finding.strip():
            raise ValueError("the item names no finding to ask about.")
        return _Sample(item, picture_of(item, scratch)[0], finding.strip(), boxes_of(item.content.get("boxes")))

    def run(self, samples: Sequence[_Sample], folders: Sequence[Path]) -> Sequence[Record]:
        return [self._judged(sample, folder) for sample, folder in zip(samples, folders, strict=True)]

    def _judged(self, sample: _Sample, folder: Path) -> Record:
        bench = folder / "bench"
        there = bool(sample.boxes)
        build_benchmark(Build(self.vlm, self.model, _Asked(sample), self.editor), self.config, bench)
        fates = read_fates(bench)
        measures: Rows = []
        for fate in fates:
            common = {"model": self.model, "method": "answer", "question": f"{fate['finding']}, {fate['mode']}"}
            if fate["fate"] == "error":
                raise ValueError(fate["reason"])
            replies = fate["replies"]["original"]
            right = float(replies[0]["reading"] == ("yes" if fate["positive"] else "no"))
            measures.append({**common, "name": "fate", "text": fate["fate"]})
            measures.append({**common, "name": "kept", "value": float(fate["fate"] == "kept")})
            measures.append({**common, "name": "right", "value": right})
        if there and any(kept_by_mode(fates).values()):
            evaluate_benchmark(bench, self.vlm, self.model, self.settings.methods, self.settings.modes)
            entries = read_journals((bench / FOLDER).glob("journal*.jsonl")).values()
            measures += self._scores(entries)
        if not self.settings.files:
            shutil.rmtree(bench)
        return Record({"finding": sample.finding, "present": there}, measures)

    def _scores(self, entries: Iterable[Mapping[str, Any]]) -> Rows:
        rows: Rows = []
        for entry in entries:
            if entry["kind"] != "item":
                continue
            if entry["status"] != "ok":
                raise ValueError(f"{entry['method']}: {entry['reason']}")
            question = f"{entry['finding']}, {entry['mode']}"
            common = {"model": self.model, "method": entry["method"], "question": question}
            rows += [{**common, "name": name, "value": value} for name, value in entry["values"].items()]
            if entry["concept"] is not None:
                rows.append({**common, "name": "concept", "text": entry["concept"]})
        return rows


def boxes_of(given: Any) -> tuple[tuple[float, float, float, float], ...]:
    """Boxes as a list or a table's cell has them.

    Example:
        >>> boxes_of("10 20 30 40; 1 2 3 4"), boxes_of([[1, 2, 3, 4]]), boxes_of(None)
        (((10.0, 20.0, 30.0, 40.0), (1.0, 2.0, 3.0, 4.0)), ((1.0, 2.0, 3.0, 4.0),), ())
    """
    if isinstance(given, str):
        given = json.loads(given) if given.lstrip().startswith("[") else [one.split() for one in given.split(";")]
    found = []
    for box in given or ():
        try:
            x0, y0, x1, y1 = map(float, box)
        except (TypeError, ValueError):
            raise ValueError("boxes: four numbers each are needed, x0 y0 x1 y1; several with ';' between.") from None
        found.append((x0, y0, x1, y1))
    return tuple(found)
