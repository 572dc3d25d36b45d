# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray
from torch import Tensor

from monai_causal.intervene import (
    CallableScore,
    MaskedMeanLogit,
    MaskedMeanProbability,
    RoIDice,
    RoIForegroundShare,
    RoIIoU,
    Score,
    scores,
)
from monai_causal.intervene.scores import BoundScore, activate, as_score, output_tensor

SHAPES = [(7, 9), (4, 5, 6)]
BOXES = {2: ((1, 6), (2, 7)), 3: ((1, 4), (0, 3), (2, 6))}


def outputs_of(shape: tuple[int, ...], channels: int, batch: int = 5, seed: int = 0) -> Tensor:
    """Logits; the first item is the answer to the untouched image."""
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(batch, channels, *shape, generator=generator, dtype=torch.float64)


def mask_of(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Scattered voxels, none of them on the first row, so that the bounding box is smaller than the image."""
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    mask[0] = False
    return mask


def box_mask(shape: tuple[int, ...], box: Any) -> Tensor:
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[tuple(slice(*span) for span in box)] = True
    return mask


def cropped(bound: BoundScore, outputs: Tensor) -> Tensor:
    """What the engine hands to a bound score: the box that it reads and nothing else."""
    assert bound.box is not None
    return outputs[(slice(None), slice(None), *(slice(*span) for span in bound.box))]


def answer(score: Score, outputs: Tensor, item: int = 0, batch: int = 1) -> Tensor:
    """The score of each of the outputs, bound to the first of them as the answer to the untouched image."""
    score.check(tuple(outputs.shape[2:]), batch)
    bound = score.bind(outputs[:1], item)
    return bound.value(cropped(bound, outputs))


# --- slowly


def slow_probability(output: Tensor, activation: Any) -> NDArray[np.float64]:
    """(K, *spatial) -> (K, *spatial), voxel by voxel."""
    logits = output.numpy()
    if activation is None:
        return logits
    if callable(activation):
        return activation(output[None])[0].numpy()
    if activation == "auto":
        activation = "sigmoid" if len(logits) == 1 else "softmax"
    probability = np.empty_like(logits)
    for voxel in np.ndindex(*logits.shape[1:]):
        values = logits[(slice(None), *voxel)]
        if activation == "sigmoid":
            probability[(slice(None), *voxel)] = [1 / (1 + np.exp(-value)) for value in values]
        else:
            total = sum(np.exp(value) for value in values)
            probability[(slice(None), *voxel)] = [np.exp(value) / total for value in values]
    return probability


def slow_mean(output: Tensor, mask: Tensor, channel: int, activation: Any) -> float:
    probability = slow_probability(output, activation)[channel]
    inside = [voxel for voxel in np.ndindex(*mask.shape) if mask[voxel]]
    return sum(probability[voxel] for voxel in inside) / len(inside)


def slow_answer(
    output: Tensor, channel: int, activation: Any, threshold: float | None, soft: bool
) -> NDArray[np.float64]:
    """The answer as numbers, (*spatial): 0 or 1, or the probability where it is soft."""
    if threshold is None:
        logits = output.numpy()
        wins = [
            all(logits[(channel, *v)] >= other for other in logits[(slice(None), *v)])
            for v in np.ndindex(logits[0].shape)
        ]
        return np.array(wins, dtype=float).reshape(logits[0].shape)
    probability = slow_probability(output, activation)[channel]
    return probability if soft else (probability > threshold).astype(float)


def slow_overlap(answered: NDArray[np.float64], reference: Tensor, roi: Tensor, kind: type) -> float:
    common = sizes = 0.0
    for voxel in np.ndindex(*roi.shape):
        if roi[voxel]:
            true = float(reference[voxel])
            common += answered[voxel] * true
            sizes += answered[voxel] + true
    return 100 * 2 * common / sizes if kind is RoIDice else common / (sizes - common)


def squared(logits: Tensor) -> Tensor:
    """An activation of the caller's own."""
    return logits.abs() / (1 + logits.abs())


ACTIVATIONS = ["auto", "sigmoid", "softmax", None, squared]


# --- mean probability and logit


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("channels", "class_idx"), [(1, None), (1, 0), (1, 1), (3, 0), (3, 2), (3, [2, 0]), (3, (1,))])
def test_mean_probability(shape: tuple[int, ...], activation: Any, channels: int, class_idx: Any) -> None:
    outputs, mask = outputs_of(shape, channels), mask_of(shape)
    found = answer(MaskedMeanProbability(mask, class_idx, activation), outputs)
    classes = class_idx if isinstance(class_idx, list | tuple) else [class_idx or 0]
    expected = [[slow_mean(o, mask, 0 if channels == 1 else k, activation) for k in classes] for o in outputs]
    if not isinstance(class_idx, list | tuple):
        expected = [row[0] for row in expected]
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("channels", "class_idx"), [(1, None), (3, 2), (3, [2, 0])])
def test_mean_logit(shape: tuple[int, ...], channels: int, class_idx: Any) -> None:
    outputs, box = outputs_of(shape, channels), BOXES[len(shape)]
    found = answer(MaskedMeanLogit(box, class_idx), outputs)
    classes = class_idx if isinstance(class_idx, list) else [class_idx or 0]
    expected = torch.tensor([[slow_mean(o, box_mask(shape, box), k, None) for k in classes] for o in outputs])
    torch.testing.assert_close(found, expected if isinstance(class_idx, list) else expected[:, 0], rtol=0, atol=1e-14)


