# SPDX-License-Identifier: Apache-2.0
"""An explanation as an inferer is the visualizer's own map, item by item, whatever the engine around it does."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, decollate_batch, list_data_collate
from monai.inferers import SlidingWindowInferer
from torch import nn

from monai_causal.inferers import ExplanationInferer
from monai_causal.intervene import MeanFill
from monai_causal.visualize import DEA, EGA, GPA, RIA, RISE, KernelShap, MiSuRe, PdCR, SegGradCAM
from tests.golden import PlantedContext

ROI = ((16, 24), (16, 24))


def pictures(count: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 1, 32, 40, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def segmenter(classes: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, classes, 3, padding=1)).double()


def alone(inferer: ExplanationInferer, inputs: torch.Tensor, network: nn.Module, **given: Any) -> torch.Tensor:
    """The same without a batch."""
    return torch.cat([inferer(inputs[item : item + 1], network, **given) for item in range(len(inputs))])


def test_the_whole_effect_lies_where_the_golden_model_reads() -> None:
    network, images = PlantedContext((8, -8)), pictures()
    inferer = ExplanationInferer("PdCR", roi=[[16, 24], [16, 24]], fill=MeanFill(), patch_size=8)  # lists, as of JSON
    maps = inferer(images, network)
    reads = torch.from_numpy(network.reads(ROI, (32, 40)))
    assert maps.shape == (2, 1, 32, 40)
    for image, heat, found in zip(images, maps, inferer.explanations, strict=True):
        answer = network.prediction(image)
        assert np.array_equal(found.answer, answer)
        region = reads.numpy()
        fill = np.full(image.shape, float(image.mean()))
        effect = network.dice_effect(image, fill, region, ROI, answer)
        assert effect < 0
        assert heat[0][reads].tolist() == pytest.approx([effect] * 64)
        assert not heat[0][~reads].any()
        assert found.signed
        assert found.unit == "Dice points"
        assert found.result is not None
        assert found.result.baseline == 100


@pytest.mark.parametrize(
    ("name", "visualizer", "options"),
    [
        ("DEA", DEA, {"target_layers": "0", "grid": 4}),
        ("EGA", EGA, {"target_layers": "0"}),
        ("GPA", GPA, {"target_layers": "0"}),
        ("RIA", RIA, {"grid": 4}),
    ],
)
def test_each_visualizer_with_a_mask(name: str, visualizer: Any, options: dict[str, Any]) -> None:
    network, images = segmenter(), pictures()
    given = ExplanationInferer(name, ROI, 1, **options)(images, network)
    assert torch.equal(given, visualizer(network, **options)(images, 1, ROI))
    # "prediction" is what the visualizer does by itself where no mask is given
    own = ExplanationInferer(name, "prediction", 1, **options)(images, network)
    assert torch.equal(own, visualizer(network, **options)(images, 1))
    assert not torch.equal(own, given)


@pytest.mark.parametrize(
    ("name", "visualizer", "options"),
    [
        ("PdCR", PdCR, {"fill": MeanFill(), "patch_size": 4}),
        ("RISE", RISE, {"n_masks": 20, "cells": 4}),
        ("KernelShap", KernelShap, {"grid": 3}),
        ("MiSuRe", MiSuRe, {"steps": 2}),
        ("SegGradCAM", SegGradCAM, {"target_layers": "0"}),
    ],
)
def test_each_visualizer_with_a_roi(name: str, visualizer: Any, options: dict[str, Any]) -> None:
    network, images = segmenter(), pictures(1)
    given = ExplanationInferer(name, ROI, 1, **options)(images, network)
    expected = visualizer(network, class_idx=1, **options)(images, roi=ROI)
    assert torch.equal(given, torch.as_tensor(expected))
    assert given.any()


def test_rules_are_those_of_pdcr() -> None:
    network, images = PlantedContext((8, 0)), pictures(1)
    for rule in ("boundary", "component"):
        options: dict[str, Any] = {"fill": MeanFill(), "patch_size": 8}
        inferer = ExplanationInferer("PdCR", rule, roi_size=8, **options)
        expected = PdCR(network, roi_size=8, **options).explain(images, rule)
        assert torch.equal(inferer(images, network), expected.map)
        assert torch.equal(inferer.explanations[0].roi, expected.roi)
    dea = ExplanationInferer("DEA", "component", grid=4)
    dea(images, network)
    (found,) = dea.explanations
    assert 0 < found.roi.sum() < found.answer.sum()
    assert not (found.roi & ~found.answer).any()


def test_the_class_of_each_item_is_its_own_first_answer() -> None:
    class Bright(nn.Module):
        """Class 1 in the left half and 2 in the right half, wherever it is bright."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            side = torch.zeros_like(x)
            side[..., 20:] = 1
            return 20 * torch.cat([0.5 - x, (x - 0.5) * (1 - side), (x - 0.5) * side], 1)

    left, right = torch.zeros(1, 1, 32, 40), torch.zeros(1, 1, 32, 40)
    left[..., 4:8, 4:8] = 1
    right[..., 4:8, 30:36] = 1
    right[..., 20, 3] = 1
    inferer = ExplanationInferer("RIA", "prediction", "prediction", grid=8)
    maps = inferer(torch.cat([left, right]), Bright())
    assert [one.class_idx for one in inferer.explanations] == [1, 2]
    assert torch.equal(maps[1:], RIA(Bright(), 8)(right, 2))
    assert torch.equal(inferer(right, Bright(), class_idx=1), RIA(Bright(), 8)(right, 1))
    with pytest.raises(ValueError, match="3 channels; name the one"):
        ExplanationInferer("RIA")(left, Bright())


