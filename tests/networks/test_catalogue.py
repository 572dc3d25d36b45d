# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from monai_causal.networks.catalogue import CATALOGUE, in_words
from monai_causal.networks.nets import build_network

STUDY = {
    "unet": 13.395,
    "segnet": 29.444,
    "unet++": 26.904,
    "hrnet": 29.531,
    "segformer": 3.714,
    "transunet": 105.322,
    "swin-unet": 27.176,
    "unext": 1.472,
    "vm-unet": 27.428,
    "u-kan": 6.357,
    "mcu-re": 39.752,
}
"""Millions of parameters as the study's networks have them; its LightM-UNet could not be built."""


@pytest.mark.parametrize("name", CATALOGUE)
def test_what_a_network_weighs_and_costs(name: str) -> None:
    with torch.device("meta"):  # shapes alone, nothing is computed
        network = build_network(name).eval()
    entry = CATALOGUE[name]
    assert sum(parameter.numel() for parameter in network.parameters()) == entry.parameters
    assert network.__doc__ is not None
    assert f"{entry.parameters:,}" in network.__doc__
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        assert network(torch.empty(1, 3, 256, 256, device="meta")).shape == (1, 1, 256, 256)
    assert counter.get_total_flops() / 2e9 == pytest.approx(entry.multiplications, abs=0.006)


def test_counts_are_the_studys() -> None:
    assert {name: one.parameters / 1e6 for name, one in CATALOGUE.items() if name in STUDY} == pytest.approx(
        STUDY, rel=0.05
    )
    assert set(CATALOGUE) - set(STUDY) == {"lightm-unet"}


def test_the_list_for_people() -> None:
    lines = in_words().splitlines()
    assert len(lines) == 13
    assert "name" in lines[0]
    for name, line in zip(CATALOGUE, lines[1:], strict=True):
        assert line.startswith(name)
        assert f"{CATALOGUE[name].parameters:,}" in line