def test_mean_probability_by_hand() -> None:
    """Logits 0 and log 3 are probabilities 1/2 and 3/4; of classes with logits 0, 0 and log 2 the last has 1/2."""
    mask = torch.tensor([[True, False, True]])
    one = torch.tensor([[[[0.0, 9.0, np.log(3)]]]], dtype=torch.float64)
    assert answer(MaskedMeanProbability(mask), one).tolist() == [pytest.approx((1 / 2 + 3 / 4) / 2)]
    three = torch.zeros(1, 3, 1, 3, dtype=torch.float64)
    three[:, 2] = np.log(2)
    assert answer(MaskedMeanProbability(mask, 2), three).tolist() == [pytest.approx(1 / 2)]
    assert answer(MaskedMeanProbability(mask, [0, 2]), three).tolist() == [[pytest.approx(1 / 4), pytest.approx(1 / 2)]]
    assert answer(MaskedMeanLogit(mask), one).tolist() == [pytest.approx(np.log(3) / 2)]


def test_means_of_float32_outputs_are_taken_in_float64() -> None:
    """A float32 mean would be off in the seventh digit."""
    output = torch.rand(1, 1, 300, 300, generator=torch.Generator().manual_seed(0))
    expected = float(output.double().sum() / 90_000)
    assert float(output.mean()) != pytest.approx(expected, rel=1e-12)
    assert float(answer(MaskedMeanProbability(torch.ones(300, 300), activation=None), output)) == pytest.approx(
        expected, rel=1e-12
    )
    reference = torch.ones(300, 300)
    soft = float(answer(RoIDice(reference, reference, None, soft=True), output))
    assert soft == pytest.approx(200 * expected / (expected + 1), rel=1e-12)


@pytest.mark.parametrize(
    "class_idx", [np.int64(1), [np.int64(1), np.int64(0)], np.array([1, 0]), torch.tensor([1, 0]), range(2)]
)
def test_classes_of_any_kind_of_number(class_idx: Any) -> None:
    outputs, mask = outputs_of((7, 9), 2), mask_of((7, 9))
    plain = int(class_idx) if isinstance(class_idx, np.integer) else [int(index) for index in class_idx]
    for kind in (MaskedMeanProbability, MaskedMeanLogit):
        assert torch.equal(answer(kind(mask, class_idx), outputs), answer(kind(mask, plain), outputs))


def test_units() -> None:
    mask = torch.ones(2, 2)
    assert MaskedMeanProbability(mask).unit == "probability"
    assert MaskedMeanLogit(mask).unit == "logit"
    assert RoIDice(mask).unit == "Dice points"
    assert RoIIoU(mask).unit == "IoU"
    assert CallableScore(lambda output: output).unit == ""


