# SPDX-License-Identifier: Apache-2.0
"""What a study across hospitals is: a YAML or JSON file, read into checked dataclasses. Nothing heavy is imported."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from monai_causal.apps.mcdrl.contents import contents_of
from monai_causal.apps.mcdrl.method_names import METHODS
from monai_causal.apps.mcdrl.phantom_seeds import FAR, STUDY, meeting
from monai_causal.apps.mcdrl.settings import NetworkConfig, TrainConfig
from monai_causal.apps.study.configuration import (
    ConfigError,
    StatisticsConfig,
    checked,
    configured,
    need,
    need_distinct,
    need_name,
    read_content,
)

__all__ = [
    "SCHEMA",
    "DataSet",
    "LosoConfig",
    "Method",
    "PhantomData",
    "SitesData",
    "as_config",
    "read_config",
]

SCHEMA = "monai_causal/mcdrl-loso/1"
SMALLEST_PHANTOM = 32
GIVEN = "(given)"
"""What a record says in place of a path of this machine."""


@dataclass(frozen=True)
class PhantomData:
    """Endoscopy phantoms: trained on where the confounder tells the finding, tested where it does not.

    Test images are the same scenes under three laws: that of the training, one without confounding, and its opposite.
    """

    kind: Literal["phantom"]
    train: int
    test: int
    validation: int = 0
    size: int = 96
    strength: float = 0.9
    """How far the confounder follows the finding in training."""
    evidence: float = 0.7
    """How much a polyp shows of itself."""
    severity: float | None = None
    """Of the confounder; null draws it."""
    do_scenes: int = 24
    """Scenes that are rendered under each confounder, to measure the invariance; 0: it is not measured."""
    do_severity: tuple[float, ...] = (0.5,)
    """At which severities."""
    seed: int = STUDY
    """The first of the phantoms' seeds; those of :mod:`~monai_causal.apps.mcdrl.phantom_seeds` are taken."""

    def __post_init__(self) -> None:
        for name, least in (("train", 2), ("test", 2), ("validation", 0), ("do_scenes", 0), ("seed", 0)):
            need(getattr(self, name) >= least, name, getattr(self, name), f"give at least {least}")
        need(self.do_scenes != 1, "do_scenes", self.do_scenes, "give at least 2 scenes to compare, or 0")
        need(self.size >= SMALLEST_PHANTOM, "size", self.size, f"give at least {SMALLEST_PHANTOM} pixels")
        need(0 < self.strength <= 1, "strength", self.strength, "give a number above 0, up to 1")
        need(0 <= self.evidence <= 1, "evidence", self.evidence, "give a number from 0 to 1")
        severities = [*self.do_severity, *([] if self.severity is None else [self.severity])]
        need(all(0 <= one <= 1 for one in severities), "severity", severities, "give numbers from 0 to 1")
        need(self.do_scenes == 0 or bool(self.do_severity), "do_severity", (), "give at least one, or do_scenes: 0")
        need_distinct("do_severity", self.do_severity)
        counts = {"train": self.train, "validation": self.validation, "test": self.test, "do_scenes": self.do_scenes}
        for name, count in counts.items():
            need(count <= FAR, name, count, f"give at most {FAR}")
        firsts = {name: self.seed + part * FAR for part, name in enumerate(counts)}
        met = meeting(range(first, first + counts[name]) for name, first in firsts.items())
        need(met is None, "seed", self.seed, f"its scenes meet {met}: give for instance {STUDY}")


@dataclass(frozen=True)
class DataSet:
    """One of ``load_dataset``: its ``name``, ``root``, ``split`` and ``options``."""

    name: str
    root: str | None = None
    """``$NAME`` stands for an environment variable."""
    split: str | None = None
    site: str | None = None
    """All of it is this site; null: its images say whose they are."""
    unlabelled: Literal["error", "drop"] = "error"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SitesData:
    """Images of several hospitals. Each is held out in turn; what is left is split by patient or sequence."""

    kind: Literal["sites"]
    sets: tuple[DataSet, ...]
    size: int = 224
    """Rows and columns in which a network sees an image; masks are compared at their own resolution."""
    validation: float = 0.15
    """Share of the source images that the epoch may be chosen by."""
    source_test: float = 0.0
    """Share of the source images that nothing is chosen by; 0: in distribution is measured on the validation part."""
    held_out: tuple[str, ...] | Literal["all"] = "all"
    """Sites, each a task of its own. Empty: one task, all sites together, tested in distribution."""
    count: int | None = None
    """Of each site only so many images, drawn with whole sequences; null: all."""
    class_key: str | None = None
    """Where the label says only where a lesion is: the key of an item that says what it is. Items that are of no class
    named in ``class_values``, or of several, are left out, and counted."""
    class_values: dict[str, Any] = field(default_factory=dict)
    """Which class of ``classes`` a value of ``class_key`` is."""
    seed: int = 0
    """Of the split."""

    def __post_init__(self) -> None:
        need(bool(self.sets), "sets", (), "give at least one data set")
        need(self.size >= 16, "size", self.size, "give at least 16 pixels")
        for name in ("validation", "source_test"):
            need(0 <= getattr(self, name) < 1, name, getattr(self, name), "give a fraction from 0 to below 1")
        both = self.validation + self.source_test
        need(both < 1, "source_test", self.source_test, f"with validation it is {both:g} of the images: leave some")
        need(self.count is None or self.count >= 2, "count", self.count, "give at least 2, or null for all")
        if self.held_out != "all":
            need_distinct("held_out", self.held_out)
        need(
            bool(self.held_out) or self.source_test > 0, "source_test", self.source_test,
            "with no site held out, give the share of images to test on",
        )  # fmt: skip


