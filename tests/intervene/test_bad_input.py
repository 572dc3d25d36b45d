# SPDX-License-Identifier: Apache-2.0
"""What is wrong is said at once: one clear error, with the value, before any forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn

from monai_causal.intervene import (
    ConstantFill,
    DonorPatchFill,
    Evaluator,
    InpaintFill,
    MaskedMeanProbability,
    MeanFill,
    Region,
    Regions,
    RoIDice,
    box_regions,
    grid_regions,
    mask_regions,
)
from tests.intervene.replicas import Counting

SIZE = (12, 10)
EXECUTIONS = ["auto", "dense", "windows", "incremental"]


def ask(net: Any, execution: str, **options: Any) -> Evaluator:
    inferer = SlidingWindowInferer((8, 8)) if execution == "windows" else None
    return Evaluator(net, execution=execution, inferer=inferer, **options)


def network(channels: int = 1) -> Counting:
    return Counting(nn.Conv2d(channels, 1, 3, padding=1))


def mean(output: Tensor) -> Tensor:
    return output.mean((1, 2, 3))


def with_value(value: float) -> Tensor:
    image = torch.rand(1, 1, *SIZE)
    image[0, 0, 3, 4] = value
    return image


GRID = grid_regions(SIZE, 4)
IMAGE = torch.rand(1, 1, *SIZE)

# What is asked, and what is said: (image, regions, fill, score, draws), error, message.
QUESTIONS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "NaN image": ({"image": with_value(float("nan"))}, ValueError, "the image holds NaN or infinite values"),
    "infinite image": ({"image": with_value(float("inf"))}, ValueError, "the image holds NaN or infinite values"),
    "integer image": ({"image": (IMAGE * 9).int()}, ValueError, r"the image holds torch\.int32: convert it"),
    "no tensor": ({"image": IMAGE.numpy()}, ValueError, r"the image is ndarray: a tensor \(B, C, \*spatial\)"),
    "no batch axis": ({"image": IMAGE[0, 0]}, ValueError, r"the image is \(12, 10\): a tensor \(B, C, \*spatial\)"),
    "no image in the batch": ({"image": IMAGE[:0]}, ValueError, r"the image is \(0, 1, 12, 10\): a tensor"),
    "regions of another image": (
        {"regions": grid_regions((12, 11), 4)},
        ValueError,
        r"the regions are for images of shape \(12, 11\), this one has \(12, 10\)",
    ),
    "regions of other axes": (
        {"regions": grid_regions((12, 10, 3), 4)},
        ValueError,
        r"the regions are for images of shape \(12, 10, 3\), this one has \(12, 10\)",
    ),
    "donors of other channels": (
        {"fill": DonorPatchFill(torch.rand(3, 2, 8, 8))},
        ValueError,
        r"donor 0 has shape \(2, 8, 8\); this image needs \(1, ",
    ),
    "donors of other axes": (
        {"fill": DonorPatchFill(torch.rand(3, 1, 8, 8, 8))},
        ValueError,
        r"donor 0 has shape \(1, 8, 8, 8\)",
    ),
    "donors smaller than the patch": (
        {"fill": DonorPatchFill(torch.rand(3, 1, 4, 3))},
        ValueError,
        r"donor 0 of shape \(4, 3\) is smaller than the patch \(4, 4\)",
    ),
    "more draws than donors": (
        {"fill": DonorPatchFill(torch.rand(3, 1, 4, 4), order="every"), "draws": 4},
        ValueError,
        r"draw 3 of a bank of 3 donors: order='every' has one draw per donor, draws=3 at most",
    ),
    "constants of other channels": (
        {"fill": ConstantFill([1.0, 2.0])},
        ValueError,
        r"ConstantFill\(\[1\.0, 2\.0\]\): .* 1 channels",
    ),
    "nothing left to inpaint from": (
        {"fill": InpaintFill(), "regions": grid_regions(SIZE, SIZE)},
        ValueError,
        "covers the whole image",
    ),
    "a fill that is none": ({"fill": "mean"}, TypeError, "str is no fill: give a Fill, a number, or a function"),
    "a score that is none": ({"score": 3}, TypeError, "int is no score: give a Score or a function"),
    "an empty mask": (
        {"score": MaskedMeanProbability(torch.zeros(SIZE))},
        ValueError,
        "the mask of item 0 is empty: there is nothing to score",
    ),
    "an empty mask of one item": (
        {
            "image": torch.rand(2, 1, *SIZE),
            "score": MaskedMeanProbability(torch.stack([torch.ones(1, *SIZE), torch.zeros(1, *SIZE)])),
        },
        ValueError,
        "the mask of item 1 is empty",
    ),
    "an empty RoI": ({"score": RoIDice(torch.zeros(SIZE))}, ValueError, "the RoI of item 0 is empty"),
    "a reference of another size": (
        {"score": RoIDice(((2, 5), (2, 5)), torch.ones(12, 11))},
        ValueError,
        r"the reference of shape \(12, 11\) does not fit an image of shape \(12, 10\)",
    ),
    "an empty reference": (
        {"score": RoIDice(((2, 5), (2, 5)), torch.zeros(SIZE))},
        ValueError,
        "the reference holds nothing of any class inside the RoI of item 0: its overlap is undefined",
    ),
    "no draws": ({"draws": 0}, ValueError, "draws=0: at least one draw is needed"),
    "an empty range of draws": ({"draws": range(3, 3)}, ValueError, r"draws=range\(3, 3\): at least one draw"),
}


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("name", QUESTIONS)
def test_a_bad_question_is_refused_before_any_forward(name: str, execution: str) -> None:
    changed, error, match = QUESTIONS[name]
    question = {"image": IMAGE, "regions": GRID, "fill": MeanFill(), "score": mean, **changed}
    net = network()
    evaluator = ask(net, execution)
    with pytest.raises(error, match=match):
        evaluator(**question)
    assert net.batches == []
    assert net.training  # and the network is as it was


REGIONS: dict[str, tuple[Callable[[], Regions], str]] = {
    "outside the image": (
        lambda: box_regions(SIZE, [((2, 5), (8, 11))]),
        r"region 0 leaves the image: \[8, 11\) on axis 1 of 10 voxels",
    ),
    "before the image": (
        lambda: box_regions(SIZE, [((0, 2), (0, 2)), ((-1, 3), (0, 2))]),
        r"region 1 leaves the image",
    ),
    "an empty box": (lambda: box_regions(SIZE, [((3, 3), (0, 2))]), r"region 0 is empty: \[3, 3\) on axis 0"),
    "a box the wrong way round": (lambda: box_regions(SIZE, [((5, 3), (0, 2))]), r"region 0 is empty: \[5, 3\)"),
    "an empty mask": (lambda: mask_regions(np.zeros((1, *SIZE))), "region 0 is empty: its mask holds no voxel"),
    "an empty mask in a box": (
        lambda: Regions(SIZE, (Region(4, ((0, 2), (0, 2)), torch.zeros(2, 2, dtype=torch.bool)),)),
        "region 4 is empty: its mask holds no voxel",
    ),
    "an axis too few": (lambda: box_regions(SIZE, [((0, 2),)]), "region 0 has 1 axes, the image 2"),
    "none at all": (lambda: box_regions(SIZE, []), "there are no regions"),
}


@pytest.mark.parametrize("name", REGIONS)
def test_regions_that_are_none_cannot_be_made(name: str) -> None:
    make, match = REGIONS[name]
    with pytest.raises(ValueError, match=match):
        make()


class Sized(nn.Module):
    """A network whose answer is not of the image's size."""

    def __init__(self, form: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner = nn.Conv2d(1, 2, 3, padding=1)
        self.form = form

    def forward(self, image: Tensor) -> Tensor:
        return self.form(self.inner(image))


FORMS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "half the size": (lambda answer: F.avg_pool2d(answer, 2), r"\(1, 1, 12, 10\) into \(1, 2, 6, 5\)"),
    "half the size, resampled": (
        lambda answer: F.interpolate(answer, scale_factor=0.5, mode="bilinear"),
        r"\(1, 1, 12, 10\) into \(1, 2, 6, 5\)",
    ),
    "a larger one": (lambda answer: F.pad(answer, (1, 1)), r"\(1, 1, 12, 10\) into \(1, 2, 12, 12\)"),
    "a classification": (lambda answer: answer.mean((2, 3)), r"\(1, 1, 12, 10\) into \(1, 2\)"),
    "an axis more": (lambda answer: answer[..., None], r"\(1, 1, 12, 10\) into \(1, 2, 12, 10, 1\)"),
    "an item more": (lambda answer: torch.cat([answer, answer]), r"\(1, 1, 12, 10\) into \(2, 2, 12, 10\)"),
}


