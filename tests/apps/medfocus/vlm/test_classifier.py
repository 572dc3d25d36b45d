# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.networks.nets import DenseNet121
from torch import nn

from monai_causal.apps.medfocus.vlm.classifier import Classifier

CLASSES = ("effusion", "pleural effusion", "normal")


class Rows(nn.Module):
    """Logits that are known: weighted means of the picture's upper and lower half, behind a named layer."""

    def __init__(self, classes: int = 3, channels: int = 1) -> None:
        super().__init__()
        self.halves = nn.AdaptiveAvgPool2d((2, 1))
        self.mix = nn.Conv2d(channels, channels, 1, bias=False)
        self.drop = nn.Dropout(0.5)
        with torch.no_grad():
            self.mix.weight.fill_(2 / channels)
        self.register_buffer("weights", torch.tensor([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.25]])[:classes])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        halves = self.drop(self.halves(self.mix(x)).mean(1).flatten(1))
        return halves @ self.weights.T


def pictures(count: int = 5, channels: int = 1) -> torch.Tensor:
    return torch.rand((count, channels, 8, 12), generator=torch.Generator().manual_seed(0))


def logits(images: torch.Tensor) -> torch.Tensor:
    top, bottom = images[:, 0, :4].mean((1, 2)), images[:, 0, 4:].mean((1, 2))
    return 2 * torch.stack([top - 2 * bottom, 0.5 * top + 3 * bottom, -top + 0.25 * bottom], dim=1)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_softmax_scores_a_class(batch_size: int) -> None:
    model, images = Classifier(Rows(), CLASSES, channels=1), pictures()
    prompt = model.prompt("", (8, 12))
    probability = logits(images).exp() / logits(images).exp().sum(1, keepdim=True)
    for index, name in enumerate(CLASSES):
        found = model.log_probs(images, prompt, model.answer(name.upper()), batch_size)
        torch.testing.assert_close(found, probability[:, index, None].log(), rtol=0, atol=1e-5)
    said = [model.generate(image, prompt).text for image in images]
    assert said == [CLASSES[index] for index in probability.argmax(1)]


def test_sigmoid_asks_each_class_by_itself() -> None:
    model, images = Classifier(Rows(), CLASSES, channels=1, activation="sigmoid"), pictures()
    probability = 1 / (1 + (-logits(images)).exp())
    for index, name in enumerate(CLASSES):
        prompt = model.prompt(f"Is there evidence of {name} in the image?", (8, 12))
        present = model.log_probs(images, prompt, model.answer(name))[:, 0]
        absent = model.log_probs(images, prompt, model.answer(f"no {name}"))[:, 0]
        torch.testing.assert_close(present.exp(), probability[:, index])
        torch.testing.assert_close(absent.exp(), 1 - probability[:, index])
        said = [model.generate(image, prompt).text for image in images]
        assert said == [name if row[index] >= 0.5 else f"no {name}" for row in probability]


def test_one_logit_is_a_sigmoid() -> None:
    model, images = Classifier(Rows(classes=1), ["effusion"], channels=1), pictures()
    prompt = model.prompt("effusion", (8, 12))
    found = model.log_probs(images, prompt, model.answer("no effusion"))[:, 0]
    torch.testing.assert_close(found, -(1 + logits(images)[:, 0].exp()).log())