@dataclass(frozen=True)
class Method:
    """A method of :data:`~monai_causal.apps.mcdrl.method_names.METHODS`, perhaps with settings of its own."""

    name: str
    label: str = ""
    """``as`` in a file: what tables call it; by default its ``name``."""
    network: dict[str, Any] = field(default_factory=dict)
    """Keys of the network's settings that are other than the study's."""
    train: dict[str, Any] = field(default_factory=dict)
    """Keys of the training's settings that are other than the study's."""

    def __post_init__(self) -> None:
        need(self.name in METHODS, "name", self.name, f"choose one of {', '.join(METHODS)}")
        object.__setattr__(self, "label", self.label or self.name)
        need_name(self.label, "as")

    @property
    def plain(self) -> bool:
        """Whether it is the method itself, with the study's own settings."""
        return not self.network and not self.train


@dataclass(frozen=True)
class LosoConfig:
    """Held-out sites x methods x seeds."""

    data: PhantomData | SitesData
    name: str = "MCDRL across hospitals"
    classes: tuple[str, ...] = ("polyp",)
    """One: lesion or not. More: masks hold 1, 2, ... in this order."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    methods: tuple[Method, ...] = tuple(Method(name) for name in METHODS)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of the trainings; the images and their split are the same under each."""
    selection: Literal["last", "validation", "oracle"] = "validation"
    """Which epoch's weights are taken: the last one's, those best on source images, or, as some published code does,
    those best on the very images that are tested on (every table says so then)."""
    statistics: StatisticsConfig = field(default_factory=StatisticsConfig)
    pictures: int = 40
    """Of how many images per test set the masks under the first seed are kept for pictures; 0: of none."""
    keep_weights: bool = False
    device: str | None = None
    """By default a GPU if there is one."""
    contents: dict[str, str] = field(default_factory=dict)
    """Of a record: digests of what lay where a path points to. It is written, not given."""

    def __post_init__(self) -> None:
        need(
            bool(self.classes) and all(one.strip() for one in self.classes),
            "classes",
            self.classes,
            "name at least one",
        )
        labels = [one.label for one in self.methods]
        for key, names in (("classes", list(self.classes)), ("methods", labels), ("seeds", list(self.seeds))):
            need(bool(names), key, (), "give at least one")
            need_distinct(key, names)
        need(self.pictures >= 0, "pictures", self.pictures, "give 0 or more")
        data = self.data
        need(
            data.kind == "sites" or len(self.classes) == 1, "classes", self.classes,
            "phantoms have one class of lesion, polyp",
        )  # fmt: skip
        need(
            self.selection != "validation" or data.validation > 0, "data.validation", data.validation,
            "there is nothing to choose the epoch by: keep some images, or say selection: last",
        )  # fmt: skip
        if isinstance(data, SitesData):
            for value, name in data.class_values.items():
                need(name in self.classes, f"data.class_values.{value}", name, f"choose of {', '.join(self.classes)}")
            need(
                self.selection != "oracle" or bool(data.held_out), "selection", self.selection,
                "no site is held out: choose last or validation",
            )  # fmt: skip
        for number, method in enumerate(self.methods):
            need(
                data.kind == "phantom" or _of_any_data(method.name), f"methods[{number}]", method.name,
                "prototypes are means of phantoms under known confounders, not of a hospital's images: leave it out, "
                "or say data.kind: phantom",
            )  # fmt: skip
            self.network_of(method, f"methods[{number}].network")
            self.train_of(method, f"methods[{number}].train")

    def network_of(self, method: Method, key: str = "network") -> NetworkConfig:
        """The network's settings under a method."""
        found = checked(NetworkConfig, {**asdict(self.network), **method.network}, key)
        assert isinstance(found, NetworkConfig)
        return found

    def train_of(self, method: Method, key: str = "train") -> TrainConfig:
        """The training's settings under a method."""
        found = checked(TrainConfig, {**asdict(self.train), **method.train}, key)
        assert isinstance(found, TrainConfig)
        return found

    def method(self, label: str) -> Method:
        """The method that tables call so."""
        return next(one for one in self.methods if one.label == label)

    def record(self) -> dict[str, Any]:
        """The configuration for a file: without what decides no result, and in place of this machine's paths digests of
        what lies there, under ``contents``."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        for one in content["data"].get("sets", ()):
            one["root"] = None if one["root"] is None else GIVEN
            one["options"].pop("base_dir", None)
        content["contents"] = self.contents or self._contents()
        for method in content["methods"]:
            method["as"] = method.pop("label")
        for network in (content["network"], *(one["network"] for one in content["methods"])):
            for key in ("confounders", "encoder", "pretrained"):
                if network.get(key) is not None and (key == "confounders" or os.path.isabs(network[key])):
                    network[key] = GIVEN
        for key in ("device", "keep_weights"):
            content.pop(key)
        return {"schema": SCHEMA, **content}

    def _contents(self) -> dict[str, str]:
        found = contents_of(asdict(self.network))
        for method in self.methods:
            found |= {f"{method.label}: {name}": digest for name, digest in contents_of(method.network).items()}
        return found

    def digest(self) -> str:
        """Of :meth:`record`: 16 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.record(), sort_keys=True).encode()).hexdigest()[:16]


