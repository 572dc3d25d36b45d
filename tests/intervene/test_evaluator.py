# SPDX-License-Identifier: Apache-2.0
"""Same question, same answer: whatever the batch, the order, the company, the moment; and nothing is left behind."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn

from monai_causal.intervene import (
    CallableScore,
    ConstantFill,
    DonorPatchFill,
    Effects,
    Evaluator,
    InpaintFill,
    MaskedMeanProbability,
    MeanFill,
    Region,
    Regions,
    RoIDice,
    grid_regions,
)
from monai_causal.intervene import evaluator as evaluator_module
from monai_causal.intervene.execution import incremental
from monai_causal.intervene.execution.session import Session
from tests.intervene.replicas import Counting, do, effects_one_by_one

SIZE = (14, 12)
ROI = ((4, 9), (3, 8))
EXECUTIONS = ["dense", "windows", "incremental"]


def norm(channels: int) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(channels)
    made.running_mean.normal_(std=0.3)
    made.running_var.uniform_(0.5, 2)
    return made


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), norm(4), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3, padding=1, groups=2), norm(4),
        nn.PReLU(), nn.Conv2d(4, 1, 1),
    )  # fmt: skip


def an_image(items: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(items, 1, *SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


def some_regions() -> Regions:
    box = ((3, 7), (2, 8))
    mask = torch.rand(4, 6, generator=torch.Generator().manual_seed(2)) < 0.5
    return Regions(SIZE, (*grid_regions(SIZE, 4), Region(70, box), Region(71, box, mask), Region(72, ((0, 2), (0, 2)))))


def bank() -> DonorPatchFill:
    return DonorPatchFill(torch.rand(5, 1, *SIZE, generator=torch.Generator().manual_seed(3), dtype=torch.float64))


def ask(net: Any, execution: str, batch_size: int | str = 1, **options: Any) -> Evaluator:
    inferer = SlidingWindowInferer((8, 8), 2, overlap=0.5) if execution == "windows" else None
    return Evaluator(net, batch_size, execution, inferer=inferer, **options)


def soft() -> MaskedMeanProbability:
    mask = torch.zeros(SIZE)
    mask[4:9, 3:8] = 1
    return MaskedMeanProbability(mask)


def same(first: Effects, second: Effects, tolerance: float = 0.0) -> None:
    torch.testing.assert_close(first.before, second.before, rtol=0, atol=tolerance)
    torch.testing.assert_close(first.data, second.data, rtol=0, atol=tolerance)
    assert second.data.any()


# ---- the same answer


@pytest.mark.parametrize("execution", ["dense", "incremental"])
def test_any_batch_size(execution: str) -> None:
    net, image = network().double(), an_image()
    fresh = ask(net, execution)
    alone = fresh(image, some_regions(), bank(), soft(), 3)
    for fresh.batch_size in (2, 3, 7, 64, "auto"):
        same(fresh(image, some_regions(), bank(), soft(), 3), alone, 1e-12)
    same(ask(net, "dense")(image, some_regions(), bank(), soft(), 3), alone, 1e-12)


@pytest.mark.parametrize("execution", ["dense", "incremental"])
def test_any_batch_size_in_float32(execution: str) -> None:
    net, image = network(), an_image(dtype=torch.float32)
    reference = ask(net, "dense")(image, some_regions(), bank(), soft(), 2)
    fresh = ask(net, execution)
    for fresh.batch_size in (1, 4, 16):
        same(fresh(image, some_regions(), bank(), soft(), 2), reference, 1e-5)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
@pytest.mark.parametrize("execution", ["dense", "incremental"])
def test_hard_dice_with_logits_at_the_threshold(execution: str, precision: torch.dtype) -> None:
    """Some voxels of the RoI are brought to the threshold itself, within 1e-6 (1e-15 in float64), by each of some
    interventions in turn: those are run again by themselves, and every Dice is that of single forwards."""
    net, image, regions = network().to(precision).eval(), an_image(dtype=precision), some_regions()
    near = {torch.float32: 1e-6, torch.float64: 1e-15}[precision]
    labels, bias = torch.rand(SIZE, generator=torch.Generator().manual_seed(4)) < 0.5, net[-1].bias
    score, fresh, recomputed = RoIDice(ROI, labels), ask(net, execution), 0
    for row, voxel in ((5, (5, 7)), (6, (8, 4)), (len(regions) - 3, (5, 5)), (len(regions) - 2, (4, 7))):
        with torch.no_grad():
            bias.zero_()
            intervened = do(image[0].double().numpy(), regions[row], np.full(image[0].shape, 0.9))
            logit = net(torch.as_tensor(intervened, dtype=precision)[None])[0, 0][voxel]
            bias.sub_(logit - near * (-1) ** row)
        expected = Evaluator(net, 1, "dense")(image, regions, 0.9, score)
        for fresh.batch_size in (1, 2, 5, 64):
            found = fresh(image, regions, 0.9, score)
            assert torch.equal(found.data, expected.data)
            assert torch.equal(found.before, expected.before)
            exact = execution == "dense" and fresh.batch_size == 1
            assert (found.record.recomputed == 0) is exact
            recomputed += found.record.recomputed
        assert expected.record.recomputed == 0
        assert expected.data.any()
    # few in all: most items are decided
    assert recomputed < 4 * 4 * len(regions) / 2


@pytest.mark.parametrize(
    ("tolerance", "precision", "logit", "again"),
    [
        (1e-3, torch.float32, 9e-4, True),
        (1e-3, torch.float32, 1.1e-3, False),
        (1e-4, torch.float64, 1e-13, True),
        (1e-4, torch.float64, 1e-12, False),
    ],
)
def test_how_near_is_near(tolerance: float, precision: torch.dtype, logit: float, again: bool) -> None:
    """The tolerance is one of float32 logits; float64 ones are 2^29 times as sure."""
    image = torch.full((1, 1, 4, 4), 5.0, dtype=precision)
    score = RoIDice(((0, 4), (0, 4)), torch.ones(4, 4, dtype=torch.bool))
    effects = Evaluator(lambda batch: batch, 2, "dense", tolerance=tolerance)(
        image, grid_regions((4, 4), 2), logit, score
    )
    assert effects.record.recomputed == (4 if again else 0)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_a_subset_of_regions_keeps_its_draws(execution: str) -> None:
    net, image, regions = network().double(), an_image(), some_regions()
    fresh = ask(net, execution, 3)
    everything = fresh(image, regions, bank(), soft(), 4)
    chosen = [9, 2, 13, 5]
    part = fresh(image, regions.subset(chosen), bank(), soft(), 4)
    torch.testing.assert_close(part.values, everything.values[chosen], rtol=0, atol=1e-14)
    backwards = fresh(image, regions.subset(range(len(regions) - 1, -1, -1)), bank(), soft(), 4)
    torch.testing.assert_close(backwards.values.flip(0), everything.values, rtol=0, atol=1e-14)


@pytest.mark.parametrize("fill", [bank(), InpaintFill(), lambda original, region, generator: generator.random()])
@pytest.mark.parametrize("execution", EXECUTIONS)
def test_draws_can_be_continued(execution: str, fill: Any) -> None:
    net, image = network().double(), an_image()
    fresh = ask(net, execution)
    everything = fresh(image, some_regions(), fill, soft(), 8)
    tail = fresh(image, some_regions(), fill, soft(), range(3, 8))
    assert (everything.draws, tail.draws) == (tuple(range(8)), (3, 4, 5, 6, 7))
    torch.testing.assert_close(tail.values, everything.values[:, 3:], rtol=0, atol=1e-14)
    torch.testing.assert_close(
        fresh(image, some_regions(), fill, soft(), [6, 1]).values, everything.values[:, [6, 1]], rtol=0, atol=1e-14
    )


def test_the_seed_makes_the_draws() -> None:
    net, image = network().double(), an_image()
    first, again, other = (
        Evaluator(net, execution="dense", seed=seed)(image, some_regions(), bank(), soft(), 3) for seed in (4, 4, 5)
    )
    assert torch.equal(first.values, again.values)
    assert not torch.equal(first.values, other.values)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_several_images_are_one_after_the_other(execution: str) -> None:
    """With masks, references and boxes of their own where they have them."""
    net, images = network().double(), an_image(3)
    masks = torch.rand(3, 1, *SIZE, generator=torch.Generator().manual_seed(5)) < 0.4
    fresh = ask(net, execution, 4)
    together = fresh(images, some_regions(), bank(), MaskedMeanProbability(masks), 2)
    dice = fresh(images, some_regions(), bank(), RoIDice(ROI, masks), 2)
    assert together.values.shape == (3, len(some_regions()), 2)
    for item in range(3):
        image = images[item : item + 1]
        alone = fresh(image, some_regions(), bank(), MaskedMeanProbability(masks[item, 0]), 2)
        torch.testing.assert_close(together.values[item], alone.values, rtol=0, atol=1e-14)
        assert together.baseline[item] == pytest.approx(alone.baseline, abs=1e-14)
        assert torch.equal(
            dice.values[item], fresh(image, some_regions(), bank(), RoIDice(ROI, masks[item, 0]), 2).values
        )


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_the_global_random_state_is_neither_read_nor_moved(execution: str) -> None:
    net, image = network().double(), an_image()
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())  # noqa: NPY002
        found.append(ask(net, execution, 2)(image, some_regions(), bank(), soft(), 2))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
        assert random.getstate() == before[2]
    assert torch.equal(found[0].values, found[1].values)


@pytest.mark.parametrize("outer", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("execution", EXECUTIONS)
def test_under_any_gradient_mode(execution: str, outer: Any) -> None:
    net = network().double()
    expected = ask(net, execution, 2)(an_image(), some_regions(), bank(), soft(), 2)
    with outer():
        image = an_image() + 0  # made in the mode, so an inference tensor in the one
        found = ask(net, execution, 2)(image, some_regions(), bank(), soft(), 2)
    same(found, expected)
    assert not found.data.is_inference()
    assert not found.data.requires_grad


# ---- nothing is left behind


class Fuse(nn.Module):
    """Blows at one of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.when = 0
        self.error: type[BaseException] = RuntimeError

    def forward(self, value: Any, *_: Any) -> Any:
        if not torch.compiler.is_exporting():
            self.calls += 1
            if self.calls == self.when:
                raise self.error
        return value


