# SPDX-License-Identifier: Apache-2.0
"""Interventions on components of a network, against the same network taken apart and put together by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn

from monai_causal.intervene import (
    CallableScore,
    ConstantFill,
    DonorPatchFill,
    Evaluator,
    MeanFill,
    ModuleRegions,
    RoIDice,
    module_regions,
)
from monai_causal.intervene.modules import Component
from tests.intervene.replicas import Counting

Surgery = Callable[[Tensor], Tensor]


def keep(activation: Tensor) -> Tensor:
    return activation


class Segmenter(nn.Module):
    """Convolution, norm, an in-place activation, squeeze and excitation, attention over voxels, convolution."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        convolution, norm = {2: (nn.Conv2d, nn.BatchNorm2d), 3: (nn.Conv3d, nn.BatchNorm3d)}[dims]
        self.enter = convolution(2, 4, 3, padding=1)
        self.body = nn.Sequential(norm(4), nn.ReLU(inplace=True))
        self.squeeze = nn.Linear(4, 4)
        self.tokens = nn.Linear(4, 3)
        self.scale = nn.LayerNorm(3)
        self.leave = convolution(3, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return by_hand(self, image)


def by_hand(net: Segmenter, image: Tensor, **surgery: Surgery) -> Tensor:
    """The forward over again, with what some components give replaced on its way."""

    def cut(name: str, activation: Tensor) -> Tensor:
        return surgery.get(name, keep)(activation)

    inner = cut("enter", net.enter(image))
    inner = cut("body", net.body(inner))
    inner = inner * cut("squeeze", net.squeeze(inner.flatten(2).mean(2))).sigmoid()[(..., *[None] * (image.ndim - 2))]
    tokens = cut("tokens", net.tokens(inner.flatten(2).transpose(1, 2)))
    tokens = cut("scale", net.scale(tokens))
    return cut("leave", net.leave(tokens.transpose(1, 2).reshape(-1, 3, *image.shape[2:])))


MODULES = ["enter", "body", "squeeze", "tokens", "scale", "leave"]
LAST = {"squeeze", "tokens", "scale"}  # their channels come last
FILLS: dict[str, Any] = {
    "zero": 0,
    "mean": MeanFill(),
    "mean of all": MeanFill("image"),
    "mean of region": MeanFill("region"),
    "constant": ConstantFill(-0.5),
}


@pytest.fixture(params=[2, 3])
def setting(request: pytest.FixtureRequest) -> tuple[Segmenter, Tensor]:
    torch.manual_seed(request.param)
    net = Segmenter(request.param).double().eval()
    return net, torch.rand(1, 2, *(6, 5, 4)[: request.param], dtype=torch.float64)


def all_of(output: Tensor) -> Tensor:
    return output.flatten(1)


def one_channel(module: str, activation: Tensor, channel: int | None) -> tuple[Any, ...]:
    """Where a channel lies in a module's activation."""
    if channel is None:
        return (...,)
    return (..., channel) if module in LAST else (slice(None), channel)


def replaced(module: str, channel: int | None, fill: str) -> Surgery:
    def surgery(activation: Tensor) -> Tensor:
        activation = activation.clone()
        places = range(activation.shape[-1 if module in LAST else 1]) if channel is None else [channel]
        whole = activation.clone()
        for place in places:
            at = one_channel(module, activation, place)
            value = {
                "zero": torch.zeros(()),
                "constant": torch.tensor(-0.5),
                "mean of all": whole.mean(),
                "mean": whole[at].mean(),
                "mean of region": whole[at].mean(),
            }[fill]
            activation[at] = value
        return activation

    return surgery


@torch.no_grad()
@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("fill", FILLS)
def test_whole_modules(setting: tuple[Segmenter, Tensor], fill: str, batch_size: int) -> None:
    net, image = setting
    regions = module_regions(net, MODULES)
    effects = Evaluator(net, batch_size)(image, regions, FILLS[fill], CallableScore(all_of))
    for row, module in enumerate(MODULES):
        expected = by_hand(net, image, **{module: replaced(module, None, fill)}) - net(image)
        torch.testing.assert_close(effects.values[row, 0], expected.flatten(), rtol=0, atol=1e-12)
        # one number per channel is its own mean
        assert bool(expected.any()) is not (module == "squeeze" and fill in ("mean", "mean of region"))
    assert effects.record.execution == "modules"
    assert effects.record.reason == "the regions are components of the network"


@torch.no_grad()
@pytest.mark.parametrize("fill", FILLS)
def test_channels(setting: tuple[Segmenter, Tensor], fill: str) -> None:
    net, image = setting
    regions = module_regions(net, ["enter", "squeeze", "tokens"], channels=True)
    assert len(regions) == 4 + 4 + 3
    order = [7, 0, 10, 3, 2, 4, 8, 1]  # modules in turn, as a caller may ask for them
    effects = Evaluator(net, 2)(image, regions.subset(order), FILLS[fill], CallableScore(all_of))
    for row, number in enumerate(order):
        part = regions[number]
        expected = by_hand(net, image, **{part.module: replaced(part.module, part.channel, fill)}) - net(image)
        torch.testing.assert_close(effects.values[row, 0], expected.flatten(), rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("channels", [False, True])
def test_donors_are_what_the_module_makes_of_other_images(setting: tuple[Segmenter, Tensor], channels: bool) -> None:
    net, image = setting
    bank = torch.rand(3, *image.shape[1:], dtype=torch.float64)
    regions = module_regions(net, ["enter", "squeeze", "tokens"], channels=channels)
    fill = DonorPatchFill(bank, order="every")
    effects = Evaluator(net, 4)(image, regions, fill, CallableScore(all_of), draws=3)
    for row, part in enumerate(regions):
        for draw in range(3):
            seen: list[Tensor] = []
            by_hand(net, bank[draw : draw + 1], **{part.module: lambda given, seen=seen: seen.append(given) or given})

            def donated(activation: Tensor, part: Component = part, donor: Tensor = seen[0]) -> Tensor:
                at = one_channel(part.module, activation, part.channel)
                activation = activation.clone()
                activation[at] = donor[at]
                return activation

            expected = by_hand(net, image, **{part.module: donated}) - net(image)
            torch.testing.assert_close(effects.values[row, draw], expected.flatten(), rtol=0, atol=1e-12)


def test_a_module_in_which_the_answer_is_does_what_the_surgeon_does() -> None:
    """In closed form: y = 2 a + 3 b over two channels, each a multiple of the image."""
    net = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.Conv2d(2, 1, 1, bias=False)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([1.0, 10.0]).reshape(2, 1, 1, 1))
        net[1].weight.copy_(torch.tensor([2.0, 3.0]).reshape(1, 2, 1, 1))
    image = torch.tensor([[[[1.0, 2.0, 6.0]]]], dtype=torch.float64)
    effects = Evaluator(net)(image, module_regions(net, "0", channels=True), 0, CallableScore(all_of))
    assert effects.values[:, 0].tolist() == [[-2.0, -4.0, -12.0], [-30.0, -60.0, -180.0]]
    effects = Evaluator(net)(image, module_regions(net, "0", channels=True), MeanFill(), CallableScore(all_of))
    assert effects.values[:, 0].tolist() == [[4.0, 2.0, -6.0], [60.0, 30.0, -90.0]]


def test_hard_decisions_are_those_of_single_forwards(setting: tuple[Segmenter, Tensor]) -> None:
    net, image = setting
    net, image = net.float(), image.float()
    with torch.no_grad():
        net.leave.weight.mul_(1e-4)  # every logit near the threshold
        net.leave.bias.sub_(net(image).median())
    regions, roi = module_regions(net, ["enter", "tokens"], channels=True), tuple((1, n) for n in image.shape[2:])
    score = RoIDice(roi, torch.rand(image.shape[2:]) < 0.5)
    alone = Evaluator(net, 1)(image, regions, 0, score)
    together = Evaluator(net, 7)(image, regions, 0, score)
    assert torch.equal(alone.values, together.values)
    assert (alone.record.recomputed, together.record.recomputed) == (0, len(regions))


def hooks(net: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules())


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("when", [1, 2, 4])
def test_no_hook_stays(setting: tuple[Segmenter, Tensor], when: int, error: type[BaseException]) -> None:
    net, image = setting
    calls = []

    def own_hook(*_: Any) -> None:
        calls.append(1)
        if len(calls) == when:
            raise error

    own = net.leave.register_forward_hook(own_hook)
    ask = Evaluator(net.train(), 1)
    with pytest.raises(error):
        ask(image, module_regions(net), 0, CallableScore(all_of))
    assert hooks(net) == 1
    assert net.training
    own.remove()
    ask(image, module_regions(net), MeanFill(), CallableScore(all_of))
    assert hooks(net) == 0


def test_one_forward_per_component_and_one_before(setting: tuple[Segmenter, Tensor]) -> None:
    net, image = setting
    counted = Counting(net)
    regions = module_regions(counted, "network.enter", channels=True)
    effects = Evaluator(counted, 3)(image, regions, 0, CallableScore(all_of))
    assert counted.batches == [1, 3, 1]
    assert effects.record.forwards == 5
    with pytest.raises(ValueError, match="have no place in the image"):
        effects.to_map()


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(1, 1, 3, padding=1)
        self.never = nn.Conv2d(1, 1, 1)
        self.pair = Pair()
        self.folded = nn.Conv2d(1, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        image = self.one(self.one(image)) + self.pair(image)[0]
        return self.folded(image.reshape(-1, 1, 2, image.shape[3])).reshape(image.shape)


class Pair(nn.Module):
    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return image, image


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(1, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.inner(image.mul_(2)).sum(1, keepdim=True)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_network_that_writes_into_its_input(batch_size: int) -> None:
    torch.manual_seed(0)
    net, image = InPlace().double(), torch.rand(1, 1, 5, 5, dtype=torch.float64)
    before = image.clone()
    effects = Evaluator(net, batch_size)(image, module_regions(net, "inner", channels=True), 0, CallableScore(all_of))
    assert torch.equal(image, before)
    with torch.no_grad():
        expected = -net.inner(2 * before)[0].flatten(1)
    torch.testing.assert_close(effects.values[:, 0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("regions", "match"),
    [
        (ModuleRegions((Component(0, "other"),)), "no module 'other': make the regions from this network"),
        (ModuleRegions((Component(0, "one"),)), "'one' runs more than once per forward"),
        (ModuleRegions((Component(0, "never"),)), "'never' did not run"),
        (ModuleRegions((Component(0, "pair"),)), "'pair' gives tuple, not a tensor"),
        (ModuleRegions((Component(0, "folded"),)), r"'folded' gives \(3, 1, 2, 4\) for one image"),
    ],
)
def test_components_that_cannot_be_replaced(regions: ModuleRegions, match: str) -> None:
    net = Twice()
    with pytest.raises(ValueError, match=match):
        Evaluator(net)(torch.rand(1, 1, 6, 4), regions, 0, CallableScore(all_of))
    assert hooks(net) == 0


def test_a_channel_that_is_not_there(setting: tuple[Segmenter, Tensor]) -> None:
    net, image = setting
    with pytest.raises(ValueError, match=r"enter\[9\]: the module's activation has 4 channels"):
        Evaluator(net)(image, ModuleRegions((Component(0, "enter", 9),)), 0, CallableScore(all_of))


def test_donors_of_other_channels_are_refused_before_any_forward(setting: tuple[Segmenter, Tensor]) -> None:
    net, image = setting
    counted = Counting(net)
    donors = torch.rand(2, 3, *image.shape[2:])
    with pytest.raises(ValueError, match=r"a donor has shape \(3, .*the image \(2, "):
        Evaluator(counted)(image, module_regions(counted), DonorPatchFill(donors), CallableScore(all_of))
    assert counted.batches == []


def test_only_a_module_has_components_and_only_without_windows(setting: tuple[Segmenter, Tensor]) -> None:
    net, image = setting
    with pytest.raises(ValueError, match="plain callable"):
        Evaluator(lambda batch: net(batch))(image, module_regions(net), 0, CallableScore(all_of))
    with pytest.raises(ValueError, match="leave the inferer out"):
        Evaluator(net, inferer=SlidingWindowInferer(4))(image, module_regions(net), 0, CallableScore(all_of))