def test_roi_label_and_class_of_each_item_come_with_the_call() -> None:
    network, images = PlantedContext((8, 0)), pictures()
    masks = torch.zeros(2, 1, 32, 40)
    masks[0, :, 8:16, 8:16] = 1
    masks[1, :, 16:24, 24:32] = 1
    boxes = torch.tensor([[[8, 16], [8, 16]], [[16, 24], [24, 32]]])
    labels = (pictures(seed=3) > 0.5).to(torch.uint8)
    inferer = ExplanationInferer("PdCR", ROI, fill=MeanFill())
    by_mask = inferer(images, network, roi=masks, label=labels)
    for found, box, image, label in zip(inferer.explanations, boxes, images, labels, strict=True):
        assert found.result is not None
        assert found.result.baseline == pytest.approx(network.dice(image, box.tolist(), label[0]))
    assert torch.equal(by_mask, inferer(images, network, roi=boxes, label=labels))
    assert torch.equal(by_mask, inferer(images, network, roi=boxes.numpy(), label=labels))
    assert not torch.equal(by_mask, inferer(images, network, label=labels))
    named = inferer(images, network, roi=["component", "prediction"])
    assert torch.equal(named[1:], inferer(images[1:], network, roi="prediction"))
    dea, two = ExplanationInferer("DEA", target_layers="0", grid=4), segmenter(3)
    several = dea(images, two, roi=masks, class_idx=torch.tensor([1, 2]))
    assert torch.equal(several, DEA(two, "0", 4)(images, [1, 2], masks))


MODES = [nullcontext, torch.no_grad, torch.inference_mode]