# --- overlap


OVERLAPS: list[tuple[int, Any, Any, float | None, bool]] = [
    # channels, class_idx, activation, threshold, soft
    (1, None, "auto", 0.5, False),
    (1, 1, "sigmoid", 0.3, False),
    (1, 0, None, 0.7, False),
    (1, None, "softmax", 0.3, False),  # a softmax over one channel is 1 everywhere
    (1, None, squared, 0.6, False),
    (1, None, "auto", 0.5, True),
    (3, 1, "auto", 0.5, False),
    (3, 0, "softmax", 0.2, False),
    (3, 2, "sigmoid", 0.5, False),
    (3, [2, 0], None, 0.5, False),
    (3, [1, 2], squared, 0.5, False),
    (3, 1, "auto", None, False),
    (3, (2, 0, 1), None, None, False),
    (3, [2, 0], "auto", 0.5, True),
    (3, 1, "sigmoid", 0.5, True),
    (3, 1, squared, 0.5, True),
]


@pytest.mark.parametrize("kind", [RoIDice, RoIIoU])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("channels", "class_idx", "activation", "threshold", "soft"), OVERLAPS)
def test_overlap(
    kind: type, shape: tuple[int, ...], channels: int, class_idx: Any, activation: Any, threshold: Any, soft: bool
) -> None:
    """Against a mask of the class, a label map, and the network's own first answer."""
    outputs, roi = outputs_of(shape, channels), mask_of(shape)
    generator = torch.Generator().manual_seed(9)
    vector = isinstance(class_idx, list | tuple)
    for given in (torch.rand(shape, generator=generator) < 0.4, torch.randint(0, 3, shape, generator=generator), None):
        found = answer(kind(roi, given, activation, threshold, class_idx, soft=soft), outputs)
        expected = np.empty((len(outputs), len(class_idx) if vector else 1))
        for column, index in enumerate(class_idx if vector else [class_idx or 0]):
            channel = 0 if channels == 1 else index
            if given is None:
                true = torch.from_numpy(slow_answer(outputs[0], channel, activation, threshold, False))
            elif given.dtype == torch.bool:
                true = given
            else:
                true = given > 0 if channels == 1 else given == index
            for row, output in enumerate(outputs):
                answered = slow_answer(output, channel, activation, threshold, soft)
                expected[row, column] = slow_overlap(answered, true, roi, kind)
        assert found.dtype == torch.float64
        np.testing.assert_allclose(found, expected if vector else expected[:, 0], rtol=0, atol=1e-11)
        if given is None and not soft:
            assert (found[0] == (100.0 if kind is RoIDice else 1.0)).all()


def test_overlap_by_hand() -> None:
    """In the RoI: 2 answered, 3 true, 1 in common. Dice 200 / 5, IoU 1 / 4; the soft answer adds up to 1.5, 0.5 in
    common."""
    roi = ((0, 1), (1, 6))
    reference = torch.tensor([[1, 0, 1, 1, 1, 0]])
    logits = torch.tensor([[[[5.0, 1.0, 2.0, -1.0, -3.0, -1.0]]]])
    assert answer(RoIDice(roi, reference), logits).tolist() == [40.0]
    assert answer(RoIIoU(roi, reference), logits).tolist() == [0.25]
    probability = torch.tensor([[[[1.0, 0.75, 0.5, 0.0, 0.0, 0.25]]]])
    assert answer(RoIDice(roi, reference, None, soft=True), probability).tolist() == [200 * 0.5 / (1.5 + 3)]
    assert answer(RoIIoU(roi, reference, None, soft=True), probability).tolist() == [0.5 / (1.5 + 3 - 0.5)]
    # the threshold itself is not above the threshold
    assert answer(RoIDice(roi, reference, None), probability).tolist() == [0.0]
    assert answer(RoIDice(roi, reference, None, threshold=0.49), probability).tolist() == [40.0]


