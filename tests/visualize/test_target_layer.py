# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging

import pytest
import torch
from torch import Tensor, nn

from monai_causal.visualize.target_layer import deepest_layer, named_layer
from tests.visualize.networks import TwoHalves


class Gated(nn.Module):
    """A channel gate of one voxel behind the bottleneck, whose two convolutions run in another order than declared."""

    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.first = nn.Conv2d(1, 4, 3, stride=4, padding=1)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1))
        self.up = nn.ConvTranspose2d(4, 1, 4, stride=4)

    def forward(self, image: Tensor) -> Tensor:
        deep = self.second(self.first(image))
        return self.up(deep * self.gate(deep))


def test_the_deepest_is_the_last_run_of_the_smallest_and_is_said(caplog: pytest.LogCaptureFixture) -> None:
    network = Gated()
    with caplog.at_level(logging.INFO, logger="monai_causal"):
        name = deepest_layer(network, torch.rand(1, 1, 16, 16))
    assert name == "second"
    assert "'second'" in caplog.text
    assert "(4, 4)" in caplog.text
    assert not any(module._forward_hooks for module in network.modules())


class Headed(nn.Module):
    """As torchvision's: the answer's own convolution and an auxiliary head are as small as the bottleneck."""

    def __init__(self) -> None:
        super().__init__()
        self.bottleneck = nn.Conv2d(1, 4, 3, stride=4, padding=1)
        self.answer = nn.Conv2d(4, 2, 1)
        self.auxiliary = nn.Conv2d(4, 2, 1)
        self.up = nn.Upsample(scale_factor=4)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        image.mul_(2)  # networks may write into what they get
        deep = self.bottleneck(image)
        return {"out": self.up(self.answer(deep)), "aux": self.up(self.auxiliary(deep))}


@pytest.mark.parametrize("frozen", [False, True])
def test_neither_an_auxiliary_head_nor_the_answer_itself(frozen: bool) -> None:
    network, image = Headed().requires_grad_(not frozen), torch.ones(1, 1, 16, 16)
    assert deepest_layer(network, image) == "bottleneck"
    assert image.eq(1).all()
    assert not image.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_only_convolution_is_taken() -> None:
    assert deepest_layer(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1)), torch.rand(1, 1, 8, 8)) == "0"


class OnFrozenFeatures(nn.Module):
    """Its encoder runs without gradients, as MCDRL's frozen one: nothing before the head hangs on the image."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(1, 4, 3, stride=8, padding=1)
        self.head = nn.Conv2d(4, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 1, 8, stride=8)

    def forward(self, image: Tensor) -> Tensor:
        with torch.no_grad():
            cells = self.encoder(image)
        return self.up(self.head(cells))


def test_a_layer_of_an_encoder_without_gradients_does_not_count() -> None:
    assert deepest_layer(OnFrozenFeatures(), torch.rand(1, 1, 16, 16)) == "head"


def test_no_hook_stays_where_the_forward_fails() -> None:
    network = Gated()
    with pytest.raises(RuntimeError):
        deepest_layer(network, torch.rand(1, 7, 16, 16))
    assert not any(module._forward_hooks for module in network.modules())


def test_a_network_without_maps_is_an_error() -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(1, 2, 1), nn.Upsample(8))
    with pytest.raises(ValueError, match="name a layer with target_layers"):
        deepest_layer(network, torch.rand(1, 1, 8, 8))


def test_names() -> None:
    network = TwoHalves(2)
    assert named_layer(network, None) is None
    assert named_layer(network, "stem.0") == "stem.0"
    assert named_layer(network, ["back"]) == "back"
    with pytest.raises(ValueError, match=r"no layer 'fronte'; near are 'front'"):
        named_layer(network, "fronte")
    with pytest.raises(ValueError, match=r"\['front', 'back'\]: one layer"):
        named_layer(network, ["front", "back"])
