# SPDX-License-Identifier: Apache-2.0
"""What a benchmark is: a YAML or JSON file, read into checked dataclasses. Nothing heavy is imported."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from monai_causal.apps.study.configuration import (
    ConfigError,
    StatisticsConfig,
    configured,
    need,
    need_distinct,
    need_name,
    read_content,
)

__all__ = [
    "METHODS",
    "TORCHVISION",
    "BenchConfig",
    "DataConfig",
    "MethodConfig",
    "MetricsConfig",
    "NetworkConfig",
    "TrainConfig",
    "as_config",
    "read_config",
]

SCHEMA = "monai_causal/segbench-config/1"
_RANGES: dict[str, tuple[float, float]] = {"alpha": (0, 1), "beta": (0, 1e9), "grid": (1, 1e9), "refine": (1, 1e9)}
PERTURBATIONS = ("noise", "brightness", "contrast", "blur", "flip")
METHODS: dict[str, tuple[str, ...]] = {
    "gpa": (),
    "ega": ("pool", "pool_mode"),
    "ria": ("grid", "refine"),
    "dea": ("grid", "alpha", "beta"),
    "random": (),
}
"""Methods and their options; ``random`` ranks pixels by chance, which is the floor of every metric."""
TORCHVISION: dict[str, str] = {
    "deeplabv3_resnet50": "backbone.layer4",
    "fcn_resnet50": "backbone.layer4",
    "lraspp_mobilenet_v3_large": "backbone.16",
}
"""The paper's networks, each with the layer that gradients are taken at: the end of its backbone. The paper says "the
selected feature layer" and not which."""
VOC_CLASSES = 20


@dataclass(frozen=True)
class DataConfig:
    """Images and labels: ``source``, ``root``, ``split`` and ``options`` are those of ``load_dataset``."""

    name: str
    """What tables call it."""
    source: str = ""
    """A name of ``load_dataset``; by default ``name``."""
    root: str | None = None
    """``$NAME`` stands for an environment variable."""
    split: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    count: int | None = None
    """How many images are explained under a seed, drawn by it; null: all."""
    train: int = 0
    """How many others networks are trained on; no patient is in both."""
    group: str = "patient"
    """What must stay together, and counts as one in statistics: ``patient``, ``centre``."""
    size: int | tuple[int, ...] | None = 224
    window: tuple[float, ...] | None = None
    """Intensities of a volume that become 0 and 1."""
    normalise: Literal["none", "imagenet"] = "none"
    """``imagenet``: three channels with torchvision's mean and standard deviation."""
    classes: int = 1
    """Of objects. 1: label above 0, a network of one channel. More: the target is the most frequent class of the label,
    and networks have a channel for the background too."""

    def __post_init__(self) -> None:
        need_name(self.name)
        object.__setattr__(self, "source", self.source or self.name)
        need(self.count is None or self.count >= 1, "count", self.count, "explain at least one image, or null for all")
        need(self.train >= 0, "train", self.train, "give 0 or more")
        need(self.train == 0 or self.count is not None, "count", self.count, "say how many are left to explain")
        need(self.classes >= 1, "classes", self.classes, "give the number of object classes, from 1")
        need(self.window is None or len(self.window) == 2, "window", self.window, "give low and high, or null")

    def place(self) -> str | None:
        """``root`` with its environment variables put in."""
        return None if self.root is None else _place(self.root, f"data {self.name!r}: root")


@dataclass(frozen=True)
class TrainConfig:
    """Training on the spot, on the images that ``data.train`` keeps apart."""

    steps: int
    batch: int = 12
    rate: float = 5e-3

    def __post_init__(self) -> None:
        need(self.steps >= 1, "steps", self.steps, "train for at least one step")
        need(self.batch >= 2, "batch", self.batch, "batch norm needs at least two images")
        need(self.rate > 0, "rate", self.rate, "give a learning rate above 0")


