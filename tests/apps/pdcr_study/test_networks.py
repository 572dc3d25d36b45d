# SPDX-License-Identifier: Apache-2.0
"""Networks of a study: trained alike from the same seed, kept, and never half loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from monai_causal.apps.pdcr_study import networks
from monai_causal.apps.pdcr_study.config import StudyConfig, as_config
from monai_causal.apps.pdcr_study.methods import blocks
from monai_causal.apps.pdcr_study.networks import load_network
from monai_causal.apps.study.training import weights_digest
from monai_causal.networks.nets import UNet


def study(classes: int = 2, **network: Any) -> StudyConfig:
    network = network or {"train": {"steps": 2, "batch": 3}}
    return as_config(
        {
            "data": {
                "name": "phantom",
                "options": {"size": [32, 32]},
                "parts": {"explain": 1, "donors": 1},
                "classes": classes,
            },
            "networks": [{"build": "unet", "options": {"widths": [4]}, **network}],
            "methods": [{"name": "pdcr"}],
        }
    )


@pytest.mark.parametrize(("classes", "channels"), [(1, 1), (2, 3)])
def test_training_is_the_same_from_the_same_seed(tmp_path: Path, classes: int, channels: int) -> None:
    config = study(classes)
    torch.manual_seed(1)
    first = load_network(config, config.networks[0], 1, tmp_path / "a")
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    second = load_network(config, config.networks[0], 1, tmp_path / "b")
    assert torch.equal(torch.random.get_rng_state(), state)  # the caller's own draws go on as if nothing had been
    assert weights_digest(first) == weights_digest(second)
    assert not first.training
    assert first(torch.zeros(1, 1, 32, 32)).shape == (1, channels, 32, 32)


def test_a_trained_network_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = study()
    first = load_network(config, config.networks[0], 1, tmp_path)

    def again(*arguments: Any) -> None:
        raise AssertionError("it was trained already")

    monkeypatch.setattr(networks, "train_on_phantoms", again)
    assert weights_digest(load_network(config, config.networks[0], 1, tmp_path)) == weights_digest(first)


def test_a_checkpoint_of_another_network_is_an_error(tmp_path: Path) -> None:
    torch.save(UNet(2, 1, 3, (4, 8)).state_dict(), tmp_path / "other.pt")
    config = study(checkpoint=str(tmp_path / "other.pt"))
    with pytest.raises(ValueError, match="the checkpoint of network 'unet' belongs to another network"):
        load_network(config, config.networks[0], 1, tmp_path)


def test_the_blocks_of_a_network() -> None:
    assert blocks(UNet(2, 1, 1, (4, 8))) == ("stem", "down.0", "down.1", "up.0", "up.1", "head")
    wrapped = nn.Sequential(UNet(2, 1, 1, (4,)))
    assert blocks(wrapped) == ("0.stem", "0.down.0", "0.up.0", "0.head")
    assert blocks(nn.Sequential(nn.Conv2d(1, 1, 1))) == ("0",)
