# SPDX-License-Identifier: Apache-2.0
"""What PdCR found: effects with their uncertainty, the decision on each region, and a way to disk and back."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from scipy import stats
from torch import Tensor

from monai_causal.files import draft_of, write_json
from monai_causal.intervene import Effects, Region, Regions, RunRecord
from monai_causal.intervene.modules import Component, ModuleRegions
from monai_causal.intervene.regions import Box, coverage, plain
from monai_causal.visualize.profile import BINS, Profile, profile
from monai_causal.visualize.sampling import Rule, Verdict

__all__ = ["PdCRResult"]

SCHEMA = "monai_causal/pdcr/1"


@dataclass(frozen=True, eq=False)
class PdCRResult:
    """Effects of ``R`` regions on one RoI. All of them are after - before: negative supports the RoI's answer.

    Attributes:
        baseline: the score before, in ``unit``.
        unit: of the score, Dice points unless another score was asked for.
        regions: what was intervened on; row ``i`` of all below is ``regions[i]``.
        roi: bool ``(*spatial)``.
        ites: ``(R, D)``: every effect that was measured; not a number where a draw was not needed.
        ate: ``(R,)``: average treatment effects, as the rule defines them.
        standard_error: ``(R,)``.
        relevant: bool ``(R,)``: the rule's decision.
        settled: bool ``(R,)``: whether the rule came to an end with the region before its draws did.
        p_values: ``(R,)``: of the sequential rule, else not a number.
        rule: its name and settings.
        record: which execution ran and why, and how many forwards in all.
        affine: ``(4, 4)``, of the image; ``None`` where it had none.
    """

    baseline: float
    unit: str
    regions: Regions | ModuleRegions
    roi: Tensor
    ites: Tensor
    ate: Tensor
    standard_error: Tensor
    relevant: Tensor
    settled: Tensor
    p_values: Tensor
    rule: dict[str, Any]
    record: RunRecord
    affine: Tensor | None = None

    @classmethod
    def of(
        cls, verdict: Verdict, runs: Sequence[Effects], regions: Regions | ModuleRegions, roi: Box | Tensor, rule: Rule
    ) -> PdCRResult:
        """Put together what a rule found and the runs that it took."""
        first = runs[0]
        image = first.image
        affine = None
        if isinstance(image, MetaTensor):
            own = image.affine[0] if image.affine.ndim == 3 else image.affine
            affine = torch.as_tensor(np.asarray(to_affine_nd(3, own.double().cpu())))
        return cls(
            float(first.baseline),
            first.unit,
            regions,
            coverage(roi, image.shape[2:]),
            torch.tensor(verdict.ites),
            torch.tensor(verdict.ate),
            torch.tensor(verdict.standard_error),
            torch.tensor(verdict.relevant),
            torch.tensor(verdict.settled),
            torch.tensor(verdict.p_values),
            rule.parameters(),
            _joined([run.record for run in runs]),
            affine,
        )

    @property
    def map(self) -> Tensor:
        """The PdCR map ``(1, 1, *spatial)``: the effect of every relevant region, 0 elsewhere."""
        return self.to_map(torch.where(self.relevant, self.ate, 0.0))

    @property
    def draws(self) -> Tensor:
        """How often each region was asked about ``(R,)``."""
        return (~self.ites.isnan()).sum(1)

    @property
    def evaluations(self) -> int:
        """Interventions spent, the provably idle ones included."""
        return int(self.draws.sum())

    def evaluations_of_paper(self, n_screen: int = 3, n_samples: int = 50, tau: float = 0.02) -> int:
        """What the published rule would have spent here: the screening, and ``n_samples`` for each region that one of
        its first draws shows to pass it. Needs at least ``n_screen`` draws of each region."""
        screened = self.ites[:, :n_screen]
        if screened.shape[1] < n_screen or screened.isnan().any():
            raise ValueError(f"n_screen={n_screen}: some region was drawn fewer times ({int(self.draws.min())}).")
        return len(screened) * n_screen + int((screened.abs() >= tau).any(1).sum()) * n_samples

    def interval(self, level: float = 0.95) -> Tensor:
        """Student's interval ``(R, 2)`` around the mean of a region's draws; a point where the rule left nothing to
        chance."""
        if not 0 < level < 1:
            raise ValueError(f"level={level}: a confidence level lies between 0 and 1, such as 0.95.")
        freedom = np.maximum(self.draws.numpy() - 1, 1)
        half = torch.from_numpy(stats.t.ppf((1 + level) / 2, freedom)) * self.standard_error
        return torch.stack([self.ate - half, self.ate + half], dim=-1)

    def profile(self, bins: Sequence[float] = BINS) -> Profile:
        """Shares, extremes and histogram of the map's regions (Table 3, Fig. 8), the RoI's own cells left out."""
        return profile(torch.where(self.relevant, self.ate, 0.0), bins)

    def to_map(self, values: Tensor) -> Tensor:
        """One value per region ``(R,)`` painted over its region: ``(1, 1, *spatial)``, with the image's affine."""
        if isinstance(self.regions, ModuleRegions):
            raise ValueError("components of a network have no place in the image: read .ate beside .regions.names.")
        painted = self.regions.to_map(values)[None, None]
        return painted if self.affine is None else MetaTensor(painted, affine=self.affine)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write everything: ``result.json``, ``effects.csv`` (one line per region), ``ites.csv`` (one per draw), and
        as NIfTI that lies on the image ``map``, ``ate``, ``standard_error``, ``roi`` and, where they are no boxes,
        ``regions``."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        _write_csv(folder / "effects.csv", self._table())
        drawn = ((row, draw, self.ites[row, draw].item()) for row, draw in (~self.ites.isnan()).nonzero().tolist())
        _write_csv(folder / "ites.csv", [("region", "draw", "effect"), *drawn])
        self._save_volume(folder / "roi.nii.gz", self.roi.to(torch.uint8))
        if isinstance(self.regions, Regions):
            for name, values in (("map", self.map), ("ate", self.to_map(self.ate))):
                self._save_volume(folder / f"{name}.nii.gz", plain(values)[0, 0].float())
            errors = plain(self.to_map(self.standard_error.nan_to_num(0.0)))[0, 0]
            self._save_volume(folder / "standard_error.nii.gz", errors.float())
            if any(region.mask is not None for region in self.regions):
                self._save_volume(folder / "regions.nii.gz", self._layers())
        write_json(folder / "result.json", self._summary())
        return folder

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> PdCRResult:
        """Read what :meth:`save` wrote; every number is the one that was saved."""
        folder = Path(folder)
        content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        if content.get("schema") != SCHEMA:
            raise ValueError(f"result.json has schema {content.get('schema')!r}: {SCHEMA!r} is what can be read here.")
        with (folder / "effects.csv").open(newline="", encoding="utf-8") as lines:
            table = list(csv.DictReader(lines))
        ites = torch.full((len(table), content["draws"]), torch.nan, dtype=torch.float64)
        with (folder / "ites.csv").open(newline="", encoding="utf-8") as lines:
            for line in csv.DictReader(lines):
                ites[int(line["region"]), int(line["draw"])] = float(line["effect"])

        def column(name: str) -> Tensor:
            return torch.tensor([float(line[name]) for line in table], dtype=torch.float64)

        affine = content["affine"]
        return cls(
            content["baseline"],
            content["unit"],
            _regions_from(content, table, folder),
            torch.from_numpy(_volume(folder / "roi.nii.gz", content["spatial_shape"]) > 0),
            ites,
            column("ate"),
            column("standard_error"),
            column("relevant").bool(),
            column("settled").bool(),
            column("p_value"),
            {name: tuple(value) if isinstance(value, list) else value for name, value in content["rule"].items()},
            RunRecord(**content["record"]),
            None if affine is None else torch.tensor(affine, dtype=torch.float64),
        )

    def _summary(self) -> dict[str, Any]:
        boxes = isinstance(self.regions, Regions)
        return {
            "schema": SCHEMA,
            "baseline": self.baseline,
            "unit": self.unit,
            "sign": "after - before: negative supports the RoI's answer, positive suppresses it",
            "regions": "image" if boxes else "components",
            "spatial_shape": list(self.roi.shape),
            "draws": self.ites.shape[1],
            "evaluations": self.evaluations,
            "rule": self.rule,
            "relevant": int(self.relevant.sum()),
            "not_settled": int((~self.settled).sum()),
            "profile": self.profile().as_dict(),
            "record": asdict(self.record),
            "affine": None if self.affine is None else self.affine.tolist(),
            "caveat": "This explains a model. It is no statement about a patient.",
        }

    def _table(self) -> list[tuple[Any, ...]]:
        low, high = self.interval().unbind(-1)
        columns = (self.ate, self.standard_error, low, high, self.p_values, self.draws, self.relevant, self.settled)
        rows = zip(self.regions, self.regions.names, *(column.tolist() for column in columns), strict=True)
        head = ("id", "name", "box", "ate", "standard_error", "low", "high", "p_value", "draws", "relevant", "settled")
        return [
            head,
            *(
                (region.id, name, _box_text(region), *numbers[:-2], *map(int, numbers[-2:]))
                for region, name, *numbers in rows
            ),
        ]

    def _layers(self) -> Tensor:
        """Which region each voxel belongs to, from 1; regions that overlap lie in layers, along a last axis."""
        assert isinstance(self.regions, Regions)
        layers: list[Tensor] = []
        for number, region in enumerate(self.regions, start=1):
            covered = coverage(region, self.regions.spatial_shape)
            layer = next((layer for layer in layers if not layer[covered].any()), None)
            if layer is None:
                layer = torch.zeros(self.regions.spatial_shape, dtype=torch.int32)
                layers.append(layer)
            layer[covered] = number
        return torch.stack(layers, -1) if len(layers) > 1 else layers[0]

    def _save_volume(self, path: Path, values: Tensor) -> None:
        axes = self.roi.ndim
        array = values.cpu().numpy()
        # A picture is a volume of one slice; layers stay the fourth axis.
        array = array.reshape(*array.shape[:axes], *(1,) * (3 - axes), *array.shape[axes:])
        with draft_of(path) as draft:
            nib.save(nib.Nifti1Image(array, np.eye(4) if self.affine is None else self.affine.numpy()), draft)