def frozen_inside_a_training_network() -> nn.Sequential:
    net = network().double().train()
    net[1].eval()
    net[4].weight.requires_grad_(False)
    return net


@pytest.mark.parametrize(
    ("execution", "where", "when"),
    [
        *((execution, "nowhere", 0) for execution in EXECUTIONS),
        *((execution, where, when) for execution in EXECUTIONS for where in ("score", "fill") for when in (1, 5)),
        *((execution, "network", when) for execution in ("dense", "windows") for when in (1, 2, 5)),
        ("incremental", "network", 1),  # it is run once, to check the trace
    ],
)
@pytest.mark.parametrize("error", [KeyboardInterrupt, torch.OutOfMemoryError])
def test_the_network_and_the_image_are_left_as_they_were(
    execution: str, where: str, when: int, error: type[BaseException]
) -> None:
    """Whether all goes well, or the network, the score or the fill fails: at once, soon, later."""
    fuses = {"network": Fuse(), "score": Fuse(), "fill": Fuse()}
    net, image = frozen_inside_a_training_network().append(fuses["network"]), an_image().requires_grad_()
    modes = {name: module.training for name, module in net.named_modules()}
    wanted = {name: parameter.requires_grad for name, parameter in net.named_parameters()}
    state = {name: value.clone() for name, value in net.state_dict().items()}
    before, fresh = image.detach().clone(), ask(net, execution, 1)
    score = CallableScore(lambda output: fuses["score"](output.mean((1, 2, 3))))
    if where == "nowhere":
        fresh(image, some_regions(), fuses["fill"], score)
    else:
        fuses[where].when, fuses[where].error = when, error
        with pytest.raises(error):
            fresh(image, some_regions(), fuses["fill"], score)
        assert fuses[where].calls == when
    assert {name: module.training for name, module in net.named_modules()} == modes
    assert {name: parameter.requires_grad for name, parameter in net.named_parameters()} == wanted
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in net.modules())
    assert image.requires_grad
    assert image.grad is None
    assert torch.equal(image, before)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_an_interrupted_evaluator_can_be_asked_again(execution: str) -> None:
    net, image, calls = network().double(), an_image(), []

    def fill(original: Tensor, region: Region, generator: Any) -> float:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return 0.9

    fresh = ask(net, execution, 4)
    with pytest.raises(KeyboardInterrupt):
        fresh(image, some_regions(), fill, soft())
    same(fresh(image, some_regions(), fill, soft()), ask(net, execution, 4)(image, some_regions(), 0.9, soft()))


