# SPDX-License-Identifier: Apache-2.0
"""The methods that are compared: each a network and its loss, with the same encoder, head and budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from monai.networks.nets import FlexibleUNet
from torch import Tensor, nn

from monai_causal.apps.mcdrl.contents import DEMO_CLIP
from monai_causal.apps.mcdrl.method_names import METHODS
from monai_causal.apps.mcdrl.phantom_seeds import PROTOTYPES
from monai_causal.apps.mcdrl.settings import NetworkConfig, TrainConfig
from monai_causal.data.phantoms.endoscopy import CONFOUNDERS, endoscopy
from monai_causal.losses import MCDRLLoss, PromptLoss
from monai_causal.networks.blocks.confounder_prompts import read_confounders
from monai_causal.networks.blocks.dense_clip import Dense
from monai_causal.networks.blocks.dictionary import prototypes
from monai_causal.networks.nets.mcdrl import MCDRL
from monai_causal.networks.nets.prompt_segmenter import PromptSegmenter

__all__ = ["DEMO_CLIP", "Loss", "build", "settings_of"]

Loss = Callable[[Any, Tensor], Tensor]


def build(
    name: str, network: NetworkConfig, train: TrainConfig, classes: Sequence[str], seed: int
) -> tuple[nn.Module, Loss]:
    """A method's network, whose new weights belong to the seed, and its loss."""
    info = METHODS[name]
    train = settings_of(name, train)
    own_network = dict(info.network)
    if own_network.get("dictionary") == "prototypes":
        # Before the seed is set: whether they are remembered from before must not decide the new weights.
        own_network["dictionary"] = phantom_prototypes(_encoder(network), network.pretrained, network.dense)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if info.family == "unet":
            return _flexible_unet(len(classes)), _loss(train)
        shared: dict[str, Any] = {
            "encoder": _encoder(network),
            "pretrained": network.pretrained,
            "classes": classes,
            "dense": network.dense,
            "tune": network.tune,
            "hidden": network.hidden,
        }
        if info.family == "prompt":
            return _prompt(shared, info.network, train)
        own: dict[str, Any] = {
            "confounders": read_confounders(network.confounders, network.count),
            "depth": network.depth,
            "alpha": network.alpha,
            "scatter": network.scatter,
            "marginalisation": network.marginalisation,
        }
        return MCDRL(**{**shared, **own, **own_network, "seed": seed}), _loss(train)


@lru_cache(maxsize=4)
def phantom_prototypes(encoder: str, pretrained: str | None, dense: Dense) -> Tensor:
    """The mean cell of phantoms under each of the twelve confounders, none of which goes with the finding there."""
    with torch.random.fork_rng():
        reader = MCDRL(encoder, pretrained, dense=dense, select=False, intervene=False).eval()
    features, conditions = [], []
    for seed in PROTOTYPES:
        phantom = endoscopy(seed)
        with torch.no_grad():
            features.append(reader.observe(torch.from_numpy(phantom.image)[None]).cells.mean(dim=(2, 3)))
        conditions.append(list(CONFOUNDERS).index(phantom.causes.confounder))
    return prototypes(torch.cat(features), torch.tensor(conditions))


def settings_of(name: str, train: TrainConfig) -> TrainConfig:
    """The training settings with those that make a method what it is, and the paper's if these were asked for."""
    return replace(train.resolved(), **METHODS[name].train)


def _encoder(network: NetworkConfig) -> str:
    return str(DEMO_CLIP) if network.encoder == "demo" else network.encoder


def _flexible_unet(classes: int) -> nn.Module:
    return FlexibleUNet(in_channels=3, out_channels=1 if classes == 1 else classes + 1, backbone="resnet18")


def _loss(train: TrainConfig) -> MCDRLLoss:
    names = ("lambda_causal", "lambda_contrast", "temperature", "dice", "normalise", "pool")
    return MCDRLLoss(**{name: getattr(train, name) for name in names})


def _prompt(shared: dict[str, Any], own: dict[str, Any], train: TrainConfig) -> tuple[nn.Module, Loss]:
    names = ("lambda_contrast", "temperature", "dice")
    return PromptSegmenter(**shared, **own), PromptLoss(**{name: getattr(train, name) for name in names})
