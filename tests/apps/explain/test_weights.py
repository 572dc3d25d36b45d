# SPDX-License-Identifier: Apache-2.0
"""Weights come whole, from every form that a checkpoint has."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from monai_causal.apps.explain.weights import load_weights
from monai_causal.extras import MissingExtraError


@pytest.mark.parametrize("holder", [None, "model", "state_dict", "network"])
def test_a_checkpoint_is_loaded_whole(holder: str | None, tmp_path: Path) -> None:
    source, target = nn.Conv2d(2, 3, 3), nn.Conv2d(2, 3, 3)
    content: Any = source.state_dict() if holder is None else {"epoch": 3, holder: source.state_dict()}
    torch.save(content, tmp_path / "w.pt")
    digest = load_weights(target, tmp_path / "w.pt")
    assert digest == hashlib.sha256((tmp_path / "w.pt").read_bytes()).hexdigest()
    assert torch.equal(target.weight, source.weight)
    assert torch.equal(target.bias, source.bias)


def test_safetensors_are_loaded_too(tmp_path: Path) -> None:
    save_file = pytest.importorskip("safetensors.torch").save_file
    source, target = nn.Conv2d(2, 3, 3), nn.Conv2d(2, 3, 3)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    load_weights(target, tmp_path / "w.safetensors")
    assert torch.equal(target.weight, source.weight)
    (tmp_path / "w.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(ValueError, match="the checkpoint cannot be read"):
        load_weights(target, tmp_path / "w.safetensors")


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.safetensors").touch()
    monkeypatch.setitem(__import__("sys").modules, "safetensors.torch", None)
    with pytest.raises(MissingExtraError, match="networks"):
        load_weights(nn.Conv2d(1, 1, 1), tmp_path / "w.safetensors")


def test_another_networks_weights_leave_this_one_alone(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(3, 2, 3, 3)}, tmp_path / "w.pt")
    network = nn.Conv2d(2, 3, 3)
    before = network.weight.clone()
    with pytest.raises(ValueError, match=r"Of its 1 weights and the network's 2: 1 missing: bias\."):
        load_weights(network, tmp_path / "w.pt")
    assert torch.equal(network.weight, before)
