# SPDX-License-Identifier: Apache-2.0
"""``pdcr-study`` for every item: PdCR beside other methods, with averaged attributions and attribution curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from monai_causal.apps.pdcr_study.config import StudyConfig, as_config
from monai_causal.apps.pdcr_study.images import Subject, find_rois
from monai_causal.apps.pdcr_study.methods import ask
from monai_causal.apps.pdcr_study.networks import load_network
from monai_causal.apps.pdcr_study.questions import Question, measuring_seed
from monai_causal.apps.study.configuration import checked, need
from monai_causal.cohort.items import Item
from monai_causal.cohort.jobs.base import Job, Record
from monai_causal.cohort.jobs.images import picture_of
from monai_causal.cohort.jobs.rows import Rows, centre_of, effect_rows, overlap
from monai_causal.data.banks import DonorBank, image_digest
from monai_causal.data.readers import PICTURES, VOLUMES, read_image, read_pair, target_class
from monai_causal.intervene import DonorPatchFill, Evaluator
from monai_causal.intervene.regions import plain
from monai_causal.intervene.scores import hard_answer

__all__ = ["PdCRStudy", "PdCRStudySettings"]


@dataclass(frozen=True)
class PdCRStudySettings:
    """As a study's configuration has it, for the items instead of a data set."""

    networks: tuple[dict[str, Any], ...]
    """With checkpoints."""
    donors: str
    """A folder of images that nobody explains, to cut donors from."""
    methods: tuple[dict[str, Any], ...] = ({"name": "pdcr"},)
    rois: tuple[dict[str, Any], ...] = ({"rule": "boundary"},)
    channels: int = 1
    size: int | tuple[int, ...] | None = None
    window: tuple[float, float] | None = None
    classes: int = 1
    reference: Literal["label", "answer"] = "label"
    patch_size: int | tuple[int, ...] = 8
    per_image: int = 100
    """Donors of each image of the folder."""
    threshold: float = 0.5
    metrics: dict[str, Any] | None = field(default_factory=dict)
    """null: no attribution scores and no curves."""
    seed: int = 0
    device: str | None = None
    batch_size: int | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        for method in self.methods:
            components = method.get("regions") == "components"
            need(not components, "methods", method, "components of networks are compared within one study, not here")

    def study(self) -> StudyConfig:
        """The same as a study, checked."""
        return as_config(
            {
                "data": {
                    "name": "decathlon",
                    "parts": {"explain": 1, "donors": 1},
                    "image_size": self.size,
                    "window": self.window,
                    "classes": self.classes,
                    "reference": self.reference,
                },
                "networks": list(self.networks),
                "methods": list(self.methods),
                "rois": list(self.rois),
                "patch_size": self.patch_size,
                "donors": {"per_image": self.per_image, "seed": self.seed},
                "threshold": self.threshold,
                "metrics": self.metrics,
                "seed": self.seed,
                "device": self.device,
                "batch_size": self.batch_size,
            }
        )