def test_the_winning_class_by_hand() -> None:
    """Three classes over four voxels; the winner needs no majority. Class 2 wins the last two, true are 1 and 2."""
    logits = torch.tensor([[[[9.0, 1, 0, 0]], [[0.0, 2, 0, 0.0]], [[0.0, 0, 0.1, 0.2]]]])
    reference = torch.tensor([[0, 2, 2, 1]])
    roi = torch.ones(1, 4)
    assert answer(RoIDice(roi, reference, threshold=None, class_idx=[0, 1, 2]), logits).tolist() == [[100.0, 0.0, 50.0]]
    assert answer(RoIDice(roi, reference, threshold=0.5, class_idx=2), logits).tolist() == [0.0]


def test_an_answer_that_is_empty_scores_zero() -> None:
    outputs = torch.full((1, 1, 4, 4), -5.0)
    assert answer(RoIDice(torch.ones(4, 4), torch.ones(4, 4)), outputs).tolist() == [0.0]
    assert answer(RoIIoU(torch.ones(4, 4), torch.ones(4, 4)), outputs).tolist() == [0.0]


# --- masks and references of a batch, and of every kind


def kinds_of(mask: Tensor) -> dict[str, Any]:
    return {
        "plain": mask,
        "float": mask.float(),
        "number": mask.long(),
        "one channel": mask[None],
        "one item": mask[None, None],
        "numpy": mask.numpy(),
        "meta": MetaTensor(mask.float()),
        "meta item": MetaTensor(mask.float()[None, None]),
    }


@pytest.mark.parametrize("kind", list(kinds_of(torch.ones(1))))
@pytest.mark.parametrize("score", [MaskedMeanProbability, RoIDice])
def test_masks_and_references_of_any_kind(kind: str, score: type) -> None:
    outputs, mask = outputs_of((7, 9), 1), mask_of((7, 9))
    reference = mask_of((7, 9), seed=5)
    plain = score(mask) if score is MaskedMeanProbability else score(mask, reference)
    other = kinds_of(mask)[kind]
    same = score(other) if score is MaskedMeanProbability else score(other, kinds_of(reference)[kind])
    found = answer(same, outputs)
    assert type(found) is Tensor
    assert torch.equal(found, answer(plain, outputs))
    assert same.reads((7, 9), 0) == plain.reads((7, 9), 0)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_item_of_a_batch_has_its_own_mask_and_reference(shape: tuple[int, ...]) -> None:
    outputs = outputs_of(shape, 1)
    masks = torch.stack([mask_of(shape, seed) for seed in range(3)])[:, None]
    references = torch.stack([mask_of(shape, 10 + seed) for seed in range(3)])[:, None]
    for item in range(3):
        mask, reference = masks[item, 0], references[item, 0]
        for given, alone in (
            (MaskedMeanProbability(masks), MaskedMeanProbability(mask)),
            (RoIDice(masks, references), RoIDice(mask, reference)),
            (RoIDice(MetaTensor(masks), reference), RoIDice(mask, reference)),
            (RoIIoU(mask, references), RoIIoU(mask, reference)),
        ):
            assert torch.equal(answer(given, outputs, item, batch=3), answer(alone, outputs))
            assert given.reads(shape, item) == alone.reads(shape, 0)
    first, second = (answer(MaskedMeanProbability(masks), outputs, item, batch=3) for item in (0, 1))
    assert not torch.equal(first, second)


def test_what_is_read_is_the_bounding_box() -> None:
    mask = torch.zeros(6, 7, dtype=torch.bool)
    mask[1, 5] = mask[3, 2] = True
    for score in (MaskedMeanProbability(mask), RoIDice(mask, mask)):
        assert score.reads((6, 7), 0) == ((1, 4), (2, 6))
        assert score.bind(torch.ones(1, 1, 6, 7), 0).box == ((1, 4), (2, 6))
    assert RoIDice(((2, 3), (0, 7))).reads((6, 7), 0) == ((2, 3), (0, 7))
    assert CallableScore(lambda output: output).reads((6, 7), 0) is None
    assert CallableScore(lambda output: output, ((0, 1), (2, 4))).reads((6, 7), 0) == ((0, 1), (2, 4))