def test_an_interruption_in_the_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bar:
        def __init__(self, **options: Any) -> None:
            shown.append(options)

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: Any) -> None:
            shown.append("closed")

        def update(self, count: int) -> None:
            shown.append(count)
            if len(shown) == 4:
                raise KeyboardInterrupt

    shown: list[Any] = []
    monkeypatch.setattr(evaluator_module, "tqdm", Bar)
    net = frozen_inside_a_training_network()
    with pytest.raises(KeyboardInterrupt):
        Evaluator(net, 4, "dense", progress=True)(an_image(), some_regions(), 0.5, soft())
    assert shown[0]["total"] == len(some_regions())
    assert shown[0]["disable"] is None  # tqdm looks for a terminal
    assert shown[1:] == [4, 4, 4, "closed"]
    assert (net.training, net[1].training) == (True, False)
    shown.clear()
    with pytest.raises(KeyboardInterrupt):
        Evaluator(net, 4, "dense")(an_image(), some_regions(), 0.5, soft())
    assert shown[0]["disable"] is True


def test_progress_is_silent_without_a_terminal(capfd: pytest.CaptureFixture) -> None:
    Evaluator(network().double(), execution="dense", progress=True)(an_image(), some_regions(), 0.5, soft())
    assert capfd.readouterr() == ("", "")