class PdCRStudy(Job):
    """The items of a study, with networks and donors that are loaded once."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings: PdCRStudySettings = checked(PdCRStudySettings, settings, "job.settings")
        self.study = self.settings.study()
        self.networks: dict[str, tuple[torch.nn.Module, Evaluator]] = {}
        for network in self.study.networks:
            loaded = load_network(self.study, network, self.settings.channels, Path())
            if self.study.device is not None:
                loaded.to(self.study.device)  # it stays there
            evaluator = Evaluator(
                loaded, seed=measuring_seed(self.study), device=self.study.device, batch_size=self.study.batch_size
            )
            self.networks[network.name] = (loaded, evaluator)
        self.bank, self.whole = self._donors()

    def read(self, item: Item, scratch: Path) -> Subject:
        path, labels = picture_of(item, scratch)
        if labels is None:
            raise ValueError("the item has no label: a study compares answers with it, or finds its RoIs by it.")
        data, given = self.study.data, {"index": item.number, "image": str(path), "label": str(labels)}
        image, label = read_pair(given, data.image_size, window=data.window)
        asked = None if data.classes == 1 else target_class(label)
        if asked is not None and asked > data.classes:
            raise ValueError(f"the most frequent class is {asked}, but classes is {data.classes}.")
        inside = label > 0 if asked is None else label == asked
        values = plain(image)[None]
        return Subject(item.name, item.number, image_digest(values[0]), values, label, asked, inside)

    def run(self, samples: Sequence[Subject], folders: Sequence[Path]) -> Sequence[Record]:
        return [self._studied(subject) for subject in samples]

    def _studied(self, subject: Subject) -> Record:
        measures: Rows = []
        regions: Rows = []
        fill = DonorPatchFill(self.bank.without(image=subject.image).patches)
        for name, (network, evaluator) in self.networks.items():
            output = evaluator.answer(subject.image)
            index = 0 if output.shape[1] == 1 else subject.class_idx or 0
            answer = hard_answer(output, index, "auto", self.study.threshold)[0].cpu()
            dice = overlap(answer, subject.inside)
            measures.append({"model": name, "method": "answer", "name": "right", "value": dice, "unit": "Dice"})
            for rule in self.study.rois:
                for roi, place in find_rois(subject, rule, self.study.patch_size):
                    question = Question(self.study, network, evaluator, subject, place, fill, self.whole)
                    for method in self.study.methods:
                        record, heat = ask(question, method)
                        common = {"model": name, "method": method.label, "question": roi}
                        measures += [{**common, **row} for row in _measures(record)]
                        assert heat is not None  # components have none, and are refused
                        regions += _regions(common, question, record, heat)
        facts = {"shape": list(subject.inside.shape), "class": subject.class_idx, "digest": subject.digest}
        return Record(facts, measures, regions)

    def _donors(self) -> tuple[DonorBank, tuple[Tensor, ...]]:
        folder, known = Path(self.settings.donors), (*PICTURES, *VOLUMES)
        if not folder.is_dir():
            raise ValueError("donors: there is no such folder.")
        paths = sorted(path for path in folder.iterdir() if path.name.lower().endswith(known) and path.name[0] != ".")
        if not paths:
            raise ValueError(f"donors: the folder holds no image; what can be read: {', '.join(known)}.")
        data, donors = self.study.data, self.study.donors
        images = [
            plain(read_image(path, data.image_size, window=data.window, name=f"donor image {number}"))
            for number, path in enumerate(paths)
        ]
        bank = DonorBank.cut(
            enumerate(images),
            self.study.patch_size,
            per_image=donors.per_image,
            seed=donors.seed,
            grid=donors.grid,
            limit=donors.limit,
            source=f"a folder of {len(paths)} images",
        )
        return bank, tuple(images[: donors.whole])


def _measures(record: Mapping[str, Any]) -> Rows:
    units = {
        "baseline": record.get("unit", ""),
        "attribution": "Dice points",
        "area": "Dice points",
        "relevant": "regions",
        "evaluations": "interventions",
    }
    return [
        {"name": name, "value": float(record[name]), "unit": unit}
        for name, unit in units.items()
        if record.get(name) is not None
    ]


def _regions(common: Mapping[str, Any], question: Question, record: Mapping[str, Any], heat: Tensor) -> Rows:
    """PdCR's own effects; of a map the mean in every region. Maps of evidence are high where they support."""
    regions = question.regions
    centre = centre_of(question.roi, question.subject.inside.shape)
    if "effects" in record:
        chosen = dict(zip(record["ids"], record["effects"], strict=True))
        kept = regions.subset([row for row, region in enumerate(regions) if region.id in chosen])
        return effect_rows(
            {**common, "unit": record["unit"]}, kept, [chosen[region.id] for region in kept], centre
        )  # fmt: skip
    means = [-float(region.within(heat.double()).mean()) for region in regions]
    return effect_rows({**common, "unit": "evidence"}, regions, means, centre)
