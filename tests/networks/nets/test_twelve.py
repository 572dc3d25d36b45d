# SPDX-License-Identifier: Apache-2.0
"""What all twelve networks of the PdCR study have in common, at a reduced width."""

from __future__ import annotations

import pytest
import torch

from monai_causal.intervene import Evaluator, MaskedMeanProbability, MeanFill, grid_regions
from monai_causal.intervene.execution.trace import trace
from tests.networks.nets.small import SMALL, small

CONVOLUTIONAL = {"unet", "segnet", "unet++", "hrnet"}
"""All of whose operations are local; the others read all of a map somewhere."""
SHIFT_INVARIANT = ("k_proj.bias", "key.bias")
"""A constant added to all keys changes no attention."""

HEAVY = {"unet++", "hrnet", "mcu-re"}
"""Seconds to take apart, whatever the width."""

each = pytest.mark.parametrize("name", SMALL)


@each
def test_channels_and_sizes(name: str) -> None:
    network = small(name, in_channels=2, out_channels=3)
    with torch.no_grad():
        for size in ((64, 64), (32, 96)):
            found = network(torch.randn(1, 2, *size))
            assert found.shape == (1, 3, *size)
            assert found.std() > 0
    with pytest.raises(ValueError, match=r"an image of \(64, 62\) does not fit: each axis must be a multiple of \d+"):
        network(torch.zeros(1, 2, 64, 62))


@each
def test_a_batch_of_one_is_a_batch_of_many_and_gradients_reach_all(name: str) -> None:
    network = small(name).double()
    images = torch.rand(3, 3, 64, 64, dtype=torch.float64)
    together = network(images)
    with torch.no_grad():
        torch.testing.assert_close(network(images[1:2]), together[1:2], rtol=0, atol=1e-10)
    (together * torch.randn_like(together)).sum().backward()
    unreached = [
        key
        for key, parameter in network.named_parameters()
        if (parameter.grad is None or not parameter.grad.any()) and not key.endswith(SHIFT_INVARIANT)
    ]
    assert not unreached


@each
def test_mixed_precision_runs_and_is_near(name: str) -> None:
    network = small(name)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    # where pooling hands on which pixel was the largest, rounding moves a few of them to a neighbour
    near = 0.5 if name == "segnet" else 0.1
    with torch.no_grad():
        expected = network(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = network(image).float()
    assert torch.isfinite(found).all()
    assert (found - expected).abs().mean() < near * (expected - expected.mean()).abs().mean() + 0.02


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in HEAVY else name for name in SMALL]
)
def test_it_is_taken_apart_and_its_effects_are_those_of_whole_forwards(name: str) -> None:
    """torch.export takes it, what is local is as expected, and the engine's short cut gives what whole forwards do."""
    network = small(name).double()
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        obstacles = trace(network, image).global_steps()
    assert (not obstacles) == (name in CONVOLUTIONAL)
    mask = torch.zeros(64, 64)
    mask[24:40, 24:40] = 1
    regions = grid_regions((64, 64), 16).subset([0, 5, 6, 11])
    asked = (image, regions, MeanFill(), MaskedMeanProbability(mask))
    dense = Evaluator(network, execution="dense", batch_size=2)(*asked)
    incremental = Evaluator(network, execution="incremental")(*asked)
    assert incremental.record.execution == "incremental"
    assert dense.values.abs().max() > 1e-9
    torch.testing.assert_close(
        torch.as_tensor(incremental.values), torch.as_tensor(dense.values), rtol=1e-6, atol=1e-12
    )