@pytest.mark.parametrize("around", MODES)
@pytest.mark.parametrize("made_in", MODES)
@pytest.mark.parametrize("name", ["DEA", "MiSuRe", "PdCR"])
def test_it_works_in_any_mode_and_leaves_the_network(name: str, made_in: Any, around: Any) -> None:
    options: dict[str, Any] = {
        "DEA": {"target_layers": "0", "grid": 4},
        "MiSuRe": {"steps": 2},
        "PdCR": {"fill": MeanFill(), "patch_size": 4},
    }[name]
    expected = ExplanationInferer(name, ROI, 1, **options)(pictures(), segmenter())
    with made_in():  # what autograd refuses for good, where made in inference mode
        images, network = pictures(), segmenter()
    network.train()
    weights = {key: value.clone() for key, value in network.state_dict().items()}
    with around():
        maps = ExplanationInferer(name, ROI, 1, **options)(images, network)
    assert torch.equal(maps, expected)
    assert not maps.requires_grad
    assert not maps.is_inference()
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(weights[key], value) for key, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    assert not images.requires_grad


def test_autocast_around_it_does_not_reach_the_network() -> None:
    images, network = pictures().float(), segmenter().float()
    inferer = ExplanationInferer("DEA", ROI, 1, target_layers="0", grid=4)
    expected = inferer(images, network)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(images).dtype == torch.bfloat16
        maps = inferer(images, network)
    assert torch.equal(maps, expected)


def test_a_gradient_is_there_for_a_visualizer_of_ones_own() -> None:
    class Gradient:
        def __init__(self, network: nn.Module, power: int = 1) -> None:
            self.network, self.power = network, power

        def __call__(self, image: torch.Tensor, roi: Any, label: torch.Tensor | None) -> torch.Tensor:
            image = image.detach().requires_grad_()
            rows, columns = (slice(*span) for span in roi)
            (gradient,) = torch.autograd.grad(self.network(image)[..., rows, columns].sum(), image)
            return gradient**self.power

    network = PlantedContext((8, -8), gain=3.0)
    with torch.inference_mode():
        maps = ExplanationInferer(Gradient, ROI, power=2)(pictures(), network)
    expected = 9.0 * torch.from_numpy(network.reads(ROI, (32, 40)))
    assert torch.equal(maps, expected.expand(2, 1, -1, -1))


def test_a_batch_is_its_items_and_a_network_is_asked_as_it_is_now() -> None:
    network, images = segmenter(), pictures(3)
    inferer = ExplanationInferer("DEA", ROI, 1, target_layers="0", grid=4)
    first = inferer(images, network)
    assert torch.equal(first, alone(inferer, images, network))
    with torch.no_grad():
        network[0].weight.neg_()
    assert torch.equal(inferer(images, network), DEA(network, "0", 4)(images, 1, ROI))
    other = segmenter(3)
    assert torch.equal(inferer(images, other), DEA(other, "0", 4)(images, 1, ROI))


@pytest.mark.parametrize("name", ["PdCR", "RIA"])
def test_maps_of_volumes_lie_on_their_images(name: str) -> None:
    affines = [np.diag([1.5, -2, 3, 1]), np.array([[0, 2.0, 0, 5], [-1, 0, 0, 7], [0, 0, 3, -4], [0, 0, 0, 1]])]
    images = [
        MetaTensor(
            torch.rand(1, 16, 12, 8, generator=torch.Generator().manual_seed(seed)).double(),
            affine=affine,
            meta={"filename_or_obj": f"ct-{seed}.nii.gz"},
        )
        for seed, affine in enumerate(affines)
    ]
    batch = list_data_collate([{"image": image} for image in images])["image"]
    network = PlantedContext((4, 0, -4))
    roi = ((8, 12), (4, 8), (0, 4))
    batch *= 0.6
    batch[:, 0, 4:8, 4:8, 4:8] += 0.5  # what the answer in the RoI is read from; the mean is no answer
    options: dict[str, Any] = {"fill": MeanFill(), "patch_size": 4} if name == "PdCR" else {"grid": (4, 3, 2)}
    inferer = ExplanationInferer(name, roi, **options)
    with torch.no_grad():
        maps = decollate_batch(inferer(batch, network))
    reads = torch.from_numpy(network.reads(roi, (16, 12, 8)))
    for seed, (heat, found) in enumerate(zip(maps, inferer.explanations, strict=True)):
        np.testing.assert_array_equal(heat.affine, affines[seed])
        np.testing.assert_array_equal(found.map.affine, affines[seed])
        assert found.image.meta["filename_or_obj"] == heat.meta["filename_or_obj"] == f"ct-{seed}.nii.gz"
        if name == "PdCR":
            assert torch.equal(heat.as_tensor()[0] != 0, reads)
            np.testing.assert_array_equal(found.result.affine, affines[seed])
        else:
            assert reads[np.unravel_index(int(heat.argmax()), heat.shape[1:])]


