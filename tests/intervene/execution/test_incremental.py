# SPDX-License-Identifier: Apache-2.0
"""Incremental is dense: for random networks, and for what random networks do not think of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._subclasses import FakeTensor
from torch.nn.utils import parametrizations
from torch.utils._python_dispatch import TorchDispatchMode

from monai_causal.intervene import CallableScore, Evaluator, Region, Regions, RoIDice, box_regions, grid_regions
from monai_causal.intervene.execution import incremental
from monai_causal.intervene.execution.incremental import Estimate
from monai_causal.intervene.execution.trace import trace
from tests.intervene.execution.random_networks import Draw, RandomNetwork, networks
from tests.intervene.replicas import effects_one_by_one

EXAMPLES = {"derandomize": True, "deadline": None, "database": None}
SLACK = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@st.composite
def a_box(draw: Draw, size: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    starts = [draw(st.integers(0, length - 1)) for length in size]
    return tuple((a, draw(st.integers(a + 1, min(length, a + 6)))) for a, length in zip(starts, size, strict=True))


@st.composite
def questions(draw: Draw, size: tuple[int, ...]) -> tuple[Regions, tuple | None, int]:
    """Some regions, some of them masks; the box that the score reads, or none; a batch size."""
    items = []
    for number in range(draw(st.integers(1, 5))):
        box = draw(a_box(size))
        mask = torch.rand([b - a for a, b in box]) < 0.5 if draw(st.booleans()) else None
        if mask is not None:
            mask.view(-1)[0] = True
        items.append(Region(number, box, mask))
    return Regions(size, tuple(items)), draw(st.none() | a_box(size)), draw(st.integers(1, 5))


def noise(original: Tensor, region: Region, generator: object) -> Tensor:
    return torch.from_numpy(generator.normal(size=original.shape))


def check(network: RandomNetwork, image: Tensor, regions: Regions, box: tuple | None, batch_size: int) -> None:
    """Every logit that the score reads, for every region and draw."""
    note(str(network))
    score = CallableScore(lambda output: output.flatten(1), box)
    dense, incremental = (
        Evaluator(network, execution=execution, batch_size=size)(image, regions, noise, score, 2)
        for execution, size in (("dense", 1), ("incremental", batch_size))
    )
    assert incremental.record.execution == "incremental"
    torch.testing.assert_close(incremental.before, dense.before, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(incremental.data, dense.data, rtol=1e-10, atol=1e-10)
    changed = int(incremental.data.any(-1).sum())
    assert incremental.record.untouched <= incremental.data[..., 0].numel() - changed


@given(st.data(), networks())
@settings(max_examples=40, suppress_health_check=SLACK, **EXAMPLES)
def test_random_networks(data: st.DataObject, made: tuple[RandomNetwork, Tensor]) -> None:
    network, image = made
    check(network, image, *data.draw(questions(tuple(image.shape[2:]))))


@pytest.mark.slow
@given(st.data(), networks(deepest=14))
@settings(max_examples=300, suppress_health_check=SLACK, **EXAMPLES)
def test_many_deeper_random_networks(data: st.DataObject, made: tuple[RandomNetwork, Tensor]) -> None:
    network, image = made
    check(network, image, *data.draw(questions(tuple(image.shape[2:]))))


class Function(nn.Module):
    """A function of an image, some layers and some parameters, as a network."""

    def __init__(self, function: Callable[..., Any], *layers: nn.Module, **parameters: Tensor) -> None:
        super().__init__()
        self.function = function
        self.layers = nn.ModuleList(layers)
        for name, value in parameters.items():
            self.register_parameter(name, nn.Parameter(value, requires_grad=False))

    def forward(self, image: Tensor) -> Any:
        return self.function(self, image)


def conv(channels: int = 1, width: int = 1, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(channels, width, **{"kernel_size": 3, "padding": 1, **options})


def norm(channels: int) -> nn.Module:
    made = nn.BatchNorm2d(channels)
    made.running_mean.normal_()
    made.running_var.uniform_(0.5, 2)
    nn.init.normal_(made.weight)
    nn.init.normal_(made.bias)
    return made


def without_gradients(self: Function, image: Tensor) -> Tensor:
    with torch.no_grad():
        inner = self.layers[0](image)
    return self.layers[1](inner)


def without_autocast(self: Function, image: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        inner = self.layers[0](image)
    return self.layers[1](inner)


def remembering(self: Function, image: Tensor) -> Tensor:
    self.remembered = self.layers[0](image)
    return self.layers[1](self.remembered)


def assigning(self: Function, image: Tensor) -> Tensor:
    answer = self.layers[0](image).clone()
    answer[:, :, 2:5] = 0
    answer[:, :, :, -1] += 1
    return answer


CURIOUS: dict[str, Callable[[], nn.Module]] = {
    "the image itself": nn.Identity,
    "a view of the image": lambda: Function(lambda self, x: x[:, :1]),
    "no use of the image": lambda: Function(
        lambda self, x: self.a.expand(len(x), 1, 16, 14), a=torch.rand(1, 1, 16, 14)
    ),
    "softmax at the end": lambda: nn.Sequential(conv(1, 3), nn.Softmax(1)),
    "something global at the end": lambda: Function(lambda self, x: self.layers[0](x).roll((2, 3), (2, 3)), conv()),
    "something global in between": lambda: Function(
        lambda self, x: self.layers[1](self.layers[0](x).flip(2)), conv(), conv()
    ),
    "divided by its spread": lambda: Function(
        lambda self, x: (y := self.layers[0](x)) / y.std((1, 2, 3), keepdim=True), conv()
    ),
    "several items in one": lambda: Function(
        lambda self, x: self.layers[0](x.reshape(-1, 1, 8, 14)).reshape(x.shape), conv()
    ),
    "cut and put together": lambda: Function(
        lambda self, x: torch.cat([self.layers[0](part) for part in x.split(7, 3)], 3), conv()
    ),
    "sub-pixels": lambda: nn.Sequential(conv(1, 4, stride=2), nn.PixelShuffle(2)),
    "unpooled": lambda: Function(
        lambda self, x: F.max_unpool2d(*F.max_pool2d(self.layers[0](x), 2, return_indices=True), 2), conv()
    ),
    "assigned": lambda: Function(assigning, conv()),
    "masked by itself": lambda: Function(lambda self, x: (y := self.layers[0](x)) * (y > 0), conv()),
    "spatial attention": lambda: Function(
        lambda self, x: x * self.layers[0](torch.cat([x.mean(1, True), x.amax(1, True)], 1)).sigmoid(), conv(2)
    ),
    "a parameter of few axes": lambda: Function(lambda self, x: self.layers[0](x) * self.a, conv(), a=torch.rand(1, 1)),
    "a dict": lambda: Function(lambda self, x: {"aux": x, "out": self.layers[0](x)}, conv()),
    "a tuple": lambda: Function(lambda self, x: (self.layers[0](x), x), conv()),
    "weights normalised, then a norm": lambda: nn.Sequential(
        parametrizations.weight_norm(conv(1, 2)), norm(2), conv(2)
    ),
    "weights spectral, then a norm": lambda: nn.Sequential(
        parametrizations.spectral_norm(conv(1, 2)), norm(2), conv(2)
    ),
    "weights shared": lambda: Function(
        lambda self, x: self.layers[1](self.layers[0](x)) + self.layers[0](x.square()), conv(), norm(1)
    ),
    "gradients switched off inside": lambda: Function(without_gradients, conv(), conv()),
    "autocast switched off inside": lambda: Function(without_autocast, conv(), conv()),
    "an attribute written": lambda: Function(remembering, conv(), conv()),
}


@pytest.mark.parametrize("name", CURIOUS)
def test_curious_networks(name: str) -> None:
    torch.manual_seed(0)
    network, image = CURIOUS[name]().double().eval(), torch.rand(1, 1, 16, 14, dtype=torch.float64)
    regions, box = grid_regions((16, 14), 4), ((6, 11), (5, 10))
    score = CallableScore(lambda output: output.flatten(1), box)

    def inside(answer: Any) -> Tensor:
        answer = answer["out"] if isinstance(answer, dict) else answer[0] if isinstance(answer, tuple) else answer
        return answer[:, :, 6:11, 5:10].flatten(1)

    expected = effects_one_by_one(network, image, regions, 0.3, inside)
    ask = Evaluator(network, execution="incremental")
    for ask.batch_size in (1, 3, "auto"):
        effects = ask(image, regions, 0.3, score)
        torch.testing.assert_close(effects.values[:, 0], expected, rtol=0, atol=1e-12)
    assert bool(expected.any()) is (name != "no use of the image")
    assert not any(isinstance(value, FakeTensor) for value in vars(network).values())


def test_a_number_without_axes_does_not_decide_the_precision() -> None:
    """A float64 number times a float32 image is float32; were the number cropped to have axes, it would not be."""
    torch.manual_seed(0)
    network = Function(
        lambda self, x: self.layers[0](x * self.a) * self.n, conv(), a=torch.tensor(0.3, dtype=torch.float64)
    )
    network.register_buffer("n", torch.tensor(2))
    image, regions = torch.rand(1, 1, 16, 14), grid_regions((16, 14), 4)
    score = CallableScore(lambda output: output.flatten(1))
    effects = Evaluator(network, 3, "incremental")(image, regions, 0.5, score)
    expected = Evaluator(network, 1, "dense")(image, regions, 0.5, score)
    torch.testing.assert_close(effects.values, expected.values, rtol=0, atol=1e-6)


def test_regions_of_different_shapes_that_look_alike_from_the_score() -> None:
    """What the score reads cuts them down to boxes of one shape, but what is written has two."""
    image, network = torch.rand(1, 1, 12, 12, dtype=torch.float64), conv(kernel_size=1, padding=0).double()
    regions = box_regions((12, 12), [((2, 6), (2, 6)), ((1, 6), (0, 6)), ((2, 6), (2, 6)), ((1, 6), (0, 6))])
    score = CallableScore(lambda output: output.flatten(1), ((4, 10), (4, 10)))
    effects = Evaluator(network, 4, "incremental")(image, regions, noise, score, 2)
    expected = Evaluator(network, 1, "dense")(image, regions, noise, score, 2)
    torch.testing.assert_close(effects.values, expected.values, rtol=0, atol=1e-12)
    assert expected.values.any(-1).all()


class Convolutions(TorchDispatchMode):
    """Notes the shape of every convolution's result."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if "conv" in func.__name__:
            self.shapes.append(tuple(result.shape))
        return result