def _joined(records: Sequence[RunRecord]) -> RunRecord:
    """One record of several runs: the last one's choices, everybody's work."""
    last = records[-1]
    return RunRecord(
        last.execution,
        last.reason,
        last.batch_size,
        sum(record.forwards for record in records),
        sum(record.untouched for record in records),
        sum(record.recomputed for record in records),
        [note for record in records for note in record.notes],
    )


def _box_text(region: Region | Component) -> str:
    return " ".join(f"{start}:{stop}" for start, stop in region.box) if isinstance(region, Region) else ""


def _regions_from(content: dict[str, Any], table: Sequence[dict[str, str]], folder: Path) -> Regions | ModuleRegions:
    if content["regions"] == "components":
        return ModuleRegions(tuple(_component(int(line["id"]), line["name"]) for line in table))
    shape = tuple(content["spatial_shape"])
    file = folder / "regions.nii.gz"
    layers = _volume(file, shape) if file.exists() else None
    items = []
    for number, line in enumerate(table, start=1):
        box = tuple((int(a), int(b)) for a, b in (axis.split(":") for axis in line["box"].split()))
        name = "" if line["name"] == line["id"] else line["name"]
        mask = None
        if layers is not None:
            inside = layers[tuple(slice(*span) for span in box)] == number
            inside = inside if inside.ndim == len(shape) else inside.any(-1)
            mask = None if inside.all() else torch.from_numpy(inside)
        items.append(Region(int(line["id"]), box, mask, name=name))
    return Regions(shape, tuple(items))


def _component(id: int, name: str) -> Component:
    module, bracket, channel = name.partition("[")
    return Component(id, module, int(channel.rstrip("]")) if bracket else None)


def _volume(path: Path, spatial_shape: Sequence[int]) -> np.ndarray:
    array = np.asarray(nib.load(path).dataobj)  # type: ignore[attr-defined]
    return array.reshape(*spatial_shape, *array.shape[3:])


def _write_csv(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    with draft_of(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[repr(cell) if isinstance(cell, float) else cell for cell in row] for row in rows])
