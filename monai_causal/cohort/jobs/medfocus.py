# SPDX-License-Identifier: Apache-2.0
"""``medfocus attribute`` for every item: which anatomy does an answer about a radiograph rest on?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from monai_causal.apps.medfocus.attribute import MedFocus
from monai_causal.apps.medfocus.attribute_case import Case, read_radiograph
from monai_causal.apps.medfocus.picture import save_overlay
from monai_causal.apps.medfocus.result import MedFocusResult
from monai_causal.apps.medfocus.segmenter import as_image
from monai_causal.apps.medfocus.vlm.loading import load_vlm
from monai_causal.apps.study.configuration import checked, need
from monai_causal.cohort.items import Item
from monai_causal.cohort.jobs.base import Job, Record
from monai_causal.cohort.jobs.images import picture_of
from monai_causal.cohort.jobs.rows import Rows
from monai_causal.files import draft_of

__all__ = ["AttributeAnswers", "MedFocusSettings"]

Masking = Literal["zero", "mean", "blur", "inpaint"]


@dataclass(frozen=True)
class MedFocusSettings:
    """What is asked about every radiograph, as ``monai-causal medfocus attribute`` takes it. An item's own ``question``
    or ``finding`` goes before these; its ``expected`` (yes or no) says what the right answer is."""

    vlm: str = "demo"
    findings: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    mode: Literal["direct", "reasoning"] = "direct"
    masking: Masking = "zero"
    also: tuple[Masking, ...] = ("mean", "blur")
    by: Literal["box", "mask"] = "box"
    tau: float = 0.75
    seed: int = 0
    device: str | None = None
    batch_size: int | None = None
    files: bool = True
    """Records and pictures of every item; false: its rows in the tables alone."""

    def __post_init__(self) -> None:
        need(0 < self.tau <= 1, "tau", self.tau, "give a relative probability above 0 and at most 1, such as 0.75")


@dataclass(frozen=True, eq=False)
class _Sample:
    image: Any
    questions: list[str]
    expected: str | None


class AttributeAnswers(Job):
    """MedFocus with a vision-language model that is loaded once."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings: MedFocusSettings = checked(MedFocusSettings, settings, "job.settings")
        given = self.settings
        self.medfocus = MedFocus(
            load_vlm(given.vlm, device_map=given.device),
            masking=given.masking,
            by=given.by,
            tau=given.tau,
            also=given.also,
            batch_size=given.batch_size,
            seed=given.seed,
        )
        self.model = Path(given.vlm).name if Path(given.vlm).is_dir() else given.vlm

    def read(self, item: Item, scratch: Path) -> _Sample:
        own: dict[str, Any] = {
            f"{key}s": (str(item.content[key]),) for key in ("question", "finding") if key in item.content
        }
        wanted: dict[str, Any] = own or {"questions": self.settings.questions, "findings": self.settings.findings}
        questions = Case(study="", out="", **wanted).asked()
        expected = item.content.get("expected")
        if expected is not None and str(expected).lower() not in ("yes", "no"):
            raise ValueError("expected: say yes or no, or leave it out.")
        if expected is not None and len(questions) > 1:
            raise ValueError("expected: which question is meant? Give an item that has one one question.")
        files = item.files()
        path = files["study"] if "study" in files else picture_of(item, scratch)[0]
        return _Sample(read_radiograph(path), questions, None if expected is None else str(expected).lower())

    def run(self, samples: Sequence[_Sample], folders: Sequence[Path]) -> Sequence[Record]:
        return [self._attributed(sample, folder) for sample, folder in zip(samples, folders, strict=True)]

    def _attributed(self, sample: _Sample, folder: Path) -> Record:
        results = self.medfocus.attribute_all(sample.image, sample.questions, self.settings.mode)
        measures: Rows = []
        regions: Rows = []
        notes: list[str] = []
        for number, result in enumerate(results, 1):
            common = {"model": self.model, "method": self.medfocus.name, "question": result.question}
            regions += [{**common, **row} for row in _regions(result)]
            measures += [{**common, **row} for row in _measures(result, sample.expected)]
            notes += [note for note in result.notes if note not in notes]
            if self.settings.files:
                result.save(folder / f"{number}.json")
                save_overlay(folder / f"{number}.png", sample.image, result)
        if self.settings.files:
            grey, _, _ = as_image(sample.image)
            with draft_of(folder / "image.png") as draft:
                Image.fromarray(np.rint(255 * grey).astype(np.uint8)).save(draft)
        return Record({"shape": list(results[0].size), "questions": len(results)}, measures, regions, notes)


def _regions(result: MedFocusResult) -> Rows:
    """Every concept that was replaced. Published drops are positive where a concept supports; here, as in all tables,
    effects are after - before."""
    rows: Rows = []
    for number, concept in enumerate(result.concepts):
        drop = result.effects.get(concept.name)
        if drop is None or concept.box is None:
            continue
        x0, y0, x1, y1 = concept.box
        rows.append(
            {
                "region": number,
                "name": concept.name,
                "box": f"{y0}:{y1} {x0}:{x1}",
                "effect": -drop,
                "unit": "nats",
                "draws": 1,
            }
        )
    return rows


def _measures(result: MedFocusResult, expected: str | None) -> Rows:
    rows: Rows = [
        {"name": "log_prob", "value": result.log_prob, "unit": "nats"},
        {"name": "relative_probability", "value": result.relative_probability, "unit": "fraction"},
        {"name": "answer", "text": result.reading},
        {"name": "concept", "text": result.concept or "none"},
        {"name": "coin_toss", "value": float(result.coin_toss)},
    ]
    if expected is not None:
        rows.append({"name": "right", "value": float(result.reading == expected)})
    return rows