@dataclass(frozen=True)
class NetworkConfig:
    """A network, by one of ``torchvision``, ``build``, ``monai`` and ``bundle``, and where its weights come from."""

    name: str
    """What tables call it."""
    torchvision: str | None = None
    """One of :data:`TORCHVISION`, with 21 classes."""
    build: str | None = None
    """A name of ``build_network``."""
    monai: str | None = None
    """A class of ``monai.networks.nets``."""
    bundle: str | None = None
    """A MONAI bundle's folder: its network, weights, inferer and activation; images come as ``data`` says."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments, but for the channels."""
    checkpoint: str | None = None
    """Tensors that ``torch.save`` wrote, or ``.safetensors``; ``$NAME`` stands for an environment variable."""
    train: TrainConfig | None = None
    download: bool = False
    """torchvision's own weights from the net (COCO with VOC's labels)."""
    untrained: bool = False
    """Random weights, by the seed: what a method says of a network that knows nothing."""
    target_layer: str | None = None
    window: tuple[int, ...] | None = None
    """Edges of a sliding window, in voxels."""
    overlap: float = 0.25

    def __post_init__(self) -> None:
        need_name(self.name)
        kinds = [one for one in ("torchvision", "build", "monai", "bundle") if getattr(self, one) is not None]
        need(len(kinds) == 1, "name", self.name, "say exactly one of torchvision, build, monai and bundle")
        need(
            self.torchvision is None or self.torchvision in TORCHVISION, "torchvision", self.torchvision,
            f"choose {', '.join(TORCHVISION)}",
        )  # fmt: skip
        weights = [self.checkpoint is not None, self.train is not None, self.download, self.untrained]
        wanted = 0 if self.bundle is not None else 1
        remedy = "a bundle has its own weights" if self.bundle else "say one of checkpoint, train, download, untrained"
        need(sum(weights) == wanted, "name", self.name, remedy)
        need(not self.download or self.torchvision is not None, "download", True, "only torchvision's networks have it")
        need(0 <= self.overlap < 1, "overlap", self.overlap, "give a fraction from 0 to below 1")

    def place(self) -> str | None:
        """The checkpoint or the bundle, environment variables put in."""
        given = self.checkpoint or self.bundle
        return None if given is None else _place(given, f"network {self.name!r}:")


@dataclass(frozen=True)
class MethodConfig:
    """A method by its name, with its own options."""

    name: str
    label: str = ""
    """What tables call it; by default its ``name``."""
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        need(self.name in METHODS, "name", self.name, f"choose one of {', '.join(METHODS)}")
        object.__setattr__(self, "label", self.label or self.name)
        need_name(self.label, "label")
        known = METHODS[self.name]
        for option in self.options:
            need(
                option in known, f"options.{option}", self.options[option],
                f"{self.name} takes {', '.join(known) or 'none'}",
            )  # fmt: skip
        for name, (lowest, highest) in _RANGES.items():
            value = self.options.get(name, lowest)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            need(
                number and lowest <= value <= highest, f"options.{name}", value,
                f"give a number from {lowest}" + (f" to {highest}" if highest == 1 else ""),
            )  # fmt: skip


@dataclass(frozen=True)
class MetricsConfig:
    """The metrics' settings; the defaults are the paper's where it has one."""

    top_fraction: float = 0.2
    strength: float = 0.03
    perturbations: tuple[str, ...] = PERTURBATIONS
    """Of the stability; empty: none is measured."""
    stability_images: int | None = None
    """Of each run the first so many: stability asks for as many more maps as there are perturbations. null: all."""
    curve_steps: int = 20
    """Of the deletion and insertion curves; 0: none."""
    least_score: float = 0.0
    """Images on which the network gives its target no more than this are left out of the tables, for all methods."""

    def __post_init__(self) -> None:
        need(0 < self.top_fraction <= 1, "top_fraction", self.top_fraction, "give a fraction above 0, such as 0.2")
        need(self.strength > 0, "strength", self.strength, "give a strength above 0, such as 0.03")
        for one in self.perturbations:
            need(one in PERTURBATIONS, "perturbations", one, f"choose among {', '.join(PERTURBATIONS)}")
        need(
            self.stability_images is None or self.stability_images >= 0, "stability_images", self.stability_images,
            "give 0 or more, or null for all",
        )  # fmt: skip
        need(self.curve_steps >= 0, "curve_steps", self.curve_steps, "give 0 or more")
        need(0 <= self.least_score < 1, "least_score", self.least_score, "give a probability from 0 to below 1")


