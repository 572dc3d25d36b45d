# SPDX-License-Identifier: Apache-2.0
"""A study of seconds, a folder of sites, and a light stand-in for networks and training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from monai_causal.apps.mcdrl import methods, training
from monai_causal.apps.mcdrl.config import LosoConfig, as_config
from monai_causal.apps.mcdrl.training import Trained

PHANTOM = {"kind": "phantom", "train": 4, "validation": 2, "test": 5, "size": 32, "do_scenes": 2, "seed": 5_000_040}


def content(**changes: Any) -> dict[str, Any]:
    """Phantoms of 32x32, three methods, two seeds."""
    return {
        "data": dict(PHANTOM),
        "network": {"depth": 1, "hidden": 16},
        "train": {"epochs": 1, "batch_size": 4},
        "methods": ["baseline", "mcdrl", "random"],
        "seeds": [0, 1],
        "selection": "last",
        "statistics": {"resamples": 200},
        "pictures": 4,
        **changes,
    }


def study(**changes: Any) -> LosoConfig:
    return as_config(content(**changes))


def hospitals(folder: Path, sizes: dict[str, int], shape: tuple[int, int] = (20, 24), per_sequence: int = 2) -> Path:
    """A tree like PolypGen's: frames of sequences, a bright square on noise and its mask."""
    generator = np.random.default_rng(0)
    for site, count in sizes.items():
        for part in ("images", "masks"):
            (folder / site / part).mkdir(parents=True)
        for number in range(count):
            name = f"{number // per_sequence}_endocv2021_positive_{number:03d}"
            pixels = generator.integers(0, 120, (*shape, 3), dtype=np.uint8)
            mask = np.zeros(shape, np.uint8)
            row, column = generator.integers(2, 8, 2)
            mask[row : row + 8, column : column + 8] = 255
            pixels[mask > 0] += 100
            Image.fromarray(pixels).save(folder / site / "images" / f"{name}.png")
            Image.fromarray(mask).save(folder / site / "masks" / f"{name}_mask.png")
    return folder


class Brightness(nn.Module):
    """Calls a lesion what is brighter than a threshold that belongs to (method, seed)."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor(threshold))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=1, keepdim=True) - self.threshold


class Stand:
    """Stands in for building and training; counts what was trained, and may be killed at a training."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.trained: list[str] = []
        self.validated: list[int | None] = []
        self.killed_at: int | None = None
        patch.setattr(methods, "build", self.build)
        patch.setattr(training, "train", self.train)

    def build(self, name: str, network: Any, train: Any, classes: Any, seed: int) -> tuple[nn.Module, Any]:
        self.name = f"{name} {seed}"
        return Brightness(0.3 + 0.05 * len(name) + 0.01 * seed), None

    def train(self, network: Any, loss: Any, sources: Any, validation: Any, config: Any, **rest: Any) -> Trained:
        if self.killed_at == len(self.trained):
            self.killed_at = None
            rest["folder"].mkdir(parents=True)
            (rest["folder"] / "half.pt").write_bytes(b"half")
            raise KeyboardInterrupt
        self.trained.append(self.name)
        self.validated.append(None if validation is None else len(validation))
        rest["folder"].mkdir(parents=True, exist_ok=True)
        return Trained(config.epochs, None, None, (float(len(sources)), float("nan")))
