# SPDX-License-Identifier: Apache-2.0
"""The networks of a study: built by name, with weights from a checkpoint or from a training on phantoms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from monai_causal.apps.explain.weights import load_weights
from monai_causal.apps.pdcr_study.config import NetworkConfig, StudyConfig, TrainConfig
from monai_causal.apps.study.training import fit, keep_trained
from monai_causal.data.phantoms import shapes
from monai_causal.networks.nets import build_network

__all__ = ["load_network", "train_on_phantoms"]

TRAINING_SEEDS = 2_000_000_000
"""Phantoms from here on are for training: far from those that are explained or give donors."""
SEEDS_PER_TRAINING = 10_000_000


def load_network(study: StudyConfig, network: NetworkConfig, channels: int, kept: Path) -> nn.Module:
    """The network with its weights, in evaluation mode.

    Args:
        study: says what the output is: one channel, or one per class and one for the background.
        network: which one.
        channels: of the images.
        kept: folder that keeps what was trained on the spot, so that an interrupted study need not train again.
    """
    outputs = 1 if study.data.classes == 1 else study.data.classes + 1
    seed = 0 if network.train is None else network.train.seed
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = build_network(network.build, channels, outputs, **network.options)
    what = f"the checkpoint of network {network.name!r}"
    if network.checkpoint is not None:
        load_weights(built, Path(network.checkpoint), what)
        return built.eval()
    assert network.train is not None
    file = kept / f"{network.name}.pt"
    keep_trained(built, file, partial(train_on_phantoms, built, network.train, study))
    load_weights(built, file, what)
    return built.eval()


def train_on_phantoms(network: nn.Module, course: TrainConfig, study: StudyConfig) -> None:
    """AdamW with a one-cycle schedule on cross-entropy and Dice, on shapes phantoms made as the explained ones are.

    A third of each batch has no marker and a class by coin: without them a network learns one marker only and takes the
    other class for granted.
    """
    options = {key: value for key, value in study.data.options.items() if key in ("size", "strength", "evidence")}
    first = TRAINING_SEEDS + course.seed * SEEDS_PER_TRAINING
    batches = (_batch(first + step * course.batch, course.batch, options) for step in range(course.steps))
    fit(network, batches, course.steps, course.rate, several=study.data.classes > 1)


def _batch(first_seed: int, size: int, options: dict[str, float | Sequence[int]]) -> tuple[Tensor, Tensor]:
    phantoms = [shapes(seed, **options) for seed in range(first_seed, first_seed + size)]  # type: ignore[arg-type]
    phantoms[: size // 3] = [phantom.do(cue=0) for phantom in phantoms[: size // 3]]
    images = torch.from_numpy(np.stack([phantom.image for phantom in phantoms]))
    labels = torch.from_numpy(np.stack([phantom.labels for phantom in phantoms]))[:, None].long()
    return images, labels
