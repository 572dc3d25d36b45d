# SPDX-License-Identifier: Apache-2.0
"""The networks of a benchmark: by name, from a bundle, with weights from a file, from the net or from a training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import monai.networks.nets
import torch
from monai.inferers import Inferer, SlidingWindowInferer
from torch import Tensor, nn

from monai_causal.apps.explain.bundles import open_bundle
from monai_causal.apps.explain.weights import load_weights
from monai_causal.apps.segbench.config import TORCHVISION, DataConfig, NetworkConfig, TrainConfig
from monai_causal.apps.segbench.samples import Item, training_pair
from monai_causal.apps.study.training import fit, keep_trained
from monai_causal.extras import require
from monai_causal.intervene.scores import Activation
from monai_causal.networks.nets import build_network

__all__ = ["Model", "load_model", "train"]


@dataclass(frozen=True)
class Model:
    """A network and how it is asked.

    Attributes:
        network: in evaluation mode.
        inferer: runs it on an image; ``None``: it is called directly.
        activation: makes probabilities of its outputs.
        target_layer: where gradients are taken; ``None``: the deepest layer.
    """

    network: nn.Module
    inferer: Inferer | None = None
    activation: Activation = "auto"
    target_layer: str | None = None


def load_model(
    config: NetworkConfig, data: DataConfig, seed: int, channels: int, training: Sequence[Item], kept: Path
) -> Model:
    """A network with its weights.

    Args:
        config: which one.
        data: says how many classes it answers, and how images come.
        seed: of random weights and of the training.
        channels: of the images.
        training: images to train on.
        kept: folder that keeps what was trained on the spot, so that an interrupted benchmark need not train again.
    """
    place = Path(config.place() or "")
    if config.bundle is not None:
        model = open_bundle(place, torch.device("cpu")).model
        return Model(model.network.eval(), model.inferer, model.activation, config.target_layer)
    network = _built(config, data, channels, seed)
    what = f"the checkpoint of network {config.name!r}"
    if config.checkpoint is not None:
        load_weights(network, place, what)
    elif config.train is not None:
        file = kept / f"{data.name}-{config.name}-seed{seed}.pt"
        keep_trained(network, file, partial(train, network, config.train, data, training, seed, config.name))
        load_weights(network, file, what)
    inferer = None
    if config.window is not None:
        inferer = SlidingWindowInferer(config.window, sw_batch_size=1, overlap=config.overlap, mode="gaussian")
    layer = config.target_layer or (TORCHVISION[config.torchvision] if config.torchvision else None)
    return Model(network.eval(), inferer, target_layer=layer)


def train(
    network: nn.Module, course: TrainConfig, data: DataConfig, training: Sequence[Item], seed: int, name: str = ""
) -> None:
    """AdamW with a one-cycle schedule on cross-entropy and Dice; the same seed gives the same batches."""
    pairs = [training_pair(data, item) for item in training]
    images, labels = (torch.stack(column) for column in zip(*pairs, strict=True))
    generator = torch.Generator().manual_seed(seed)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(course.steps):
            drawn = torch.randint(len(images), (course.batch,), generator=generator)
            yield images[drawn], labels[drawn]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fit(network, batches(), course.steps, course.rate, several=data.classes > 1, title=f"training {name}")


def _built(config: NetworkConfig, data: DataConfig, channels: int, seed: int) -> nn.Module:
    outputs = 1 if data.classes == 1 else data.classes + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if config.torchvision is not None:
            return _torchvision(config, outputs)
        if config.build is not None:
            return build_network(config.build, channels, outputs, **config.options)
        kind = getattr(monai.networks.nets, config.monai or "", None)
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
            raise ValueError(f"network {config.name!r}: monai.networks.nets has no network {config.monai!r}.")
        return kind(in_channels=channels, out_channels=outputs, **config.options)


def _torchvision(config: NetworkConfig, outputs: int) -> nn.Module:
    """A network of torchvision; its training-time helper is built too where the weights are torchvision's own or a
    file's, since they hold it."""
    models = require("torchvision.models")
    options: dict[str, Any] = {"weights_backbone": None, **config.options}
    if config.download:
        return models.get_model(config.torchvision, weights="COCO_WITH_VOC_LABELS_V1", **config.options)
    if config.checkpoint is not None and config.torchvision != "lraspp_mobilenet_v3_large":
        options.setdefault("aux_loss", True)
    return models.get_model(config.torchvision, weights=None, num_classes=outputs, **options)
