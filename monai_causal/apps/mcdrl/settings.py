# SPDX-License-Identifier: Apache-2.0
"""What can be set of a network and of its training. Nothing heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from monai_causal.apps.study.configuration import need

__all__ = ["NetworkConfig", "TrainConfig"]


@dataclass(frozen=True)
class NetworkConfig:
    """What all methods of a study share of their network; see :class:`~monai_causal.networks.nets.MCDRL`."""

    encoder: str = "demo"
    """``demo`` is the small CLIP that comes along; else a name, a folder or a pinned hub model."""
    pretrained: str | None = None
    confounders: str | None = None
    """A YAML file of one's own, or none for the twelve that come along."""
    count: int | None = None
    """How many of the confounders, one of each category in turn."""
    depth: int = 3
    alpha: float = 0.5
    scatter: Literal["residual", "zero", "soft"] = "residual"
    marginalisation: Literal["attention", "prior", "exact"] = "attention"
    dense: Literal["tokens", "value"] = "tokens"
    tune: Literal["frozen", "lora", "full"] = "frozen"
    """What of the encoder learns, in every method that has one (FlexibleUNet is trained from scratch either way). With
    a frozen one Eq. 12 trains nothing in MCDRL: image embedding and texts are both constants."""
    hidden: int = 64

    def __post_init__(self) -> None:
        need(self.depth >= 1, "depth", self.depth, "give at least one layer")
        need(0 < self.alpha <= 1, "alpha", self.alpha, "give the share of cells to keep, above 0 and up to 1")
        need(self.count is None or self.count >= 1, "count", self.count, "give at least one confounder")
        need(self.hidden >= 16 and self.hidden % 16 == 0, "hidden", self.hidden, "give a multiple of 16")


@dataclass(frozen=True)
class TrainConfig:
    """One training."""

    settings: Literal["sane", "paper"] = "sane"
    """``paper``: 50 epochs of AdamW at 0.005 throughout, the encoder too, cross-entropy alone, Eq. 11 on the vectors as
    they are. It overrides what stands beside it, but not the network's settings: with ``tune: frozen`` no encoder
    learns at that rate, and Eq. 12 trains nothing."""
    epochs: int = 20
    batch_size: int = 16
    rate: float = 2e-3
    """Of what is new: head and intervention."""
    adapter_rate: float = 1e-4
    encoder_rate: float = 1e-5
    weight_decay: float = 0.01
    schedule: Literal["cosine", "constant"] = "cosine"
    switch_epoch: int = 4
    """The intervention is switched on after this epoch (the paper: after 10 of 50)."""
    lambda_causal: float = 0.5
    lambda_contrast: float = 0.1
    temperature: float = 0.5
    dice: float = 1.0
    normalise: bool = True
    pool: Literal["kept", "lesion"] = "kept"
    flips: bool = True
    accumulate: int = 1
    """Batches per step of the optimiser."""
    amp: bool = False
    """Mixed precision, where there is a GPU."""
    validate_every: int = 1
    """Epochs between validations, where there is something to validate on."""
    patience: int | None = None
    """Stop after so many validations without a better one."""
    tensorboard: bool = False
    """Write curves for TensorBoard into the run's folder."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "validate_every"):
            need(getattr(self, name) >= 1, name, getattr(self, name), "give at least 1")
        for name in ("rate", "adapter_rate", "encoder_rate", "temperature"):
            need(getattr(self, name) > 0, name, getattr(self, name), "give a number above 0")
        for name in ("weight_decay", "lambda_causal", "lambda_contrast", "dice"):
            need(getattr(self, name) >= 0, name, getattr(self, name), "give 0 or more")
        need(self.switch_epoch >= 0, "switch_epoch", self.switch_epoch, "give 0, from the start on, or more")
        need(self.patience is None or self.patience >= 1, "patience", self.patience, "give at least 1")

    def resolved(self) -> TrainConfig:
        """With the paper's settings in their places, if these were asked for."""
        if self.settings == "sane":
            return self
        paper: dict[str, Any] = {
            "epochs": 50,
            "switch_epoch": 10,
            "rate": 0.005,
            "adapter_rate": 0.005,
            "encoder_rate": 0.005,
            "schedule": "constant",
            "lambda_causal": 0.5,
            "lambda_contrast": 0.1,
            "temperature": 0.5,
            "dice": 0.0,
            "normalise": False,
            "pool": "kept",
        }
        return replace(self, settings="sane", **paper)
