# SPDX-License-Identifier: Apache-2.0
"""A network taken apart is the network; what cannot be taken apart says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monai_causal.intervene.execution import trace as module
from monai_causal.intervene.execution.session import Session
from monai_causal.intervene.execution.trace import NotTraceableError, Trace, TraceCache, trace

SHAPE = (1, 2, 8, 6)


@pytest.fixture
def image() -> Tensor:
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Function(nn.Module):
    def __init__(self, function: Callable[..., Any], *layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.layers = nn.ModuleList(layers)

    def forward(self, image: Tensor, *others: Any) -> Any:
        return self.function(self, image, *others)


def conv(channels: int = 2, width: int = 2, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(channels, width, 3, padding=1, **options)


def norm(channels: int = 2, **options: Any) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(channels, **options)
    for name, value in made.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand(channels) + (0.5 if "var" in name else -0.5))
    return made


def kinds(made: Trace) -> list[str]:
    return [step.kind for step in made.steps]


@torch.no_grad()
def answer(made: Trace, image: Tensor) -> Tensor:
    return made.forward(image)[made.output.name]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    "make",
    [
        lambda bias: conv(2, 4, bias=bias, groups=2),
        lambda bias: nn.ConvTranspose2d(2, 4, 3, 2, bias=bias),
    ],
)
@torch.no_grad()
def test_a_frozen_norm_becomes_part_of_the_convolution(
    make: Callable[[bool], nn.Module], affine: bool, bias: bool, image: Tensor
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(make(bias), norm(4, affine=affine), nn.ReLU()).double().eval()
    made = trace(network, image)
    assert len(made.steps) == 2
    torch.testing.assert_close(answer(made, image), network(image), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "network",
    [
        Function(lambda self, x: self.layers[1](y := self.layers[0](x)) + y, conv(), norm()),  # read twice
        nn.Sequential(nn.ConvTranspose2d(2, 2, 3, groups=2), norm()),  # scaled per input channel of a group
        nn.Sequential(conv(), nn.ReLU(), norm()),
        nn.Sequential(norm(), conv()),
        nn.Sequential(nn.utils.parametrizations.weight_norm(conv()), norm()),
    ],
)
@torch.no_grad()
def test_other_norms_are_left_alone(network: nn.Module, image: Tensor) -> None:
    network.double().eval()
    made = trace(network, image)
    assert "_native_batch_norm_legit_no_training" in kinds(made)
    torch.testing.assert_close(answer(made, image), network(image), rtol=0, atol=1e-12)


@torch.no_grad()
def test_an_answer_that_is_a_convolution_before_a_norm_is_not_folded(image: Tensor) -> None:
    network = Function(lambda self, x: (y := self.layers[0](x), self.layers[1](y)), conv(), norm()).double().eval()
    made = trace(network, image)
    assert kinds(made) == ["conv2d"]  # what the answer does not depend on is left out, too
    torch.testing.assert_close(answer(made, image), network(image)[0], rtol=0, atol=0)


@torch.no_grad()
def test_weights_are_those_of_now(image: Tensor) -> None:
    """Changed in place, loaded, replaced; shared ones; buffers; the norm in the convolution; plain tensors."""
    network = nn.Sequential(conv(), norm(), nn.ReLU(), conv(), Function(lambda self, x: x * self.scale))
    network[4].register_buffer("scale", torch.tensor(0.5))
    network[3].weight = network[0].weight
    network.double().eval()
    made = trace(network, image)
    before = answer(made, image)
    for change in (
        lambda: network[0].weight.mul_(1.5),
        lambda: network[1].running_mean.add_(1),
        lambda: network[1].weight.neg_(),
        lambda: network[4].scale.fill_(0.25),
        lambda: network.load_state_dict({k: v + 0.1 for k, v in network.state_dict().items()}),
        lambda: setattr(network[3], "bias", nn.Parameter(torch.ones(2, dtype=torch.float64))),
    ):
        change()
        now = answer(made, image)
        torch.testing.assert_close(now, network(image), rtol=0, atol=1e-12)
        assert not torch.equal(now, before)
        before = now


@torch.no_grad()
def test_only_what_is_asked_for_is_kept(image: Tensor) -> None:
    made = trace(nn.Sequential(conv(), nn.Tanh(), conv(), nn.Sigmoid()).double(), image)
    first, second, third, last = (step.name for step in made.steps)
    found = made.forward(image, {first})
    assert {first, last} <= found.keys()
    assert not {second, third, made.input.name} & found.keys()
    assert not {first, second, third} & made.forward(image, set()).keys()


@torch.no_grad()
def test_what_is_read_around_a_change_is_kept_by_default(image: Tensor) -> None:
    made = trace(nn.Sequential(conv(), nn.Tanh(), conv(), nn.Sigmoid()).double(), image)
    first, second, third, last = (step.name for step in made.steps)
    found = made.forward(image)
    assert {made.input.name, second, last} <= found.keys()
    assert not {first, third} & found.keys()  # each goes through one point-wise step and nowhere else


def test_steps_know_where_they_are(image: Tensor) -> None:
    block = nn.Sequential(conv(), nn.Softmax(3))
    made = trace(nn.Sequential(block, Function(lambda self, x: x.flip(2))).double(), image)
    assert [step.place for step in made.steps] == ["conv2d in 0.0", "softmax in 0.1", "flip in 1"]
    assert [step.place for step in made.global_steps()] == ["softmax in 0.1", "flip in 1"]
    assert trace(Function(lambda self, x: x * 2), image).steps[0].place == "mul"


def test_multiplications_are_counted(image: Tensor) -> None:
    network = nn.Sequential(
        nn.Conv2d(2, 4, (3, 1), groups=2),
        nn.ConvTranspose2d(4, 6, 2, groups=2),
        nn.ReLU(),
        Function(lambda self, x: self.layers[0](x), nn.Linear(7, 5)),
    ).double()
    made = trace(network, image)
    assert {step.kind: step.weight for step in made.steps} == {
        "conv2d": 4 * 6 * 6 * 3,
        "conv_transpose2d": 4 * 6 * 6 * 3 * 4,
        "relu": 6 * 7 * 7,
        "linear": 6 * 7 * 5 * 7,
    }


@pytest.mark.parametrize(
    "output",
    [
        lambda self, x: {"out": self.layers[0](x), "aux": x},
        lambda self, x: {"only": self.layers[0](x), "note": None},
        lambda self, x: [self.layers[0](x), x],
        lambda self, x: ({"out": (self.layers[0](x), x)}, x),
    ],
)
@torch.no_grad()
def test_the_segmentation_is_found_in_what_a_network_returns(output: Callable[..., Any], image: Tensor) -> None:
    network = Function(output, conv()).double()
    torch.testing.assert_close(answer(trace(network, image), image), network.layers[0](image), rtol=0, atol=0)


def writes_its_input(self: nn.Module, image: Tensor) -> Tensor:
    return self.layers[0](image.mul_(2))


def counts_its_calls(self: nn.Module, image: Tensor) -> Tensor:
    self.calls.add_(1)
    return self.layers[0](image)


def branches(self: nn.Module, image: Tensor) -> Tensor:
    return self.layers[0](image) if image.mean() > 0.5 else image


def chooses(self: nn.Module, image: Tensor) -> Tensor:
    return torch.cond(image.sum() > 0, self.layers[0], torch.clone, (image,))


def with_buffer(network: nn.Module) -> nn.Module:
    network.register_buffer("calls", torch.zeros(()))
    return network


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (lambda x: x, "plain callable"),
        (Function(writes_its_input, conv()), "writes into its input"),
        (with_buffer(Function(counts_its_calls, conv())), "writes into its own buffers"),
        (Function(branches, conv()), r"torch\.export does not take this network \(Could not guard on data-dependent"),
        (Function(lambda self, x: {"a": x + 1, "b": x}), r"keys \['a', 'b'\]"),
        (Function(lambda self, x: None), "NoneType"),
        (Function(chooses, conv()), "cond holds operations of its own"),
        (Function(lambda self, x: F.pad(x, (9, 9), mode="reflect")), r"torch\.export does not take this network"),
    ],
)
def test_what_cannot_be_taken_apart_says_why(network: Any, why: str, image: Tensor) -> None:
    if isinstance(network, nn.Module):
        network.double()
    with pytest.raises(NotTraceableError, match=why):
        trace(network, image)


@torch.no_grad()
def test_what_the_export_froze_is_not_believed(image: Tensor) -> None:
    """A network that behaves otherwise while it is exported is found out by one comparison."""
    network = Function(lambda self, x: self.layers[0](x) * (2 if torch.compiler.is_exporting() else 1), conv()).double()
    cache, session = TraceCache(), Session(network)
    with pytest.raises(NotTraceableError, match="gives another answer"):
        cache.get(session, image)


@torch.no_grad()
def test_a_network_is_taken_apart_once_per_kind_of_image(image: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, ...]] = []

    def noted(network: Any, like: Tensor) -> Trace:
        made.append(tuple(like.shape))
        return trace(network, like)

    monkeypatch.setattr(module, "trace", noted)
    network = conv().double()
    cache, session = TraceCache(), Session(network)
    first, values = cache.get(session, image)
    assert values is not None
    torch.testing.assert_close(values[first.output.name], network(image), rtol=1e-12, atol=1e-12)
    assert cache.get(session, image + 1) == (first, None)
    assert session.forwards == 1
    assert cache.get(session, image[..., :4])[0] is not first
    network.float()
    assert cache.get(session, image.float())[0] is not first
    assert made == [SHAPE, (1, 2, 8, 4), SHAPE]


def test_a_failure_is_remembered_too(image: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def failing(network: Any, like: Tensor) -> Trace:
        calls.append(1)
        raise NotTraceableError("no")

    monkeypatch.setattr(module, "trace", failing)
    cache, session = TraceCache(), Session(conv().double())
    for _ in range(2):
        with pytest.raises(NotTraceableError, match="no"):
            cache.get(session, image)
    assert calls == [1]


@torch.no_grad()
def test_the_image_is_not_written_to(image: Tensor) -> None:
    network = nn.Sequential(nn.Identity(), Function(lambda self, x: x.clone().mul_(3)), conv()).double()
    before = image.clone()
    TraceCache().get(Session(network), image)
    assert torch.equal(image, before)