# ---- what is counted


@pytest.mark.parametrize(
    ("execution", "batch_size"), [("dense", 1), ("dense", 4), ("incremental", 1), ("incremental", 4)]
)
def test_one_forward_before_and_one_per_intervention(execution: str, batch_size: int) -> None:
    net = Counting(network().double())
    fresh = ask(net, execution, batch_size)
    first = fresh(an_image(), some_regions(), bank(), soft(), 2)
    again = fresh(an_image() + 0.1, some_regions(), bank(), soft(), 2)
    jobs = 2 * len(some_regions())
    assert again.record.forwards == 1 + jobs - again.record.untouched
    if execution == "dense":
        assert sum(net.batches) == first.record.forwards + again.record.forwards
        assert first.record.forwards == again.record.forwards
    else:
        assert net.batches == [1]  # to check the trace, once; from then on the operations themselves are run
        assert first.record.forwards == again.record.forwards + 1
        assert again.record.untouched > 0


def test_what_cannot_reach_the_score_is_exactly_zero() -> None:
    """The receptive field is two voxels each way."""
    net, image, regions = network().double(), an_image(), grid_regions(SIZE, 2)
    score = RoIDice(ROI, torch.ones(SIZE))
    fresh = ask(net, "incremental", 4)
    effects = fresh(image, regions, -3.0, CallableScore(lambda output: output.flatten(1), ROI), 3)
    near = tuple((a - 2, b + 2) for a, b in ROI)
    apart = torch.tensor(
        [any(b <= c or d <= a for (a, b), (c, d) in zip(region.box, near, strict=True)) for region in regions]
    )
    assert effects.record.untouched == 3 * int(apart.sum()) > 0
    assert torch.equal(effects.values[apart], torch.zeros_like(effects.values[apart]))
    assert effects.values[~apart].any(-1).all()
    assert fresh(image, regions, -3.0, score, 3).record.untouched == effects.record.untouched


def test_weights_changed_between_calls_are_seen() -> None:
    net, image = network().double(), an_image()
    fresh = ask(net, "incremental", 4)
    before = fresh(image, some_regions(), 0.9, soft())
    with torch.no_grad():
        net[0].weight.mul_(-1.5)
        net[1].running_mean.add_(0.3)
    net.load_state_dict({name: value * 1.1 for name, value in net.state_dict().items()})
    after = fresh(image, some_regions(), 0.9, soft())
    same(after, ask(net, "dense")(image, some_regions(), 0.9, soft()), 1e-12)
    assert not torch.allclose(after.values, before.values)


def test_the_record_of_several_images_is_that_of_all() -> None:
    net, images = Counting(network().double()), an_image(3)
    effects = Evaluator(net, 4, "dense")(images, some_regions(), 0.9, soft())
    assert effects.record.forwards == sum(net.batches) == 3 * (1 + len(some_regions()))


# ---- options