def test_only_what_the_region_reaches_and_the_score_reads_is_computed() -> None:
    """Two 3x3 convolutions, regions of 4x4, a box of 12x12 to score: worked out by hand."""
    network, image = nn.Sequential(conv(1, 2), nn.ReLU(), conv(2)).eval(), torch.rand(1, 1, 32, 32)
    score = CallableScore(lambda output: output.flatten(1), ((10, 22), (10, 22)))
    boxes = [((14, 18), (14, 18)), ((7, 11), (14, 18)), ((15, 19), (13, 17)), ((0, 4), (0, 4)), ((5, 9), (15, 19))]
    ask = Evaluator(network, 2, "incremental")
    ask(image, box_regions((32, 32), boxes[:1]), 0, score)  # traces
    with Convolutions() as seen:
        effects = ask(image, box_regions((32, 32), boxes), 0, score)
    assert seen.shapes == [
        *((1, 2, 32, 32), (1, 1, 32, 32)),  # the base
        *((2, 2, 6, 6), (2, 1, 8, 8)),  # two regions inside, in one batch
        # The score needs rows 9 to 22 of the first result: of one region it sees three of them, of one a single one.
        *((1, 2, 3, 6), (1, 1, 3, 8)),
        *((1, 2, 1, 6), (1, 1, 1, 8)),
    ]
    assert effects.record.untouched == 1
    assert effects.record.forwards == 1 + 4