def test_a_picture_is_resized_normalised_and_given_its_channels() -> None:
    seen: list[torch.Tensor] = []

    class Keep(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return x.mean((2, 3))

    three = Classifier(Keep(), CLASSES, input_size=(4, 6), mean=[0.1, 0.2, 0.3], std=[1.0, 2.0, 4.0])
    images = torch.full((1, 1, 8, 12), 0.5)
    prompt = three.prompt("", (8, 12))
    three.log_probs(images, prompt, three.answer("normal"))
    assert seen[0].shape == (1, 3, 4, 6)
    assert seen[0][0, :, 1, 1].tolist() == pytest.approx([0.4, 0.15, 0.05])
    assert prompt.cells.sheets[0].grid == (4, 6)
    one = Classifier(Rows(), CLASSES, channels=1)
    colour = pictures(channels=3)
    answer = one.answer("normal")
    expected = one.log_probs(colour.mean(1, keepdim=True), prompt, answer)
    torch.testing.assert_close(one.log_probs(colour, prompt, answer), expected)


def test_a_trace_is_exact() -> None:
    model, images = Classifier(Rows(), CLASSES, channels=1, activation="sigmoid"), pictures(2)
    prompt, answer = model.prompt("normal", (8, 12)), model.answer("normal")
    trace = model.trace(images, prompt, answer, pixels=True, layer="halves")
    assert trace.cells is not None
    assert [sheet.grid for sheet in trace.cells.sheets] == [(2, 1)]
    outside = 1 - torch.sigmoid(logits(images)[:, 2])  # d log sigmoid(z) / dz
    weights = torch.tensor([-1.0, 0.25])
    expected = (outside[:, None] * weights)[..., None]
    torch.testing.assert_close(trace.activation_gradients, expected)
    halves = torch.stack([images[:, 0, :4].mean((1, 2)), images[:, 0, 4:].mean((1, 2))], dim=1)
    torch.testing.assert_close(trace.activations, 2 * halves[..., None])
    per_pixel = 2 * expected.repeat_interleave(4, 1) / 48
    torch.testing.assert_close(trace.pixel_gradients, per_pixel[:, None].expand(2, 1, 8, 12))


def test_the_network_is_left_as_it_was_found() -> None:
    network = Rows().train()
    network.drop.eval()
    model, images = Classifier(network, CLASSES, channels=1), pictures()
    prompt, answer = model.prompt("", (8, 12)), model.answer("normal")
    first = model.log_probs(images, prompt, answer)
    network.drop.train()
    torch.testing.assert_close(model.log_probs(images, prompt, answer), first)  # no dropout meanwhile
    network.drop.eval()
    with torch.inference_mode():
        model.trace(images, prompt, answer, layer="mix")
    assert [network.training, network.drop.training] == [True, False]
    assert network.mix.weight.grad is None
    assert not network.mix._forward_hooks


@pytest.mark.parametrize("library", ["monai", "torchvision"])
def test_real_architectures(library: str) -> None:
    torch.manual_seed(0)
    network: Any
    if library == "monai":
        network = DenseNet121(spatial_dims=2, in_channels=1, out_channels=3)
    else:
        network = pytest.importorskip("torchvision").models.resnet18(num_classes=3)
    channels: Any = 1 if library == "monai" else 3
    model = Classifier(network, CLASSES, channels=channels, input_size=(64, 64))
    images = torch.rand((3, 1, 80, 96))
    prompt, answer = model.prompt("", (80, 96)), model.answer("effusion")
    trace = model.trace(images, prompt, answer, pixels=True, layer=model.layers[-1])
    assert trace.pixel_gradients is not None
    assert trace.activation_gradients is not None
    assert trace.pixel_gradients.abs().amax((1, 2, 3)).min() > 0
    assert trace.activation_gradients.abs().max() > 0
    torch.testing.assert_close(trace.log_probs, model.log_probs(images, prompt, answer, 1), rtol=0, atol=1e-5)


def test_bad_input() -> None:
    model = Classifier(Rows(), CLASSES, channels=1, activation="sigmoid")
    prompt, answer = model.prompt("normal", (8, 12)), model.answer("normal")
    with pytest.raises(ValueError, match="names 0 classes"):
        model.prompt("Is there a nodule? Abnormal?", (8, 12))
    with pytest.raises(ValueError, match="names 2 classes"):
        model.prompt("effusion or normal?", (8, 12))
    with pytest.raises(ValueError, match="'yes' is no answer of this classifier; it has: effusion, "):
        model.answer("yes")
    with pytest.raises(ValueError, match="distinct names"):
        Classifier(Rows(), ["a", "A", "b"])
    with pytest.raises(ValueError, match="is always 1"):
        Classifier(Rows(1), ["a"], activation="softmax")
    with pytest.raises(ValueError, match="activation='tanh'"):
        Classifier(Rows(), CLASSES, activation="tanh")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no decoder"):
        model.trace(pictures(), prompt, answer, attentions=True)
    with pytest.raises(ValueError, match="no such module; its convolutions: mix"):
        model.trace(pictures(), prompt, answer, layer="stem")
    with pytest.raises(ValueError, match="not \\(batch, features, rows, columns\\)"):
        model.trace(pictures(), prompt, answer, layer="drop")
    with pytest.raises(ValueError, match="output is \\(5, 3\\) for 5 pictures; with 2 classes"):
        Classifier(Rows(), ["a", "b"], channels=1).log_probs(pictures(), prompt, answer)