@pytest.mark.parametrize("execution", ["dense", "incremental"])
@pytest.mark.parametrize("name", FORMS)
def test_an_answer_of_another_size_is_refused_at_the_first_one(name: str, execution: str) -> None:
    form, shapes = FORMS[name]
    net = Counting(Sized(form))
    score = RoIDice(((8, 12), (6, 10)), torch.ones(SIZE), class_idx=1)
    with pytest.raises(ValueError, match=f"the network turned {shapes}: a segmentation .* of the image's own size"):
        ask(net, execution)(IMAGE, GRID, MeanFill(), score)
    assert net.batches == [1]


@pytest.mark.parametrize(
    ("score", "match"),
    [
        (MaskedMeanProbability(torch.ones(SIZE)), "gives 2 channels: say which with class_idx"),
        (MaskedMeanProbability(torch.ones(SIZE), class_idx=5), "class_idx=5: the network gives 2 channels"),
        (
            RoIDice(((2, 5), (2, 5)), torch.full(SIZE, 2), class_idx=1),
            "the reference holds nothing of class 1 inside the RoI of item 0",
        ),
        (lambda output: output.mean(), r"the score function gave shape \(\) for 1 items"),
        (lambda output: output, r"the score function gave shape \(1, 2, 12, 10\) for 1 items"),
    ],
)
@pytest.mark.parametrize("execution", ["dense", "incremental"])
def test_what_only_the_first_answer_shows(execution: str, score: Any, match: str) -> None:
    net = Counting(Sized(lambda answer: answer))
    with pytest.raises(ValueError, match=match):
        ask(net, execution)(IMAGE, GRID, MeanFill(), score)
    assert net.batches == [1]


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"execution": "fast"}, ValueError, "execution='fast': choose 'auto', 'dense', 'windows' or 'incremental'"),
        ({"batch_size": 0}, ValueError, "batch_size=0: a positive number or 'auto'"),
        ({"batch_size": 2.5}, ValueError, r"batch_size=2\.5: a positive number or 'auto'"),
        ({"batch_size": "large"}, ValueError, "batch_size='large': a positive number or 'auto'"),
        ({"execution": "incremental", "amp": True}, ValueError, "execution='incremental' promises .* autocast"),
    ],
)
def test_options_that_are_none(options: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Evaluator(network(), **options)


def test_a_network_that_is_none() -> None:
    with pytest.raises(TypeError, match=r"str is no network: give an nn\.Module or a callable"):
        Evaluator("unet")


def test_an_inferer_beside_the_incremental_execution() -> None:
    net = network()
    with pytest.raises(ValueError, match="leave the inferer out, or use 'windows'"):
        Evaluator(net, execution="incremental", inferer=SlidingWindowInferer((8, 8)))(IMAGE, GRID, MeanFill(), mean)
    assert net.batches == []


def test_the_incremental_execution_says_why_it_cannot() -> None:
    with pytest.raises(RuntimeError, match=r"only an nn\.Module can be taken apart; this network is a plain callable"):
        Evaluator(lambda batch: batch, execution="incremental")(IMAGE, GRID, MeanFill(), mean)


def test_a_region_of_channels_that_the_image_has_not() -> None:
    network = Counting(nn.Conv2d(2, 1, 1))
    regions = Regions((8, 8), (Region(0, ((0, 4), (0, 4)), channels=(1, 3)),))
    with pytest.raises(ValueError, match=r"region 0 takes channels \(1, 3\); the image has 2"):
        Evaluator(network)(torch.rand(1, 2, 8, 8), regions, 0.0, lambda output: output.flatten(1).mean(1))
    assert network.batches == []