@dataclass(frozen=True)
class BenchConfig:
    """Data x networks x seeds x methods."""

    data: tuple[DataConfig, ...]
    networks: tuple[NetworkConfig, ...]
    methods: tuple[MethodConfig, ...] = tuple(MethodConfig(name) for name in ("gpa", "ega", "ria", "dea"))
    seeds: tuple[int, ...] = (0,)
    """A seed draws the images and the noise of the stability, and of a network trained on the spot the training."""
    title: str = "Segmentation attribution"
    metrics: MetricsConfig = MetricsConfig()
    statistics: StatisticsConfig = field(default_factory=StatisticsConfig)
    maps: int | Literal["all"] = 6
    """Of how many images of each run the maps are kept; galleries show these."""
    device: str | None = None
    batch_size: int | Literal["auto"] = 28
    execution: Literal["auto", "dense", "windows", "incremental"] = "auto"

    def __post_init__(self) -> None:
        for key, names in (
            ("data", [one.name for one in self.data]),
            ("networks", [one.name for one in self.networks]),
            ("methods", [one.label for one in self.methods]),
            ("seeds", list(self.seeds)),
        ):
            need(bool(names), key, (), "give at least one")
            need_distinct(key, names)
        need(self.maps == "all" or self.maps >= 0, "maps", self.maps, "give 0 or more, or all")
        size = self.batch_size
        need(size == "auto" or size >= 1, "batch_size", size, "give 1 or more, or auto")
        voc = [one.name for one in self.networks if one.torchvision is not None]
        trained = [one.name for one in self.networks if one.train is not None]
        for data in self.data:
            need(
                data.classes == VOC_CLASSES or not voc, f"data {data.name!r}: classes", data.classes,
                f"torchvision's networks ({', '.join(voc)}) have {VOC_CLASSES} classes of objects",
            )  # fmt: skip
            need(
                data.train > 0 or not trained, f"data {data.name!r}: train", data.train,
                f"keep images apart for the training of {', '.join(trained)}",
            )  # fmt: skip

    def record(self) -> dict[str, Any]:
        """The configuration for a file: without the paths of this machine, and without what decides no result."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        for data in content["data"]:
            data.pop("root")
            data["options"].pop("base_dir", None)
        for network in content["networks"]:
            for key in ("checkpoint", "bundle"):
                network[key] = None if network[key] is None else "given"
        content.pop("device")
        return {"schema": SCHEMA, **content}

    def digest(self) -> str:
        """Of :meth:`record`: 16 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.record(), sort_keys=True).encode()).hexdigest()[:16]


def _place(path: str, what: str) -> str:
    place = os.path.expanduser(os.path.expandvars(path))
    if "$" in place:
        raise ConfigError(f"{what} {path!r} names a variable that is not set: set it.")
    return place


def read_config(path: str | os.PathLike[str]) -> BenchConfig:
    """The benchmark that a YAML or JSON file describes."""
    return as_config(read_content(path))


def as_config(content: Any) -> BenchConfig:
    """The benchmark that a dictionary describes.

    Example:
        >>> bench = as_config({
        ...     "data": [{"name": "phantom", "count": 2, "train": 8, "size": 64}],
        ...     "networks": [{"name": "small", "build": "unet", "train": {"steps": 10}}],
        ... })
        >>> [method.label for method in bench.methods], bench.seeds
        (['gpa', 'ega', 'ria', 'dea'], (0,))
    """
    return configured(BenchConfig, content, SCHEMA)
