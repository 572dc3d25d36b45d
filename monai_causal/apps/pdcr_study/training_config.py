# SPDX-License-Identifier: Apache-2.0
"""What a training of one of the study's networks is: a YAML or JSON file, read into checked dataclasses."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any

from monai_causal.apps.pdcr_study.config import DataConfig
from monai_causal.apps.study.configuration import configured, need, read_content
from monai_causal.networks.catalogue import CATALOGUE

__all__ = ["CourseConfig", "NetworkToTrain", "TrainingConfig", "as_training", "read_training"]

SCHEMA = "monai_causal/pdcr-train-config/1"


@dataclass(frozen=True)
class NetworkToTrain:
    """A network of ``build_network``."""

    build: str
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        need(self.build in CATALOGUE, "build", self.build, f"choose one of {', '.join(CATALOGUE)}")


@dataclass(frozen=True)
class CourseConfig:
    """AdamW with a cosine schedule; the defaults are the study's."""

    epochs: int = 100
    batch_size: int = 32
    rate: float = 1e-3
    weight_decay: float = 1e-2
    clip: float = 1.0
    """The largest norm of all gradients together; longer ones are shortened to it."""
    flips: bool = True
    validation: float = 0.1
    """The share of the training images, by patient, that the best epoch is chosen by; 0: the last epoch is taken."""
    validate_every: int = 1
    """Epochs between validations."""
    accumulate: int = 1
    """Batches per step of the optimiser."""
    amp: bool = False
    """Mixed precision, where there is a GPU."""
    tensorboard: bool = True
    seed: int = 0
    """Of the weights, the order, the mirrorings and dropout."""

    def __post_init__(self) -> None:
        for name in ("epochs", "validate_every", "accumulate"):
            need(getattr(self, name) >= 1, name, getattr(self, name), "give at least 1")
        need(self.batch_size >= 2, "batch_size", self.batch_size, "batch norm needs at least two images")
        for name in ("rate", "clip"):
            need(getattr(self, name) > 0, name, getattr(self, name), "give a number above 0")
        need(self.weight_decay >= 0, "weight_decay", self.weight_decay, "give 0 or more")
        need(0 <= self.validation < 1, "validation", self.validation, "give a share from 0 to below 1")


@dataclass(frozen=True)
class TrainingConfig:
    """One network on the training part of a data set, which is that of a study with the same ``data``."""

    data: DataConfig
    network: NetworkToTrain
    train: CourseConfig = CourseConfig()
    device: str | None = None

    def __post_init__(self) -> None:
        need(self.data.parts.train >= 2, "data.parts.train", self.data.parts.train, "train on at least two images")

    def record(self) -> dict[str, Any]:
        """The configuration for a file: without the paths and the device of this machine."""
        content = json.loads(json.dumps(asdict(self)))
        content["data"].pop("root")
        content["data"]["options"].pop("base_dir", None)
        content.pop("device")
        return {"schema": SCHEMA, **content}


def read_training(path: str | os.PathLike[str]) -> TrainingConfig:
    """The training that a YAML or JSON file describes."""
    return as_training(read_content(path))


def as_training(content: Any) -> TrainingConfig:
    """The training that a dictionary describes.

    Example:
        >>> training = as_training({
        ...     "data": {"name": "phantom", "parts": {"explain": 2, "donors": 3, "train": 40}},
        ...     "network": {"build": "u-kan"},
        ... })
        >>> training.train.epochs, training.train.rate
        (100, 0.001)
    """
    return configured(TrainingConfig, content, SCHEMA)