# --- the margin


def hard_answer(outputs: Tensor, channel: int, activation: Any, threshold: float | None) -> Tensor:
    if threshold is None:
        return outputs.argmax(1) == channel
    return activate(outputs, activation)[:, channel] > threshold


def clamped(logits: Tensor) -> Tensor:
    """An activation of the caller's own that stretches nothing."""
    return (0.3 * logits + 0.4).clamp(0, 1)


MARGINS = [
    (1, "auto", 0.5),
    (1, "auto", 0.1),
    (3, "auto", 0.5),
    (3, "softmax", 0.25),
    (3, "sigmoid", 0.8),
    (2, None, 0.5),
    (3, None, 0.2),
    (2, clamped, 0.6),
    (2, "auto", None),
    (4, "auto", None),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("channels", "activation", "threshold"), MARGINS)
def test_no_shift_below_the_margin_changes_an_answer(
    shape: tuple[int, ...], channels: int, activation: Any, threshold: float | None
) -> None:
    """At random, and in the worst direction: the class's own logit against its answer and all others the other way."""
    outputs = outputs_of(shape, channels, batch=8) * torch.logspace(-3, 0.5, 8, dtype=torch.float64).reshape(
        -1, *(1,) * (len(shape) + 1)
    )
    channel = channels - 1
    score = RoIDice(torch.ones(shape), torch.ones(shape, dtype=torch.bool), activation, threshold, channel)
    margin = score.bind(outputs[:1], 0).margin
    assert margin is not None
    distance = margin(outputs)
    before = hard_answer(outputs, channel, activation, threshold)
    assert 0.05 < before.double().mean() < 0.95
    assert (distance > 0).all()
    reach = 0.999999 * distance[:, None]
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        shift = 2 * torch.rand(outputs.shape, generator=generator, dtype=torch.float64) - 1
        assert torch.equal(hard_answer(outputs + reach * shift, channel, activation, threshold), before)
        assert torch.equal(hard_answer(outputs + reach * shift.sign(), channel, activation, threshold), before)
    worst = torch.ones_like(outputs)
    worst[:, channel] = -1
    worst = torch.where(before[:, None], worst, -worst)
    assert torch.equal(hard_answer(outputs + reach * worst, channel, activation, threshold), before)


@pytest.mark.parametrize(
    ("channels", "activation", "threshold"), [(2, None, 0.5), (2, "auto", None), (4, "auto", None)]
)
def test_the_margin_wastes_nothing_where_it_can_be_exact(
    channels: int, activation: Any, threshold: float | None
) -> None:
    """A little more than the margin, in the worst direction, changes every answer."""
    outputs = outputs_of((7, 9), channels)
    score = RoIDice(torch.ones(7, 9), torch.ones(7, 9), activation, threshold, 1)
    margin = score.bind(outputs[:1], 0).margin
    assert margin is not None
    before = hard_answer(outputs, 1, activation, threshold)
    worst = torch.ones_like(outputs)
    worst[:, 1] = -1
    worst = torch.where(before[:, None], worst, -worst)
    after = hard_answer(outputs + 1.000001 * margin(outputs)[:, None] * worst, 1, activation, threshold)
    assert torch.equal(after, ~before)


def test_the_margin_by_hand() -> None:
    """Near a half a sigmoid moves a quarter as far as its logit; a softmax of two half as far as both of its logits."""
    roi = torch.tensor([[True, True, False]])
    one = RoIDice(roi, torch.ones(1, 3)).bind(torch.zeros(1, 1, 1, 3), 0)
    assert one.margin is not None
    found = one.margin(torch.tensor([[[[1e-3, -2e-3]]]], dtype=torch.float64))
    assert found.flatten().tolist() == [pytest.approx(1e-3, rel=1e-5), pytest.approx(2e-3, rel=1e-5)]
    two = RoIDice(roi, torch.ones(1, 3), class_idx=1).bind(torch.zeros(1, 2, 1, 3), 0)
    assert two.margin is not None
    found = two.margin(torch.tensor([[[[1e-3, 0]], [[0, 5e-3]]]], dtype=torch.float64))
    assert found.flatten().tolist() == [pytest.approx(0.5e-3, rel=1e-5), pytest.approx(2.5e-3, rel=1e-5)]
    wins = RoIDice(roi, torch.ones(1, 3), threshold=None, class_idx=1).bind(torch.zeros(1, 3, 1, 3), 0)
    assert wins.margin is not None
    assert wins.margin(torch.tensor([[[[1.0, 0]], [[4.0, -1.0]], [[2.0, -3]]]])).flatten().tolist() == [1.0, 0.5]


