# SPDX-License-Identifier: Apache-2.0
"""What a study is: a YAML or JSON file, read into checked dataclasses; every error names the key, its value and what
would do."""

from __future__ import annotations

import inspect
import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from monai_causal.apps.study.configuration import (
    StatisticsConfig,
    configured,
    listed,
    need,
    need_distinct,
    need_name,
    read_content,
)
from monai_causal.data.datasets import DATASETS
from monai_causal.visualize.kernel_shap import KernelShap
from monai_causal.visualize.misure import MiSuRe
from monai_causal.visualize.pdcr import PdCR
from monai_causal.visualize.rise import RISE
from monai_causal.visualize.seg_grad_cam import SegGradCAM

__all__ = [
    "METHODS",
    "DataConfig",
    "DonorsConfig",
    "FillsConfig",
    "MethodConfig",
    "MetricsConfig",
    "NetworkConfig",
    "PartsConfig",
    "RoIConfig",
    "StudyConfig",
    "TracingConfig",
    "TrainConfig",
    "VerificationConfig",
    "as_config",
    "read_config",
]

SCHEMA = "monai_causal/pdcr-study-config/1"
METHODS: dict[str, Any] = {
    "pdcr": PdCR,
    "seg-grad-cam": SegGradCAM,
    "misure": MiSuRe,
    "rise": RISE,
    "kernel-shap": KernelShap,
}
FILLS = ("zero", "blur", "noise", "donor", "inpaint")
# Arguments that the study itself sets, for all methods alike.
_SET_BY_THE_STUDY = {"self", "network", "fill", "options", "seed", "class_idx", "activation", "threshold", "score"}


