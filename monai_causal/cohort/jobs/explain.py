# SPDX-License-Identifier: Apache-2.0
"""``explain`` for every item: which parts of the image made the segmentation?"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from monai_causal.apps.explain.bundles import Bundle, open_bundle
from monai_causal.apps.explain.models import DEMO, Model, named_model
from monai_causal.apps.explain.opened import Opened, edges
from monai_causal.apps.explain.request import Request
from monai_causal.apps.explain.run import Explanation, ask
from monai_causal.apps.explain.scenes import Scene, bundle_scene, own_scene
from monai_causal.apps.study.configuration import checked, need, need_distinct
from monai_causal.cohort.items import Item
from monai_causal.cohort.jobs.base import Job, Record
from monai_causal.cohort.jobs.images import picture_of
from monai_causal.cohort.jobs.rows import Rows, heat_rows, overlap, pdcr_rows
from monai_causal.data.banks import DonorBank, phantom_bank
from monai_causal.data.readers import PICTURES, VOLUMES
from monai_causal.intervene import DonorPatchFill, Evaluator, Fill
from monai_causal.intervene.regions import plain

__all__ = ["Explain", "ExplainSettings"]

_OWN = ("methods", "channels", "axes", "files", "name", "in_label", "checkpoint", "bundle", "bank", "donors")


@dataclass(frozen=True)
class ExplainSettings:
    """What is asked about every image; as ``monai-causal explain`` takes it, but for what follows."""

    network: str | None = None
    checkpoint: str | None = None
    bundle: str | None = None
    name: str = ""
    """What tables call the model; by default the network's or the bundle's name."""
    channels: int = 1
    """Of the images, for a named network: it is built before the first image comes."""
    axes: int = 2
    """Of the images, for a named network."""
    out_channels: int = 1
    intensities: tuple[float, float] | None = None
    window: tuple[int, ...] | None = None
    overlap: float = 0.25
    methods: tuple[str, ...] = ("pdcr",)
    roi: str | None = None
    roi_size: tuple[int, ...] | None = None
    in_label: bool = True
    """An answer is compared with the item's label where it has one; false: with the network's own first answer."""
    class_idx: int | None = None
    bank: str | None = None
    donors: str | None = None
    patch_size: tuple[int, ...] | None = None
    grid: tuple[int, ...] | None = None
    rule: str = "sequential"
    n_samples: int = 50
    tau: float = 0.02
    target_layer: str | None = None
    batch_size: int | Literal["auto"] = "auto"
    execution: str = "auto"
    device: str | None = None
    seed: int = 0
    files: bool = True
    """Maps, pictures and summaries of every item; false: its rows in the tables alone."""

    def __post_init__(self) -> None:
        need(bool(self.methods), "methods", (), "name at least one")
        need_distinct("methods", self.methods)
        need(self.axes in (2, 3), "axes", self.axes, "give 2 or 3")
        need(self.channels >= 1, "channels", self.channels, "give at least 1")
        need(self.donors is None or self.bank is None, "donors", self.donors, "give a bank or a folder, not both")

    def requests(self) -> tuple[Request, ...]:
        """A request per method, for an image that is not known yet."""
        asked = {key: value for key, value in vars(self).items() if key not in _OWN}
        nowhere = Path()
        return tuple(
            Request(
                out=nowhere,
                image=nowhere,
                method=method,
                checkpoint=None if self.checkpoint is None else Path(self.checkpoint),
                bundle=None if self.bundle is None else Path(self.bundle),
                **asked,
            )
            for method in self.methods
        )


@dataclass(frozen=True, eq=False)
class _Sample:
    scene: Scene
    label: Tensor | None
    digests: dict[str, str] = field(default_factory=dict)


class Explain(Job):
    """Maps of segmentation networks by any of the methods of ``monai-causal explain``."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings: ExplainSettings = checked(ExplainSettings, settings, "job.settings")
        self.requests = self.settings.requests()
        self.device = self.requests[0].chosen_device()
        self.bundle: Bundle | None = None
        self.model = self._load()
        # It stays on its device; otherwise every call would carry it there and back.
        self.model.network.to(self.device)
        self.name = self.settings.name or str(self.model.record.get("name") or "bundle")
        self.evaluator = Evaluator(self.model.network, inferer=self.model.inferer, device=self.device)
        self.patch_size = edges(
            self.settings.patch_size, 8 if self.settings.axes == 2 else 16, self.settings.axes, "patch_size"
        )
        self.donors = self._donors() if "pdcr" in self.settings.methods else None

    def read(self, item: Item, scratch: Path) -> _Sample:
        image, label = picture_of(item, scratch)
        if self.bundle is not None:
            scene = bundle_scene(image, self.bundle)
        else:
            scene = own_scene(image, self.settings.intensities)
        channels = self.model.channels
        if channels is not None and channels != scene.image.shape[1]:
            raise ValueError(f"the network takes {channels} channels, this image has {scene.image.shape[1]}.")
        if len(scene.grid.shape) != self.settings.axes:
            raise ValueError(
                f"the image has {len(scene.grid.shape)} axes; job.settings.axes says {self.settings.axes}."
            )
        return _Sample(scene, None if label is None else scene.label(label))

    def together(self, sample: _Sample) -> Hashable | None:
        # A sliding window takes what it takes of one image; whole images of one shape are one batch.
        return tuple(sample.scene.image.shape) if self.model.inferer is None else None

    def run(self, samples: Sequence[_Sample], folders: Sequence[Path]) -> Sequence[Record]:
        images = torch.cat([plain(sample.scene.image) for sample in samples])
        outputs = self.evaluator.answer(images)
        if outputs.shape[2:] != images.shape[2:]:
            raise ValueError(
                f"the network answers {tuple(outputs.shape)} to {tuple(images.shape)}: one answer per voxel is needed."
            )
        return [
            self._explained(sample, outputs[place : place + 1], folder)
            for place, (sample, folder) in enumerate(zip(samples, folders, strict=True))
        ]

    def _explained(self, sample: _Sample, output: Tensor, folder: Path) -> Record:
        label = sample.label if self.settings.in_label else None
        opened = Opened(sample.scene, self.model, self.bundle, self.device, label, output, 0.0)
        replaced = self._replaced(sample.scene)
        measures: Rows = []
        regions: Rows = []
        facts: dict[str, Any] = {}
        for request in self.requests:
            found = ask(opened, request, replaced if request.method == "pdcr" else None)
            if self.settings.files:
                found.write(folder if len(self.requests) == 1 else folder / request.method)
            common = {"model": self.name, "method": request.method, "question": _question(found)}
            regions += self._regions(common, found)
            measures += [{**common, **measure} for measure in _measures(found, sample.label)]
            image = found.summary["image"]
            facts = {"shape": image["shape"], "channels": image["channels"], "class": found.summary["class"]}
        return Record({**facts, "model": self.model.record}, measures, regions, sample.scene.notes)

    def _regions(self, common: Mapping[str, Any], found: Explanation) -> Rows:
        if found.found.result is not None:
            return pdcr_rows(common, found.found.result)
        unit, signed = found.summary["unit"], found.summary["sign"].startswith("after")
        return heat_rows({**common, "unit": unit}, found.found.map, found.found.roi, self.patch_size, signed)

    def _replaced(self, scene: Scene) -> tuple[Fill, dict[str, Any]] | None:
        """What PdCR replaces regions by; None leaves it to the image itself."""
        if self.donors is None:
            return None
        self.donors.check(scene.image)
        mine = self.donors.without(image=plain(scene.image)[0])
        said = {"kind": f"patches of {len(mine.images)} other images", "donors": len(mine), "source": mine.source}
        return DonorPatchFill(mine.patches), said

    def _load(self) -> Model:
        given = self.settings
        if given.bundle is not None:
            self.bundle = open_bundle(Path(given.bundle), self.device)
            return self.bundle.model
        assert given.network is not None
        window = None if given.window is None else edges(given.window, 1, given.axes, "window")
        checkpoint = None if given.checkpoint is None else Path(given.checkpoint)
        return named_model(
            given.network, checkpoint, given.channels, given.out_channels, given.axes, window, given.overlap
        )

    def _donors(self) -> DonorBank | None:
        given = self.settings
        if given.bank is not None:
            return DonorBank.load(given.bank)
        if given.donors is not None:
            folder = Path(given.donors)
            if self.bundle is None:
                return DonorBank.from_folder(folder, self.patch_size, window=given.intensities, seed=given.seed)
            bundle, known = self.bundle, (*PICTURES, *VOLUMES)
            paths = sorted(path for path in folder.iterdir() if path.name.lower().endswith(known))
            items = ((number, bundle.read(path)[1]) for number, path in enumerate(paths))
            source = f"{len(paths)} files through a bundle's pre-processing"
            return DonorBank.cut(items, self.patch_size, seed=given.seed, source=source)
        return phantom_bank(given.seed, patch_size=self.patch_size) if given.network == DEMO else None


def _question(found: Explanation) -> str:
    """What the map is about, the same for all items: the class and how the RoI was found."""
    asked, class_idx = found.summary["roi"]["asked"], found.summary["class"]
    place = asked if isinstance(asked, str) else "box"
    return place if class_idx is None else f"{place} of class {class_idx}"


def _measures(found: Explanation, label: Tensor | None) -> Rows:
    said = found.summary["findings"]
    rows: Rows = [
        {"name": name, "value": float(said[name]), "unit": unit}
        for name, unit in (("baseline", "Dice points"), ("relevant", "regions"), ("evaluations", "interventions"))
        if name in said
    ]
    if label is not None:
        class_idx = found.summary["class"]
        truth = label > 0 if class_idx is None else label == class_idx
        rows.append({"name": "right", "value": overlap(found.answer, truth.cpu()), "unit": "Dice"})
    return rows
