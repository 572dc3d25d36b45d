# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from monai_causal.networks.nets import UNet, build_network


def test_the_unet_of_the_study_by_name() -> None:
    network = build_network("unet")
    assert isinstance(network, UNet)
    assert sum(parameter.numel() for parameter in network.parameters()) == 13_395_329


def test_channels_and_options_reach_the_network() -> None:
    """The same seed gives the same network as the class itself."""
    options = {"in_channels": 2, "out_channels": 4, "spatial_dims": 3, "widths": (2, 3)}
    torch.manual_seed(0)
    expected = UNet(**options).state_dict()
    torch.manual_seed(0)
    found = build_network("unet", **options).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("name", ["UNet", "resnet", ""])
def test_a_name_that_is_not_known(name: str) -> None:
    with pytest.raises(ValueError, match=f"there is no network '{name}'; known are: .*unet"):
        build_network(name)


def test_an_option_that_is_not_known() -> None:
    with pytest.raises(TypeError, match="depth"):
        build_network("unet", depth=3)
