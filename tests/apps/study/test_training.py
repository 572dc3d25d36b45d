# SPDX-License-Identifier: Apache-2.0
"""A training learns what it is shown, follows its schedule, and what it made is kept."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from monai_causal.apps.study.training import fit, keep_trained, weights_digest
from monai_causal.networks.nets import UNet

STEPS = 60


def batches(steps: int = STEPS) -> Iterator[tuple[Tensor, Tensor]]:
    """Labels 0, 1 and 2; the image shows each in a channel of its own."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        labels = torch.randint(3, (2, 1, 6, 6), generator=generator)
        yield torch.cat([labels == number for number in range(3)], 1).float(), labels


def pixelwise(channels: int) -> nn.Module:
    network = nn.Conv2d(3, channels, 1)
    for values in network.parameters():
        nn.init.zeros_(values)
    return network


def test_several_classes_are_told_apart() -> None:
    network = pixelwise(3)
    fit(network, batches(), STEPS, 0.3, several=True)
    images, labels = next(batches())
    assert torch.equal(network(images).argmax(1, keepdim=True), labels)


def test_one_channel_tells_what_is_above_zero() -> None:
    network = pixelwise(1)
    fit(network, batches(), STEPS, 0.3, several=False)
    images, labels = next(batches())
    assert torch.equal(network(images) > 0, labels > 0)


def test_a_network_that_answers_with_a_dictionary_is_trained_too() -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = pixelwise(3)

        def forward(self, images: Tensor) -> dict[str, Tensor]:
            return {"out": self.inner(images)}

    wrapped, plain = Wrapped(), pixelwise(3)
    for network in (wrapped, plain):
        fit(network, batches(4), 4, 0.3, several=True)
    assert weights_digest(wrapped.inner) == weights_digest(plain)


def test_the_rate_rises_and_falls_to_nothing() -> None:
    network, seen = pixelwise(3), []

    def watched() -> Iterator[tuple[Tensor, Tensor]]:
        for pair in batches(20):
            seen.append(network.weight.detach().clone())
            yield pair

    fit(network, watched(), 20, 0.3, several=True)
    seen.append(network.weight.detach().clone())
    changes = [float((after - before).abs().max()) for before, after in pairwise(seen)]
    assert len(changes) == 20
    assert changes[0] < 0.5 * max(changes)
    assert 0 < changes[-1] < 0.01 * max(changes)
    assert max(changes) < 0.4  # AdamW changes a weight by about the rate


def test_the_weights_decay_as_told_and_by_a_hundredth_else() -> None:
    found = []
    for options in ({}, {"weight_decay": 0.01}, {"weight_decay": 0.5}):
        network = pixelwise(3)
        fit(network, batches(10), 10, 0.3, several=True, **options)
        found.append(float(network.weight.detach().norm()))
    assert found[0] == found[1] > found[2]


def test_the_network_is_left_in_training_mode() -> None:
    network = pixelwise(3).eval()
    fit(network, batches(1), 1, 0.3, several=True)
    assert network.training


def test_what_was_trained_is_kept_and_not_trained_again(tmp_path: Path) -> None:
    file = tmp_path / "networks" / "net.pt"
    network, asked = pixelwise(3), []

    def train() -> None:
        asked.append(1)
        nn.init.ones_(network.weight)

    for _ in range(2):
        keep_trained(network, file, train)
    assert len(asked) == 1
    kept = torch.load(file, weights_only=True)
    assert torch.equal(kept["weight"], torch.ones(3, 3, 1, 1))
    assert [path.name for path in file.parent.iterdir()] == ["net.pt"]


def test_a_training_that_breaks_off_keeps_nothing(tmp_path: Path) -> None:
    def train() -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        keep_trained(pixelwise(3), tmp_path / "net.pt", train)
    assert list(tmp_path.iterdir()) == []


def test_the_digest_is_of_weights_and_buffers_by_name() -> None:
    first, second = UNet(2, 1, 1, (4,)), UNet(2, 1, 1, (4,))
    second.load_state_dict(first.state_dict())
    assert weights_digest(first) == weights_digest(second)
    second.stem[1].running_mean += 1
    assert weights_digest(first) != weights_digest(second)
    one, other = nn.Module(), nn.Module()
    one.register_parameter("a", nn.Parameter(torch.zeros(2)))
    other.register_parameter("b", nn.Parameter(torch.zeros(2)))
    assert weights_digest(one) != weights_digest(other)
    assert len(weights_digest(one)) == 16