def test_the_margin_does_not_look_outside_the_roi() -> None:
    roi = torch.tensor([[True, False, True]])
    bound = RoIDice(roi, torch.ones(1, 3)).bind(torch.zeros(1, 1, 1, 3), 0)
    assert bound.margin is not None
    found = bound.margin(torch.zeros(2, 1, 1, 3))
    assert found.tolist() == [[[0.0, torch.inf, 0.0]]] * 2


def test_the_margin_of_several_classes_is_the_smallest_of_theirs() -> None:
    outputs = outputs_of((7, 9), 4)
    margins = []
    for class_idx in (0, 3, [0, 3]):
        margin = (
            RoIDice(torch.ones(7, 9), torch.ones(7, 9, dtype=torch.bool), class_idx=class_idx)
            .bind(outputs[:1], 0)
            .margin
        )
        assert margin is not None
        margins.append(margin(outputs))
    assert torch.equal(margins[2], torch.minimum(margins[0], margins[1]))
    assert not torch.equal(margins[2], margins[0])


def test_continuous_scores_have_no_margin() -> None:
    outputs = outputs_of((7, 9), 1)
    ones = torch.ones(7, 9)
    for score in (
        MaskedMeanProbability(ones),
        MaskedMeanLogit(ones),
        RoIDice(ones, ones, soft=True),
        CallableScore(len),
    ):
        assert score.bind(outputs[:1], 0).margin is None


# --- errors


def check_batch(score: Score, batch: int = 1) -> None:
    score.check((4, 5), batch)


def bind_channels(score: Score, channels: int) -> BoundScore:
    return score.bind(torch.zeros(1, channels, 4, 5), 0)


