# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from monai_causal.metrics import random_weights_sanity


class WithOwnParameter(nn.Module):
    """A layer without ``reset_parameters`` between two that have one, and a batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.scale = Scale()
        self.last = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(self.scale(torch.tanh(self.norm(self.first(image)))))


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(3, 9, 4).reshape(1, 4, 1, 1))

    def forward(self, values: Tensor) -> Tensor:
        return values * self.weight


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    made = WithOwnParameter()
    made.norm.running_mean.fill_(0.3)
    made.norm.running_var.fill_(4.0)
    made.norm.weight.data.fill_(2.0)
    made.norm.bias.data.fill_(0.5)
    return made.eval()


IMAGE = torch.rand(2, 1, 9, 8, generator=torch.Generator().manual_seed(1))


def answer(network: nn.Module, image: Tensor) -> Tensor:
    with torch.no_grad():
        return network(image)


def recorded(network: nn.Module, **options):
    """The states of the networks that a map was asked of, in order, and the correlations."""
    states = []

    def explain(asked: nn.Module, image: Tensor) -> Tensor:
        states.append(copy.deepcopy(asked.state_dict()))
        return answer(asked, image)

    return random_weights_sanity(explain, network, IMAGE, **options), states


def test_the_cascade_goes_from_the_last_layer_to_the_first(network: nn.Module) -> None:
    found, states = recorded(network)
    assert list(found) == ["last", "scale", "norm", "first"]
    original = network.state_dict()
    spoilt: set[str] = set()
    for layer, before, after in zip(found, states, states[1:], strict=False):
        spoilt.add(layer)
        for name, values in after.items():
            if name.endswith("num_batches_tracked"):
                continue
            assert torch.equal(values, original[name]) == (name.split(".")[0] not in spoilt), (layer, name)
            assert torch.equal(values, before[name]) == (name.split(".")[0] != layer), (layer, name)
    assert torch.equal(states[-1]["norm.running_mean"], torch.zeros(4))
    assert torch.equal(states[-1]["norm.running_var"], torch.ones(4))
    bound = 1 / 3  # PyTorch's own initialisation of a 3 x 3 convolution of one channel
    assert float(states[-1]["first.weight"].abs().max()) <= bound


def test_values_are_the_rank_correlations_of_the_maps(network: nn.Module) -> None:
    found, states = recorded(network)
    original = answer(network, IMAGE)
    for values, state in zip(found.values(), states[1:], strict=True):
        spoilt = WithOwnParameter().eval()
        spoilt.load_state_dict(state)
        maps = answer(spoilt, IMAGE)
        expected = [stats.spearmanr(a.flatten(), b.flatten())[0] for a, b in zip(original, maps, strict=True)]
        assert values.tolist() == pytest.approx(expected, rel=1e-9)
    pearson, _ = recorded(network, correlation="pearson")
    assert pearson["first"].tolist() == pytest.approx(
        [np.corrcoef(a.flatten(), b.flatten())[0, 1] for a, b in zip(original, maps, strict=True)], rel=1e-5
    )


def test_the_end_of_the_cascade_is_full_and_the_seed_decides(network: nn.Module) -> None:
    cascade, states = recorded(network, seed=3)
    full, all_at_once = recorded(network, order="full", seed=3)
    assert list(full) == ["full"]
    assert len(all_at_once) == 2
    assert torch.equal(full["full"], cascade["first"])
    assert all(torch.equal(states[-1][name], values) for name, values in all_at_once[-1].items())
    other, _ = recorded(network, order="full", seed=4)
    assert not torch.equal(other["full"], full["full"])


def test_a_layer_without_a_reset_keeps_its_mean_and_spread() -> None:
    class Many(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(5 + 2 * torch.randn(100, 100))

        def forward(self, image: Tensor) -> Tensor:
            return image * self.weight

    network = Many()
    _, states = recorded_of(network, torch.rand(1, 1, 100, 100))
    assert not torch.allclose(states[-1]["weight"], network.weight)
    assert float(states[-1]["weight"].mean()) == pytest.approx(float(network.weight.detach().mean()), abs=0.1)
    assert float(states[-1]["weight"].std()) == pytest.approx(float(network.weight.detach().std()), rel=0.05)


def recorded_of(network: nn.Module, image: Tensor):
    states = []

    def explain(asked: nn.Module, image: Tensor) -> Tensor:
        states.append(copy.deepcopy(asked.state_dict()))
        return answer(asked, image)

    return random_weights_sanity(explain, network, image), states


def test_a_private_reset_is_found() -> None:
    attention = nn.MultiheadAttention(4, 2, batch_first=True)
    attention.in_proj_bias.data.fill_(1.0)
    biases = []

    def explain(asked: nn.Module, image: Tensor) -> Tensor:
        biases.append(asked.in_proj_bias.detach().clone())
        with torch.no_grad():
            return asked(image[0], image[0], image[0])[0][None]

    image = torch.rand(1, 1, 5, 4)
    before = explain(attention, image)
    found = random_weights_sanity(explain, attention, image, before)
    assert list(found) == ["out_proj", "MultiheadAttention"]
    assert [bias.unique().tolist() for bias in biases] == [[1.0], [1.0], [0.0]]  # its own reset puts biases to 0
    assert abs(found["MultiheadAttention"]) < 0.999


def test_the_network_and_the_global_chance_are_left_alone(network: nn.Module) -> None:
    state, chance = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    network.train()
    network.norm.eval()
    recorded(network)
    assert torch.equal(torch.get_rng_state(), chance)
    assert [module.training for module in network.modules()] == [True, True, False, True, True]
    network.eval()
    assert all(
        torch.equal(values, state[name]) for name, values in network.state_dict().items() if "tracked" not in name
    )


def test_floor_and_ceiling() -> None:
    """An edge detector knows no weights: 1 throughout. The map of a network's own noise is gone: its correlations over
    seeds scatter around 0."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 1, 3, padding=1))
    image = torch.rand(1, 1, 24, 24)
    edges = random_weights_sanity(lambda net, x: x.diff(dim=-1), network, image)
    assert edges == {"1": pytest.approx(1), "0": pytest.approx(1)}
    weights = [
        random_weights_sanity(
            lambda net, x: net[0].weight.detach().reshape(1, 1, 8, 9), network, image, order="full", seed=seed
        )["full"]
        for seed in range(40)
    ]
    assert abs(np.mean(weights)) < 3 / (72 * 40) ** 0.5
    assert np.std(weights) == pytest.approx(1 / 72**0.5, rel=0.35)


def test_a_given_map_is_compared_with_and_one_item_gives_a_float(network: nn.Module) -> None:
    heat = -answer(network, IMAGE[:1])
    found = random_weights_sanity(lambda net, x: -heat, network, IMAGE[:1], heat)
    assert found == {"last": -1.0, "scale": -1.0, "norm": -1.0, "first": -1.0}


def test_bad_arguments_are_refused(network: nn.Module) -> None:
    with pytest.raises(ValueError, match="order='random': choose 'cascading' or 'full'"):
        random_weights_sanity(answer, network, IMAGE, order="random")
    with pytest.raises(ValueError, match="Identity has no parameters: there is nothing to re-initialise"):
        random_weights_sanity(answer, nn.Identity(), IMAGE)