def test_what_a_partial_forward_is_expected_to_take() -> None:
    network = nn.Sequential(conv(1, 4, bias=False), conv(4, bias=False)).double()
    made = trace(network, torch.rand(1, 1, 20, 20, dtype=torch.float64))
    boxes = [((8, 10), (8, 10)), ((0, 2), (0, 2))]
    score_box = ((5, 15), (5, 15))
    per_voxel = 9 * 4
    # of the first region 4x4 and 6x6 voxels are run; the second one cannot be seen
    expected = (16 + 36) * per_voxel / 2 / (2 * 400 * per_voxel)
    estimate = Estimate.of(made, score_box, box_regions((20, 20), boxes), torch.device("cpu"))
    assert estimate.share == pytest.approx(expected, rel=1e-12)
    assert estimate.reason == "a partial forward takes 3.2 % of the multiplications of a whole one"
    assert Estimate.of(made, score_box, box_regions((20, 20), boxes[1:]), torch.device("cpu")).share == 0


@pytest.mark.parametrize(("per_step", "pays"), [(0.0, True), (1.0, False)])
def test_whether_it_pays(per_step: float, pays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "_SECONDS_PER_STEP", per_step)
    made = trace(nn.Sequential(conv(1, 4), conv(4)).double(), torch.rand(1, 1, 20, 20, dtype=torch.float64))
    regions = box_regions((20, 20), [((8, 10), (8, 10))])
    assert Estimate.of(made, ((5, 15), (5, 15)), regions, torch.device("cpu")).pays is pays


