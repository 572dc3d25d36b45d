# SPDX-License-Identifier: Apache-2.0
"""``segbench`` for every item: what are the maps of several methods and networks worth?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from monai_causal.apps.segbench.config import BenchConfig, as_config
from monai_causal.apps.segbench.evidence import Evidence
from monai_causal.apps.segbench.measure import Measure
from monai_causal.apps.segbench.networks import load_model
from monai_causal.apps.segbench.samples import Sample, read_sample
from monai_causal.apps.study.configuration import checked, need
from monai_causal.cohort.items import Item
from monai_causal.cohort.jobs.base import Job, Record
from monai_causal.cohort.jobs.images import picture_of
from monai_causal.cohort.jobs.rows import Rows, heat_rows
from monai_causal.files import draft_of

__all__ = ["SegBench", "SegBenchSettings"]


@dataclass(frozen=True)
class SegBenchSettings:
    """As a segbench configuration has it, for one data set: the items."""

    networks: tuple[dict[str, Any], ...]
    """Trained ones: a checkpoint, a bundle, ``download`` or ``untrained``."""
    methods: tuple[dict[str, Any], ...] = tuple({"name": name} for name in ("gpa", "ega", "ria", "dea"))
    channels: int = 1
    """Of the images as networks get them."""
    size: int | tuple[int, ...] | None = 224
    window: tuple[float, ...] | None = None
    normalise: Literal["none", "imagenet"] = "none"
    classes: int = 1
    metrics: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    grid: int = 14
    """Cells per axis of the rows in the table of regions."""
    batch_size: int | Literal["auto"] = 28
    execution: Literal["auto", "dense", "windows", "incremental"] = "auto"
    device: str | None = None
    maps: bool = False
    """Keep the map of every item and method."""

    def __post_init__(self) -> None:
        need(self.grid >= 1, "grid", self.grid, "give at least 1")
        need(self.channels >= 1, "channels", self.channels, "give at least 1")

    def bench(self) -> BenchConfig:
        """The same as a benchmark, checked."""
        data = {"name": "cohort", "source": "decathlon", "size": self.size, "window": self.window}
        return as_config(
            {
                "data": [{**data, "normalise": self.normalise, "classes": self.classes}],
                "networks": list(self.networks),
                "methods": list(self.methods),
                "metrics": self.metrics,
                "seeds": [self.seed],
                "batch_size": self.batch_size,
                "execution": self.execution,
                "device": self.device,
            }
        )


class SegBench(Job):
    """Deletion faithfulness, stability and the other measures of segbench."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings: SegBenchSettings = checked(SegBenchSettings, settings, "job.settings")
        bench = self.settings.bench()
        (self.data,), self.methods = bench.data, bench.methods
        engine: dict[str, Any] = {
            "batch_size": bench.batch_size,
            "execution": bench.execution,
            "device": bench.device,
        }
        self.measures: dict[str, Measure] = {}
        for network in bench.networks:
            model = load_model(network, self.data, self.settings.seed, self.settings.channels, (), Path())
            if bench.device is not None:
                model.network.to(bench.device)  # it stays there
            evidence = Evidence(model, self.settings.seed, **engine)
            self.measures[network.name] = Measure(evidence, bench.metrics, self.settings.seed)

    def read(self, item: Item, scratch: Path) -> Sample:
        image, label = picture_of(item, scratch)
        if label is None:
            raise ValueError("the item has no label: there is no target whose map could be judged.")
        return read_sample(self.data, {"index": item.number, "image": str(image), "label": str(label)})

    def run(self, samples: Sequence[Sample], folders: Sequence[Path]) -> Sequence[Record]:
        return [self._judged(sample, folder) for sample, folder in zip(samples, folders, strict=True)]

    def _judged(self, sample: Sample, folder: Path) -> Record:
        measures: Rows = []
        regions: Rows = []
        shape = tuple(sample.mask.shape)
        cell = [max(1, -(-length // self.settings.grid)) for length in shape]
        for name, measure in self.measures.items():
            measure.evidence.forget()
            dice = measure.dice(sample)
            measures.append({"model": name, "method": "answer", "name": "right", "value": dice, "unit": "Dice"})
            for method in self.methods:
                content, heat, _ = measure(method, sample)
                common = {"model": name, "method": method.label}
                measures += [
                    {**common, "name": key, "value": value}
                    for key, value in content["values"].items()
                    if value is not None
                ]
                regions += heat_rows({**common, "unit": "evidence"}, heat[0, 0].cpu(), sample.mask, cell)
                if self.settings.maps:
                    with draft_of(folder / f"{name}-{method.label}.npz") as draft, draft.open("wb") as file:
                        np.savez_compressed(file, allow_pickle=False, heat=heat[0, 0].cpu().numpy())
        target = {"class": sample.class_idx, "pixels": int(sample.mask.sum()), "shape": list(shape)}
        return Record(target, measures, regions)