def read_config(path: str | os.PathLike[str]) -> LosoConfig:
    """The study that a YAML or JSON file describes; relative paths in it start at the file's folder."""
    content = read_content(path)
    if isinstance(content, Mapping) and "contents" in content:
        raise ConfigError("contents: digests are written into a study's folder, not given: leave the key out.")
    return as_config(content, Path(path).resolve().parent)


def as_config(content: Any, folder: Path | None = None) -> LosoConfig:
    """The study that a dictionary describes.

    Args:
        content: the keys of :class:`LosoConfig`; a method is its name, or ``{name, as, network, train}``. Without any,
            all are taken that the data allows.
        folder: where relative paths start; None: they stay as they are.

    Example:
        >>> study = as_config({
        ...     "data": {"kind": "phantom", "train": 8, "test": 4},
        ...     "methods": ["baseline", {"name": "mcdrl", "as": "deep", "network": {"depth": 5}}],
        ...     "selection": "last",
        ... })
        >>> [method.label for method in study.methods], study.network_of(study.methods[1]).depth
        (['baseline', 'deep'], 5)
    """
    if isinstance(content, Mapping):
        content = dict(content)
        kinds = {"phantom": PhantomData, "sites": SitesData}
        data = content.get("data")
        if isinstance(data, Mapping):
            kind = data.get("kind")
            need(isinstance(kind, str) and kind in kinds, "data.kind", kind, "choose phantom or sites")
            # Each kind says for itself what is wrong; a choice between them could not.
            checked(kinds[str(kind)], data, "data")
        if "methods" not in content and isinstance(data, Mapping) and data.get("kind") == "sites":
            content["methods"] = [name for name in METHODS if _of_any_data(name)]
        methods = content.get("methods")
        if isinstance(methods, list | tuple):
            content["methods"] = [_method(one) for one in methods]
    config = configured(LosoConfig, content, SCHEMA)
    return config if folder is None else _placed(config, folder)


def _of_any_data(name: str) -> bool:
    return METHODS[name].network.get("dictionary") != "prototypes"


def _method(entry: Any) -> Any:
    if isinstance(entry, str):
        return {"name": entry}
    if isinstance(entry, Mapping) and "as" in entry:
        return {("label" if key == "as" else key): value for key, value in entry.items()}
    return entry


def _placed(config: LosoConfig, folder: Path) -> LosoConfig:
    network = asdict(config.network) | _network_places(asdict(config.network), folder)
    methods = tuple(
        replace(one, network={**one.network, **_network_places(one.network, folder)}) for one in config.methods
    )
    data = config.data
    if isinstance(data, SitesData):
        sets = tuple(
            replace(one, root=one.root and _place(one.root, folder, f"data set {one.name!r}: root"))
            for one in data.sets
        )
        data = replace(data, sets=sets)
    return replace(config, data=data, network=NetworkConfig(**network), methods=methods)


def _network_places(network: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The paths among the settings of a network."""
    places: dict[str, Any] = {}
    if network.get("confounders") is not None:
        places["confounders"] = _place(network["confounders"], folder, "confounders")
    # An encoder, and its weights, may be a name too: it is a path where there is such a file.
    for key in ("encoder", "pretrained"):
        if isinstance(network.get(key), str):
            place = _place(network[key], folder, key)
            if Path(place).exists():
                places[key] = place
    return places


def _place(path: str, folder: Path, what: str) -> str:
    place = os.path.expanduser(os.path.expandvars(path))
    if "$" in place:
        raise ConfigError(f"{what} {path!r} names a variable that is not set: set it.")
    return str(folder / place)