ONES = torch.ones(4, 5)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: check_batch(MaskedMeanProbability(torch.zeros(4, 5))), "the mask of item 0 is empty"),
        (lambda: check_batch(RoIDice(torch.zeros(4, 5))), "the RoI of item 0 is empty"),
        (
            lambda: check_batch(MaskedMeanLogit(torch.stack([ONES, torch.zeros(4, 5)])[:, None]), 2),
            "the mask of item 1 is empty: there is nothing to score",
        ),
        (
            lambda: check_batch(MaskedMeanProbability(torch.ones(5, 4))),
            r"a mask of shape \(5, 4\) does not fit .* \(4, 5\)",
        ),
        (lambda: check_batch(RoIDice(torch.ones(2, 4, 5))), r"a mask of shape \(2, 4, 5\) does not fit"),
        (lambda: check_batch(RoIDice(((0, 5), (0, 5)))), r"the box leaves the image: \[0, 5\) on axis 0 of 4 voxels"),
        (lambda: check_batch(RoIDice(((0, 0), (0, 5)))), "the box is empty"),
        (lambda: check_batch(RoIDice(((0, 1),))), "the box has 1 axes, the image 2"),
        (lambda: check_batch(RoIDice(torch.ones(3, 1, 4, 5)), 2), "the RoI is given for 3 items, the batch has 2"),
        (
            lambda: check_batch(MaskedMeanProbability(torch.ones(2, 1, 4, 5)), 3),
            "the mask is given for 2 items, the b.* 3",
        ),
        (
            lambda: check_batch(RoIDice(ONES, torch.ones(2, 1, 4, 5)), 1),
            "the reference is given for 2 items, the batch has 1",
        ),
        (lambda: check_batch(RoIDice(ONES, torch.ones(5, 5))), r"the reference of shape \(5, 5\) does not fit"),
        (lambda: check_batch(RoIDice(ONES, torch.ones(3, 4, 5))), r"the reference of shape \(3, 4, 5\) does not fit"),
        (
            lambda: check_batch(CallableScore(len, ((0, 4), (0, 9)))),
            r"the score's box leaves the image: \[0, 9\) on axis 1",
        ),
        (
            lambda: bind_channels(MaskedMeanProbability(ONES), 3),
            "the network gives 3 channels: say which with class_idx",
        ),
        (lambda: bind_channels(RoIDice(ONES, ONES), 2), "the network gives 2 channels: say which with class_idx"),
        (lambda: bind_channels(MaskedMeanProbability(ONES, 3), 3), "class_idx=3: the network gives 3 channels"),
        (lambda: bind_channels(MaskedMeanProbability(ONES, [0, -1]), 3), "class_idx=-1: the network gives 3 channels"),
        (lambda: bind_channels(RoIDice(ONES, class_idx=2), 1), "class_idx=2: the network gives 1 channels"),
        (
            lambda: bind_channels(RoIDice(ONES, torch.zeros(4, 5)), 1),
            "the reference holds nothing of class 0 inside the RoI of item 0: its overlap is undefined",
        ),
        (
            lambda: bind_channels(RoIDice(ONES, ONES, class_idx=[1, 2]), 3),
            "the reference holds nothing of class 2 inside",
        ),
        (
            lambda: bind_channels(RoIDice(((0, 2), (0, 5)), torch.tensor([[0], [0], [1], [1]]).expand(4, 5)), 1),
            "the reference holds nothing of class 0 inside the RoI",
        ),
        (lambda: bind_channels(RoIDice(ONES), 1), "the network's own answer holds nothing of class 0 inside the RoI"),
        (
            lambda: bind_channels(RoIDice(ONES, ONES, threshold=None), 1),
            "threshold=None asks which class wins; the network",
        ),
        (lambda: RoIDice(ONES, activation="relu"), "activation='relu': choose 'auto', 'sigmoid', 'softmax'"),
        (lambda: MaskedMeanProbability(ONES, activation="none"), "activation='none': choose"),
        (lambda: RoIDice(ONES, threshold=0), "threshold=0: a probability between 0 and 1"),
        (lambda: RoIIoU(ONES, threshold=1.0), "threshold=1.0: a probability between 0 and 1"),
        (lambda: RoIDice(ONES, threshold=None, soft=True), "soft=True has no threshold"),
        (lambda: MaskedMeanProbability(ONES, class_idx=[]), "class_idx is empty: name at least one class"),
    ],
)
def test_scores_that_cannot_be(act: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        act()


# --- the share of a RoI, which needs no reference


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("channels", "class_idx", "threshold", "soft"),
    [(1, None, 0.5, False), (1, None, 0.8, True), (3, 2, 0.3, False), (3, 2, None, False), (3, [0, 2], 0.5, True)],
)
def test_foreground_share(shape: tuple[int, ...], channels: int, class_idx: Any, threshold: Any, soft: bool) -> None:
    outputs, roi = outputs_of(shape, channels), mask_of(shape, 3)
    found = answer(RoIForegroundShare(roi, "auto", threshold, class_idx, soft), outputs)
    classes = class_idx if isinstance(class_idx, list) else [class_idx or 0]
    for item, output in enumerate(outputs):
        expected = [slow_answer(output, channel, "auto", threshold, soft)[roi.numpy()].mean() for channel in classes]
        np.testing.assert_allclose(found[item].numpy(), expected if isinstance(class_idx, list) else expected[0])


def test_a_share_may_begin_at_nothing() -> None:
    """Where a Dice would be undefined: the network sees nothing in the RoI, and that is the question."""
    outputs = torch.full((2, 1, 4, 5), -1.0)
    outputs[1, 0, 1, :3] = 1.0
    score = RoIForegroundShare(((1, 3), (0, 5)))
    assert answer(score, outputs).tolist() == [0.0, 0.3]
    bound = score.bind(outputs[:1], 0)
    assert bound.margin is not None  # it is a hard score: what lies near the threshold is run again
    near = outputs[:, :, 1:3].clone()
    near[0, 0, 0, 4] = 0.01
    assert float(bound.margin(near)[0].min()) < 0.011


