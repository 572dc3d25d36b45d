# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from monai_causal.intervene import module_regions


def small_network() -> nn.Module:
    """Every kind of layer that computes channels, nested, and some that compute none."""
    return nn.ModuleDict(
        {
            "stem": nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
            "body": nn.Sequential(nn.Dropout(), nn.ConvTranspose2d(4, 2, 2), nn.InstanceNorm2d(2)),
            "head": nn.Linear(2, 3),
            "pool": nn.MaxPool2d(2),
        }
    )


def test_by_default_the_finest_parts_that_compute_channels() -> None:
    regions = module_regions(small_network())
    assert regions.names == ("stem.0", "stem.1", "body.1", "body.2", "head")
    assert regions.ids == (0, 1, 2, 3, 4)
    assert len(regions) == 5
    assert [component.channel for component in regions] == [None] * 5
    assert regions[2].module == "body.1"


def test_named_modules_keep_the_order_given_and_may_be_blocks() -> None:
    regions = module_regions(small_network(), ["head", "stem", "pool", "stem.2"])
    assert regions.names == ("head", "stem", "pool", "stem.2")
    assert module_regions(small_network(), "body").names == ("body",)


@pytest.mark.parametrize(("name", "count"), [("stem.0", 4), ("stem.1", 4), ("body.1", 2), ("body.2", 2), ("head", 3)])
def test_a_channel_each(name: str, count: int) -> None:
    regions = module_regions(small_network(), name, channels=True)
    assert regions.names == tuple(f"{name}[{channel}]" for channel in range(count))
    assert [(component.id, component.module, component.channel) for component in regions] == [
        (channel, name, channel) for channel in range(count)
    ]


def test_channels_of_several_modules_are_numbered_through() -> None:
    regions = module_regions(small_network(), ["body.1", "head"], channels=True)
    assert regions.names == ("body.1[0]", "body.1[1]", "head[0]", "head[1]", "head[2]")
    assert regions.ids == (0, 1, 2, 3, 4)
    assert len(module_regions(small_network(), channels=True)) == 4 + 4 + 2 + 2 + 3


def test_a_subset_keeps_identities() -> None:
    regions = module_regions(small_network(), channels=True)
    picked = regions.subset([10, 3])
    assert picked.ids == (10, 3)
    assert picked.names == ("body.2[0]", "stem.0[3]")
    assert picked[1] == regions[3]
    assert picked.subset(i for i in (1,)).ids == (3,)


class Odd(nn.Module):
    """Knows its number of channels, but holds the layers that compute them."""

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = 7
        self.inner = nn.Conv2d(1, 5, 1)


def test_a_block_is_not_taken_for_a_layer() -> None:
    assert module_regions(nn.Sequential(Odd())).names == ("0.inner",)
    with pytest.raises(ValueError, match=r"module '0' \(Odd\) does not say how many channels it has"):
        module_regions(nn.Sequential(Odd()), "0", channels=True)


@pytest.mark.parametrize(
    ("modules", "options", "message"),
    [
        ("stem.9", {}, r"no module 'stem.9'; near it: stem, stem.0, stem.1, stem.2\.$"),
        ("neck", {}, r"the network has no module 'neck'\.$"),
        (["head", ""], {}, "the network has no module ''"),
        ("stem.2", {"channels": True}, r"module 'stem.2' \(ReLU\) does not say how many channels it has"),
        ([], {}, "no module of this network computes channels: name the modules to intervene on"),
    ],
)
def test_components_that_cannot_be(modules: Any, options: dict[str, bool], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module_regions(small_network(), modules, **options)


def test_a_network_without_channels_needs_names() -> None:
    network = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))
    with pytest.raises(ValueError, match="no module of this network computes channels"):
        module_regions(network)
    assert module_regions(network, "1").names == ("1",)
    with pytest.raises(ValueError, match="no module of this network computes channels"):
        module_regions(nn.Conv2d(1, 1, 1))  # the network itself is no component of it


def test_a_subset_is_chosen_by_positions_or_by_one_bool_per_component() -> None:
    regions = module_regions(nn.Sequential(nn.Conv2d(1, 3, 1)), channels=True)
    assert regions.subset([False, True, True]).ids == regions.subset([1, 2]).ids == (1, 2)
    with pytest.raises(ValueError, match="2 bools for 3 regions"):
        regions.subset([True, False])
