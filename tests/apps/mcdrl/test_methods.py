# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from monai_causal.apps.mcdrl.method_names import METHODS
from monai_causal.apps.mcdrl.methods import build, phantom_prototypes, settings_of
from monai_causal.apps.mcdrl.settings import NetworkConfig, TrainConfig
from monai_causal.losses import MCDRLLoss, PromptLoss
from monai_causal.networks.nets.mcdrl import MCDRL
from tests.networks.blocks.tiny_clip import tiny_clip_folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> NetworkConfig:
    folder = tiny_clip_folder(tmp_path_factory.mktemp("clip"))
    return NetworkConfig(encoder=str(folder), depth=1, hidden=16)


def made(name: str, shared: NetworkConfig, seed: int = 0) -> nn.Module:
    return build(name, shared, TrainConfig(), ("polyp",), seed)[0]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_a_step_and_answers(name: str, shared: NetworkConfig) -> None:
    network, loss = build(name, shared, TrainConfig(), ("polyp",), 0)
    images, labels = torch.rand(2, 3, 64, 64), torch.zeros(2, 1, 64, 64).long()
    labels[0, :, 10:30, 10:30] = 1
    loss(network.train()(images), labels).backward()
    assert any(one.grad is not None and one.grad.abs().sum() > 0 for one in network.parameters())
    assert network.eval()(images).shape == (2, 1, 64, 64)


@pytest.mark.parametrize("name", ["mcdrl", "learned", "prototypes", "stylip", "biomedcoop", "flexible-unet"])
def test_new_weights_belong_to_the_seed(name: str, shared: NetworkConfig) -> None:
    phantom_prototypes.cache_clear()
    state = torch.random.get_rng_state()
    first, again, other = made(name, shared), made(name, shared), made(name, shared, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    differences = []
    for (key, one), two, three in zip(
        first.state_dict().items(), again.state_dict().values(), other.state_dict().values(), strict=True
    ):
        assert torch.equal(one, two), key
        differences.append(not torch.equal(one, three))
    assert any(differences)


def test_a_dictionary_control_differs_from_mcdrl_in_its_dictionary_alone(shared: NetworkConfig) -> None:
    reference = made("mcdrl", shared).state_dict()
    for name in ("random", "shuffled", "irrelevant", "learned"):
        state = made(name, shared).state_dict()
        assert {key for key in state if not torch.equal(state[key], reference[key])} == {"dictionary"}


def test_the_baseline_of_equal_size_has_the_size_of_mcdrl(shared: NetworkConfig) -> None:
    def size(name: str) -> int:
        return sum(one.numel() for one in made(name, shared).parameters())

    # a layer norm of the dictionary per layer is all that it lacks
    network = made("mcdrl", shared)
    assert isinstance(network, MCDRL)
    assert size("mcdrl") - size("baseline-equal") == 2 * network.classes.shape[1]
    assert size("baseline") < size("baseline-equal")


def test_selection_and_intervention_are_left_out_by_name(shared: NetworkConfig) -> None:
    cells = torch.randn(1, made("mcdrl", shared).classes.shape[1], 4, 4)  # type: ignore[index]
    for name, changed in (("baseline", False), ("no-mtrs", True), ("mcdrl", True), ("no-cdrl", True)):
        network = made(name, shared).eval()
        assert isinstance(network, MCDRL)
        after, kept = network.represent(cells)
        assert torch.equal(after, cells) is not changed, name
        assert bool(kept.all()) == (name in ("baseline", "no-mtrs"))


def test_losses_are_those_of_the_method() -> None:
    train = TrainConfig(lambda_causal=0.4, temperature=0.2, dice=0.3, pool="lesion")
    assert settings_of("no-causal-loss", train).lambda_causal == 0
    assert settings_of("baseline", train).lambda_contrast == 0
    assert settings_of("mcdrl", TrainConfig(settings="paper")).epochs == 50
    loss = build("flexible-unet", NetworkConfig(), train, ("polyp",), 0)[1]
    assert isinstance(loss, MCDRLLoss)
    assert (loss.lambda_causal, loss.temperature, loss.pool) == (0.4, 0.2, "lesion")


def test_the_compared_methods_have_the_studys_losses_too(shared: NetworkConfig) -> None:
    loss = build("stylip", shared, TrainConfig(lambda_contrast=0.3, temperature=0.2, dice=0.0), ("polyp",), 0)[1]
    assert isinstance(loss, PromptLoss)
    assert (loss.lambda_contrast, loss.temperature) == (0.3, 0.2)
    images, labels = torch.rand(1, 1, 8, 8), torch.ones(1, 1, 8, 8).long()
    assert float(loss(images, labels)) == pytest.approx(float(nn.functional.softplus(-images).mean()), abs=1e-6)


@pytest.mark.parametrize("name", ["mcdrl", "stylip", "biomedcoop"])
def test_what_of_the_encoder_learns_is_the_same_in_every_method(name: str, shared: NetworkConfig) -> None:
    for tune in ("frozen", "full"):
        network = made(name, replace(shared, tune=tune))
        assert any(one.requires_grad for one in network.encoder.parameters()) == (tune == "full")  # type: ignore[union-attr]
        assert network.tune == tune


def test_several_classes_have_a_channel_each_and_one_for_the_background(shared: NetworkConfig) -> None:
    for name in ("mcdrl", "stylip", "flexible-unet"):
        network = build(name, shared, TrainConfig(), ("polyp", "tumour"), 0)[0].eval()
        assert network(torch.rand(1, 3, 64, 64)).shape[1] == 3