@pytest.mark.parametrize("threshold", [0.3, 0.5, None])
def test_hard_answers(threshold: float | None) -> None:
    outputs = outputs_of((7, 9), 3)
    for index in range(3):
        found = scores.hard_answer(outputs, index, "auto", threshold)
        for item, output in enumerate(outputs):
            if threshold is None:
                expected = (output.argmax(0) == index).numpy()
            else:
                expected = slow_answer(output, index, "auto", threshold, soft=False) > 0
            np.testing.assert_array_equal(found[item].numpy(), expected)


# --- functions as scores


def test_a_function_is_a_score() -> None:
    outputs = outputs_of((7, 9), 2).float()
    bound = as_score(lambda output: output[:, 1].amax((1, 2))).bind(outputs[:1], 0)
    assert bound.box is None
    found = bound.value(outputs)
    assert found.dtype == torch.float64
    assert torch.equal(found, outputs[:, 1].flatten(1).max(1).values.double())
    score = RoIDice(ONES)
    assert as_score(score) is score
    with pytest.raises(TypeError, match="str is no score: give a Score or a function of the network's output"):
        as_score("dice")  # type: ignore[arg-type]


def test_a_function_may_give_several_numbers_and_read_a_box() -> None:
    outputs = outputs_of((7, 9), 2)
    bound = CallableScore(lambda part: part.mean((2, 3)), ((1, 3), (2, 8))).bind(outputs[:1], 0)
    found = bound.value(cropped(bound, outputs))
    torch.testing.assert_close(found, outputs[:, :, 1:3, 2:8].mean((2, 3)), rtol=0, atol=0)


@pytest.mark.parametrize(
    "function", [lambda o: o.mean(), lambda o: o.mean((1, 2, 3))[:2], lambda o: o.mean(1), lambda o: o.mean((0, 2, 3))]
)
def test_a_function_gives_a_row_per_item(function: Callable[[Tensor], Tensor]) -> None:
    outputs = outputs_of((7, 9), 2)
    with pytest.raises(
        ValueError, match=r"the score function gave shape .* for 5 items: it must give \(5,\) or \(5, values\)"
    ):
        CallableScore(function).bind(outputs[:1], 0).value(outputs)


# --- activations and outputs


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activate(channels: int, activation: Any) -> None:
    outputs = outputs_of((3, 4), channels)
    expected = [slow_probability(output, activation) for output in outputs]
    np.testing.assert_allclose(activate(outputs, activation), expected, rtol=0, atol=1e-15)
    if activation == "auto":
        assert torch.equal(activate(outputs), activate(outputs, activation))


SEGMENTATION, OTHER = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 1, 1)


@pytest.mark.parametrize(
    "output",
    [
        SEGMENTATION,
        {"out": SEGMENTATION, "aux": OTHER},
        OrderedDict(aux=OTHER, out=SEGMENTATION),
        {"logits": SEGMENTATION, "loss": None, "names": ["a"]},
        (SEGMENTATION, OTHER),
        [SEGMENTATION],
        {"out": [SEGMENTATION, OTHER]},
        ({"out": SEGMENTATION}, OTHER),
        [[SEGMENTATION, OTHER], OTHER],
    ],
)
def test_the_segmentation_in_an_output(output: Any) -> None:
    assert output_tensor(output) is SEGMENTATION


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"b": OTHER, "a": SEGMENTATION}, r"a dict with keys \['a', 'b'\]: wrap it to return one tensor"),
        ({}, r"a dict with keys \[\]: wrap it"),
        ({"x": [SEGMENTATION]}, r"a dict with keys \['x'\]"),
        ((), "the network returned tuple: expected a tensor, or a dict or sequence of tensors"),
        (None, "the network returned NoneType"),
        ((None, SEGMENTATION), "the network returned NoneType"),
        (3.0, "the network returned float"),
    ],
)
def test_an_output_without_a_segmentation(output: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        output_tensor(output)