def test_the_reason_names_what_reads_the_whole_image() -> None:
    network = nn.Sequential(conv(1, 4), nn.Sequential(nn.InstanceNorm2d(4), nn.ReLU()), conv(4)).double()
    made = trace(network, torch.rand(1, 1, 20, 20, dtype=torch.float64))
    regions = box_regions((20, 20), [((8, 10), (8, 10))])
    estimate = Estimate.of(made, ((5, 15), (5, 15)), regions, torch.device("cpu"))
    assert estimate.reason.endswith("(instance_norm in 1.0 reads the whole image)")
    # before the norm 4x4 of the 400 voxels, the norm whole, then the 10x10 of the box, by 9 x 4 multiplications each
    whole = 2 * 400 * 36 + 2 * 4 * 400
    relu = 4 * 144
    assert estimate.share == pytest.approx((16 * 36 + 1600 + relu + 100 * 36) / whole, rel=1e-12)


def test_batches_are_of_one_item_where_an_operation_holds_its_size() -> None:
    network = Function(lambda self, x: self.layers[0](x).reshape(1, 1, -1).relu().reshape(1, 1, 12, 12), conv()).eval()
    image, regions = torch.rand(1, 1, 12, 12), grid_regions((12, 12), 4)
    effects = Evaluator(network, 8, "incremental")(image, regions, 0, CallableScore(lambda output: output.flatten(1)))
    assert effects.record.batch_size == 1


class Undecided(nn.Module):
    """A norm after a convolution, minus the same worked out otherwise: the logit is nothing but round-off, so its sign
    is whatever the order of operations makes it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(1, 1)
        self.norm = norm(1)

    def forward(self, image: Tensor) -> Tensor:
        inner = self.conv(image)
        spread = (self.norm.running_var + self.norm.eps).sqrt()
        again = (inner - self.norm.running_mean) / spread * self.norm.weight + self.norm.bias
        return 100 * (self.norm(inner) - again)


@pytest.mark.parametrize("reference", [True, False])
def test_where_round_off_decides_the_whole_network_is_asked(reference: bool) -> None:
    torch.manual_seed(0)
    network, image, roi = Undecided().eval(), torch.rand(1, 1, 24, 24), ((6, 18), (6, 18))
    labels = torch.rand(24, 24) < 0.5 if reference else None
    regions, score = grid_regions((24, 24), 4), RoIDice(roi, labels)
    expected = Evaluator(network, 1, "dense")(image, regions, 0.5, score)
    effects = Evaluator(network, 5, "incremental")(image, regions, 0.5, score)
    assert effects.baseline == expected.baseline
    assert torch.equal(effects.values, expected.values)
    assert effects.record.recomputed == len(regions) - effects.record.untouched > 0
    assert expected.values.any()


def test_round_off_far_from_the_change_is_the_first_answer_s() -> None:
    """Undecided voxels that a region does not reach keep their first answer, whichever way it fell: no effect there,
    and nothing to run again for them."""
    torch.manual_seed(0)
    network, image = Undecided().eval(), torch.rand(1, 1, 24, 24)
    # Only the left half is undecided: the right half's logit is far from the threshold.
    sure = Function(lambda self, x: self.layers[0](x) + self.a * x, network, a=(torch.arange(24) >= 12) * 5.0).eval()
    regions = box_regions((24, 24), [((4, 8), (18, 22)), ((10, 14), (16, 20))])
    score = RoIDice(((0, 24), (0, 24)), torch.rand(24, 24) < 0.5)
    expected = Evaluator(sure, 1, "dense")(image, regions, -1.0, score)
    ask = Evaluator(sure, 2, "incremental")
    ask(image, regions, -1.0, score)
    effects = ask(image, regions, -1.0, score)
    assert torch.equal(effects.values, expected.values)
    assert effects.baseline == expected.baseline
    assert expected.values.all()
    assert effects.record.recomputed == 0
    assert effects.record.forwards == 2 + 2  # the base twice, as its own decision is close