def _several(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


@dataclass(frozen=True)
class PartsConfig:
    """How many images are explained, and how many give donors; no patient is in two parts."""

    explain: int
    donors: int
    train: int = 0
    """What `pdcr-study train` takes, or kept apart for whoever trained the checkpoints."""

    def __post_init__(self) -> None:
        for name in ("explain", "donors", "train"):
            need(getattr(self, name) >= 0, name, getattr(self, name), "give 0 or more")


@dataclass(frozen=True)
class DataConfig:
    """Which images; ``name``, ``root``, ``split`` and ``options`` are those of ``load_dataset``."""

    name: str
    parts: PartsConfig
    root: str | None = None
    split: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    image_size: int | tuple[int, ...] | None = None
    window: tuple[float, float] | None = None
    classes: int = 1
    """Of objects. 1: foreground (label above 0) against background, a network of one channel. More: one channel for the
    background and one per class; what is asked about is the class that the label holds most of."""
    reference: Literal["label", "answer"] = "label"
    """What the Dice compares with: the label, as published, or the network's own first answer."""

    def __post_init__(self) -> None:
        need(self.name in DATASETS, "name", self.name, f"choose one of {', '.join(DATASETS)}")
        need(self.classes >= 1, "classes", self.classes, "give the number of object classes, from 1")


@dataclass(frozen=True)
class TrainConfig:
    """Training on phantoms, on the spot."""

    steps: int
    seed: int = 0
    batch: int = 12
    rate: float = 3e-3

    def __post_init__(self) -> None:
        need(self.steps >= 1, "steps", self.steps, "train for at least one step")
        need(self.batch >= 2, "batch", self.batch, "batch norm needs at least two images")
        need(self.rate > 0, "rate", self.rate, "give a learning rate above 0")


@dataclass(frozen=True)
class NetworkConfig:
    """A network of ``build_network`` with weights from a checkpoint, or trained on the spot."""

    build: str
    name: str = ""
    """What tables call it; by default its ``build``."""
    options: dict[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    train: TrainConfig | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.build)
        need_name(self.name, also=" ")
        need(
            (self.checkpoint is None) != (self.train is None), "checkpoint", self.checkpoint,
            "give either a checkpoint or train",
        )  # fmt: skip


@dataclass(frozen=True)
class RoIConfig:
    """How regions of interest are found in a label: ``boundary`` and ``component`` give one per image, ``tiles`` every
    ``every``-th tile with foreground, at most ``limit``."""

    rule: Literal["boundary", "component", "tiles"] = "boundary"
    size: int | tuple[int, ...] = 32
    every: int = 1
    limit: int | None = None

    def __post_init__(self) -> None:
        need(self.every >= 1, "every", self.every, "take every k-th tile, k from 1")
        need(self.limit is None or self.limit >= 1, "limit", self.limit, "give at least 1, or null for all")
        need(min(_several(self.size)) >= 1, "size", self.size, "give an edge in voxels, from 1")

    @property
    def name(self) -> str:
        return self.rule if self.rule == "component" else f"{self.rule}-{'x'.join(map(str, _several(self.size)))}"


@dataclass(frozen=True)
class DonorsConfig:
    """Which patches the bank holds."""

    per_image: int = 100
    patch_size: int | tuple[int, ...] | None = None
    """By default that of the study; the largest one, where methods differ in theirs."""
    limit: int | None = None
    grid: bool = True
    """On the grid of patches, as in the PdCR study; otherwise anywhere."""
    whole: int = 40
    """How many of the images are kept whole: what real patches look like, and what components are replaced by. Memory
    holds what every block makes of each of them."""
    seed: int = 0

    def __post_init__(self) -> None:
        need(self.per_image >= 1, "per_image", self.per_image, "cut at least one donor of each image")
        need(self.limit is None or self.limit >= 1, "limit", self.limit, "give at least 1, or null for all")
        need(self.whole >= 1, "whole", self.whole, "keep at least one; fills need two")


@dataclass(frozen=True)
class MethodConfig:
    """A method by its name, with its own options."""

    name: str
    label: str = ""
    """What tables call it; by default its ``name``."""
    options: dict[str, Any] = field(default_factory=dict)
    regions: Literal["grid", "components"] = "grid"
    """PdCR alone: patches of the image, or components of the network (blocks)."""
    modules: tuple[str, ...] = ()
    """Which components, by their dotted names; by default the network's outermost blocks."""

    def __post_init__(self) -> None:
        need(self.name in METHODS, "name", self.name, f"choose one of {', '.join(METHODS)}")
        object.__setattr__(self, "label", self.label or self.name)
        need_name(self.label, "label", also=" ")
        known = set(inspect.signature(METHODS[self.name]).parameters) - _SET_BY_THE_STUDY
        for option in self.options:
            need(option in known, f"options.{option}", self.options[option], f"{self.name} takes {listed(known)}")
        components = self.regions == "components"
        need(
            self.name == "pdcr" or not components, "regions", self.regions, "only pdcr intervenes on components"
        )  # fmt: skip
        need(components or not self.modules, "modules", self.modules, "say regions: components, or leave modules out")


@dataclass(frozen=True)
class MetricsConfig:
    """Table 2 and Fig. 5; see :mod:`monai_causal.metrics.attribution` for the rules."""

    top: int = 10
    draws: int = 50
    attribution: Literal["absolute", "signed", "joint", "normalised"] = "absolute"
    curve: Literal["together", "signed", "accumulated"] = "together"

    def __post_init__(self) -> None:
        need(self.top >= 1, "top", self.top, "rank at least one region")
        need(self.draws >= 1, "draws", self.draws, "draw at least once")


@dataclass(frozen=True)
class FillsConfig:
    """Section 3.3: fills against the three principles."""

    fills: tuple[str, ...] = FILLS
    draws: int = 8
    blur_sigma: float = 4.0
    noise_sd: float = 0.1
    unchanged_below: float = 0.1
    real_patches: int = 2000

    def __post_init__(self) -> None:
        for one in self.fills:
            need(one in FILLS, "fills", one, f"choose among {', '.join(FILLS)}")
        need(len(set(self.fills)) == len(self.fills) >= 1, "fills", self.fills, "name each fill once")
        need(self.draws >= 2, "draws", self.draws, "spread over draws needs at least two")
        need(self.blur_sigma > 0, "blur_sigma", self.blur_sigma, "give a width above 0, in voxels")
        need(self.noise_sd > 0, "noise_sd", self.noise_sd, "give a standard deviation above 0")
        need(self.unchanged_below > 0, "unchanged_below", self.unchanged_below, "give a share of the image's spread")
        need(self.real_patches >= 20, "real_patches", self.real_patches, "give at least 20")


@dataclass(frozen=True)
class VerificationConfig:
    """Do the regions that a map names matter jointly?"""

    method: str
    """The label of a pdcr method; its relevant regions are perturbed together."""
    sets: int = 19
    """How many random sets of as many unnamed regions."""
    draws: int = 10

    def __post_init__(self) -> None:
        need(self.sets >= 1, "sets", self.sets, "draw at least one random set; 19 make a p-value of 0.05 possible")
        need(self.draws >= 1, "draws", self.draws, "draw at least once")


@dataclass(frozen=True)
class TracingConfig:
    """Where a missegmented box comes from, by its own score."""

    errors: tuple[str, ...] = ("false-positive", "false-negative")
    size: int | tuple[int, ...] = 32
    least: float = 0.1
    """Share of the box that must be wrong; below it there is nothing to trace."""
    options: dict[str, Any] = field(default_factory=lambda: {"rule": "paper", "tau": 0.0002})
    """Of PdCR; tau is in shares of the box, not in Dice points."""
    top: int = 5
    sets: int = 19
    draws: int = 10

    def __post_init__(self) -> None:
        for one in self.errors:
            known = ("false-positive", "false-negative")
            need(one in known, "errors", one, f"choose among {', '.join(known)}")
        need(0 < self.least <= 1, "least", self.least, "give a share of the box above 0 and up to 1")
        need(self.top >= 1, "top", self.top, "take at least one region")
        need(self.sets >= 1 and self.draws >= 1, "draws", self.draws, "give draws and sets of at least 1")
        known_options = set(inspect.signature(PdCR).parameters) - _SET_BY_THE_STUDY
        for option in self.options:
            need(option in known_options, f"options.{option}", self.options[option], f"take {listed(known_options)}")


@dataclass(frozen=True)
class StudyConfig:
    """Networks x images x RoIs x methods."""

    data: DataConfig
    networks: tuple[NetworkConfig, ...]
    rois: tuple[RoIConfig, ...] = (RoIConfig(),)
    methods: tuple[MethodConfig, ...] = ()
    title: str = "PdCR study"
    seed: int = 0
    patch_size: int | tuple[int, ...] = 8
    threshold: float = 0.5
    donors: DonorsConfig = DonorsConfig()
    metrics: MetricsConfig | None = MetricsConfig()
    """null: no attribution scores and no curves."""
    fills: FillsConfig | None = None
    verification: VerificationConfig | None = None
    tracing: TracingConfig | None = None
    statistics: StatisticsConfig = field(default_factory=StatisticsConfig)
    examples: int = 1
    """Of how many images the maps are kept and drawn."""
    device: str | None = None
    batch_size: int | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        parts = self.data.parts
        need(parts.explain >= 1, "data.parts.explain", parts.explain, "explain at least one image")
        need(parts.donors >= 1, "data.parts.donors", parts.donors, "cut donors from at least one image")
        need(bool(self.networks), "networks", (), "name at least one network")
        for key, names in (
            ("networks", [one.name for one in self.networks]),
            ("methods", [one.label for one in self.methods]),
            ("rois", [one.name for one in self.rois]),
        ):
            need_distinct(key, names)
        work = bool(self.methods or self.fills or self.tracing)
        need(work, "methods", (), "name at least one method, or a section fills or tracing")
        need(bool(self.rois), "rois", (), "give at least one rule")
        need(0 < self.threshold < 1, "threshold", self.threshold, "give a probability between 0 and 1")
        need(min(_several(self.patch_size)) >= 1, "patch_size", self.patch_size, "give an edge in voxels, from 1")
        need(self.examples >= 0, "examples", self.examples, "give 0 or more")
        trained = [one.name for one in self.networks if one.train is not None]
        need(
            self.data.name == "phantom" or not trained, "networks", trained,
            "training on the spot is for data.name: phantom; give a checkpoint",
        )  # fmt: skip
        if self.verification is not None:
            maps = [one.label for one in self.methods if one.name == "pdcr" and one.regions == "grid"]
            chosen = self.verification.method
            need(chosen in maps, "verification.method", chosen, f"choose a pdcr method: {listed(maps)}")

    def record(self) -> dict[str, Any]:
        """The configuration for a file: without the paths of this machine, which decide nothing that content and
        weights, known by their digests, do not."""
        content = json.loads(json.dumps(asdict(self)))
        content["data"].pop("root")
        content["data"]["options"].pop("base_dir", None)
        for network in content["networks"]:
            network["checkpoint"] = None if network["checkpoint"] is None else "given"
        for how in ("device", "batch_size"):
            content.pop(how)
        return {"schema": SCHEMA, **content}


def read_config(path: str | os.PathLike[str]) -> StudyConfig:
    """The study that a YAML or JSON file describes."""
    return as_config(read_content(path))


def as_config(content: Any) -> StudyConfig:
    """The study that a dictionary describes.

    Example:
        >>> study = as_config({
        ...     "data": {"name": "phantom", "parts": {"explain": 2, "donors": 3}},
        ...     "networks": [{"build": "unet", "train": {"steps": 10}}],
        ...     "methods": [{"name": "pdcr", "options": {"rule": "paper"}}],
        ... })
        >>> study.methods[0].label, study.rois[0].name
        ('pdcr', 'boundary-32')
    """
    return configured(StudyConfig, content, SCHEMA)