def test_a_map_lies_on_its_image() -> None:
    affine = torch.tensor([[0.0, 2.0, 0.0, 5.0], [3.0, 0.0, 0.0, -1.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    image = MetaTensor(an_image(), affine=affine, meta={"filename_or_obj": "kept"})
    effects = Evaluator(network().double(), execution="dense")(image, grid_regions(SIZE, 4), MeanFill(), soft())
    drawn = effects.to_map()
    assert isinstance(drawn, MetaTensor)
    assert torch.equal(drawn.affine, image.affine)
    plain = Evaluator(network().double(), execution="dense")(an_image(), grid_regions(SIZE, 4), MeanFill(), soft())
    assert type(plain.to_map()) is Tensor
    assert torch.equal(drawn.as_tensor(), plain.to_map())
    assert type(effects.data) is Tensor


@pytest.mark.parametrize("plain", [False, True])
def test_autocast_runs_dense_in_its_own_precision(plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "_WORTH_TRACING", 0.0)
    net, seen = network().eval(), []
    net[-1].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    asked = (lambda batch: net(batch)) if plain else net
    image = an_image(dtype=torch.float32)
    score = CallableScore(lambda output: output.flatten(1))
    effects = Evaluator(asked, 1, amp=True)(image, some_regions(), 0.9, score)
    assert set(seen) == {torch.bfloat16}
    assert effects.record.execution == "dense"
    assert effects.record.reason == "autocast rounds logits more than incremental execution may"
    with torch.autocast("cpu"):
        expected = effects_one_by_one(net, image, some_regions(), 0.9, lambda output: output.double().flatten(1))
    assert torch.equal(effects.values[:, 0], expected)
    assert not torch.is_autocast_enabled("cpu")


def test_vector_scores() -> None:
    net, image = network().double(), an_image()
    both = CallableScore(lambda output: torch.stack([output.mean((1, 2, 3)), output.amax((1, 2, 3))], 1))
    effects = Evaluator(net, 4, "dense")(image, some_regions(), 0.9, both, 2)
    first = Evaluator(net, 4, "dense")(image, some_regions(), 0.9, lambda output: output.mean((1, 2, 3)), 2)
    assert effects.values.shape == (len(some_regions()), 2, 2)
    assert torch.equal(effects.values[..., 0], first.values)
    assert effects.baseline[0] == first.baseline


@pytest.mark.parametrize(
    ("fill", "equal"), [(0.25, ConstantFill(0.25)), (lambda original, region, generator: 0.25, ConstantFill(0.25))]
)
def test_numbers_and_functions_are_fills(fill: Any, equal: ConstantFill) -> None:
    fresh = Evaluator(network().double(), execution="dense")
    assert torch.equal(
        fresh(an_image(), some_regions(), fill, soft()).values, fresh(an_image(), some_regions(), equal, soft()).values
    )


# ---- which execution


class Asked:
    """What ``auto`` decides on images of 64x64, with the costs that the estimate goes by."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **costs: float) -> None:
        for name, value in {"_WORTH_TRACING": 0.0, "_SECONDS_PER_STEP": 0.0, **costs}.items():
            monkeypatch.setattr(incremental, name, value)

    def __call__(self, net: Any, **options: Any) -> tuple[str, str]:
        image, roi = torch.rand(1, 1, 32, 32), ((12, 18), (14, 20))
        score = CallableScore(lambda output: output.flatten(1), roi)
        effects = Evaluator(net, **options)(image, grid_regions((32, 32), 4), 0.5, score)
        expected = Evaluator(net, 1, "dense", inferer=options.get("inferer"))(
            image, grid_regions((32, 32), 4), 0.5, score
        )
        torch.testing.assert_close(effects.values, expected.values, rtol=0, atol=0.1 if options.get("amp") else 1e-5)
        return effects.record.execution, effects.record.reason


def test_auto_is_incremental_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    execution, reason = Asked(monkeypatch)(network())
    assert execution == "incremental"
    assert reason.startswith("a partial forward takes ")
    assert reason.endswith(" % of the multiplications of a whole one")


def test_auto_is_dense_where_a_partial_forward_takes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    execution, reason = Asked(monkeypatch, _SECONDS_PER_STEP=1.0)(network())
    assert execution == "dense"
    assert reason.startswith("a partial forward takes ")


def test_auto_is_dense_where_tracing_takes_longer_than_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Asked(monkeypatch, _WORTH_TRACING=1.0)(network()) == (
        "dense",
        "the whole work is smaller than taking the network apart",
    )


def test_auto_says_what_reads_the_whole_image(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.InstanceNorm2d(2), nn.Conv2d(2, 1, 3, padding=1))
    execution, reason = Asked(monkeypatch)(net)
    assert execution == "incremental"
    assert reason.endswith("(instance_norm in 1 reads the whole image)")


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (lambda batch: batch * 2, "only an nn.Module can be taken apart; this network is a plain callable"),
        (torch.jit.script(nn.Conv2d(1, 1, 1)), r"torch.export does not take this network"),
    ],
)
def test_auto_is_dense_where_a_network_cannot_be_taken_apart(
    net: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution, found = Asked(monkeypatch)(net)
    assert execution == "dense"
    assert found.startswith(reason)


def test_auto_with_autocast_and_with_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    decide = Asked(monkeypatch)
    assert decide(network(), amp=True)[0] == "dense"
    assert decide(network(), inferer=SlidingWindowInferer((16, 16)))[0] == "windows"


def test_what_was_asked_for_is_run_and_said() -> None:
    for execution in EXECUTIONS:
        record = ask(network().double(), execution)(an_image(), some_regions(), 0.5, soft()).record
        assert (record.execution, record.reason) == (execution, "asked for")


def test_smaller_than_tracing() -> None:
    """Three modules take 0.33 s, three times that is worth it: at 2e10 a second 1.98e10 multiplications."""
    net, cpu = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU()), torch.device("cpu")
    assert incremental.smaller_than_tracing(net, 1_979_999, 10_000, cpu)
    assert not incremental.smaller_than_tracing(net, 1_980_001, 10_000, cpu)


@torch.no_grad()
def test_multiplications_are_counted_on_the_way() -> None:
    net, image = network().double(), an_image()
    found, output = incremental.count_multiplications(Session(net), image)
    # 3x3 from 1 to 4 channels; 3x3 in two groups of 2 from 4 to 4; 1x1 from 4 to 1
    assert found == 14 * 12 * (9 * 4 + 9 * 2 * 4 + 4)
    assert torch.equal(output, net(image))


def test_deciding_takes_no_forward_of_its_own() -> None:
    net = Counting(network().double().eval())
    evaluator = ask(net, "auto")
    for _ in range(2):
        record = evaluator(an_image(), some_regions(), 0.5, soft()).record
        assert record.execution == "dense"
        assert record.forwards == 1 + len(some_regions())
    assert sum(net.batches) == 2 * (1 + len(some_regions()))


@pytest.mark.parametrize(
    ("device", "size", "share", "expected"),
    [
        ("cpu", (256, 256), 1.0, 1),
        ("cpu", (128, 128), 1.0, 4),
        ("cpu", (16, 16), 1.0, 16),
        ("cpu", (256, 256), 0.125, 5),
        ("cpu", (256, 256), 0.0, 16),
        ("meta", (64, 64), 1.0, 16),
        ("meta", (64, 64), 0.5, 32),
        ("meta", (64, 64), 0.0, 64),
    ],
)
def test_the_first_batch_size(device: str, size: Sequence[int], share: float, expected: int) -> None:
    image = torch.empty(1, 1, *size, device=device)
    assert Evaluator(nn.Identity())._batch(image, share).size == expected
    assert Evaluator(nn.Identity(), batch_size=3)._batch(image, share).size == 3


def test_regions_that_reach_nothing_need_no_batch_size() -> None:
    image, regions = torch.rand(1, 1, 32, 32), grid_regions((32, 32), 4).subset([63, 62, 55])
    score: Callable[[Tensor], Tensor] = CallableScore(lambda output: output.flatten(1), ((0, 4), (0, 4)))
    effects = Evaluator(network(), execution="incremental")(image, regions, 0.5, score)
    assert effects.record.untouched == 3
    assert not effects.values.any()


@pytest.mark.parametrize("execution", ["dense", "windows"])
def test_its_own_answer(execution: str) -> None:
    net, image = frozen_inside_a_training_network().double(), an_image(2)
    modes = [module.training for module in net.modules()]
    answer = ask(net, execution).answer(MetaTensor(image))
    assert [module.training for module in net.modules()] == modes
    assert not answer.requires_grad
    inferer = ask(net, execution).inferer
    with torch.no_grad():
        net.eval()
        expected = net(image) if inferer is None else inferer(image, net)
    assert torch.equal(answer, torch.as_tensor(expected))
    with pytest.raises(ValueError, match="the image holds NaN"):
        ask(net, execution).answer(image * float("nan"))