def test_a_sliding_window_runs_the_network() -> None:
    network, images = PlantedContext((4, 0)), pictures(1)
    window = SlidingWindowInferer((16, 16), 4, 0.5)
    inferer = ExplanationInferer("PdCR", ROI, fill=MeanFill(), patch_size=8, inferer=window)
    maps = inferer(images, network)
    assert torch.equal(maps, PdCR(network, MeanFill(), inferer=window)(images, ROI))
    (found,) = inferer.explanations
    assert found.result is not None
    assert found.result.record.execution == "windows"
    # What the windows answer: at their upper borders less than the whole network, which reads 4 pixels above.
    assert torch.equal(found.answer, window(images, network)[0, 0] > 0)
    assert not torch.equal(found.answer, network(images)[0, 0] > 0)


@pytest.mark.parametrize("roi", ["prediction", "boundary", "component", ROI])
def test_where_nothing_is_answered_there_is_an_error_or_a_zero_map(roi: Any, caplog: pytest.LogCaptureFixture) -> None:
    network, images = PlantedContext((8, 0)), pictures()
    images[0] = 0.25
    options: dict[str, Any] = {"fill": MeanFill(), "patch_size": 8, "roi_size": 8}
    with pytest.raises(ValueError, match=r"item 0: the network's answer holds nothing of class 1 there.*on_empty"):
        ExplanationInferer("PdCR", roi, **options)(images, network)
    inferer = ExplanationInferer("PdCR", roi, on_empty="zeros", **options)
    maps = inferer(images, network)
    assert not maps[0].any()
    assert maps[1].any()
    assert "nothing to explain" in inferer.explanations[0].note
    assert inferer.explanations[1].note == ""
    assert [record.getMessage().startswith("item 0") for record in caplog.records] == [True]
    labelled = inferer(images, network, label=torch.zeros(2, 1, 32, 40))
    assert not labelled.any()
    assert inferer.explanations[1].note.startswith("the label holds nothing")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"visualizer": "pdcr"}, "choose one of DEA, EGA, GPA, KernelShap, MiSuRe, PdCR, RIA"),
        ({"visualizer": "RIA", "roi": "organ"}, "roi='organ'"),
        ({"visualizer": "RIA", "on_empty": "skip"}, "on_empty='skip'"),
        ({"visualizer": "RIA", "class_idx": "tumour"}, "class_idx='tumour'"),
    ],
)
def test_what_is_wrong_is_said_when_it_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExplanationInferer(**options)


def test_what_is_wrong_is_said_when_it_is_called() -> None:
    network, images, inferer = PlantedContext((8, 0)), pictures(), ExplanationInferer("RIA", ROI)
    with pytest.raises(TypeError, match=r"1 further inputs and \['prompt'\]"):
        inferer(images, network, torch.zeros(1), prompt=3)
    with pytest.raises(ValueError, match=r"roi of shape \(3, 1, 32, 40\) for 2 items"):
        inferer(images, network, roi=torch.ones(3, 1, 32, 40))
    with pytest.raises(ValueError, match=r"class_idx=\[1, 1, 1\] for 2 items"):
        inferer(images, network, class_idx=[1, 1, 1])
    with pytest.raises(ValueError, match="threshold=None"):
        ExplanationInferer("RIA", ROI, threshold=None)(images, network)
