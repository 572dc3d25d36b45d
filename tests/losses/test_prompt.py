# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from monai_causal.losses.mcdrl import MCDRLLoss
from monai_causal.losses.prompt import PromptLoss
from monai_causal.networks.nets.prompt_segmenter import PromptOutput


def output_of(classes: int, *, per_image: bool) -> tuple[PromptOutput, Tensor]:
    generator = torch.Generator().manual_seed(classes)

    def drawn(*size: int) -> Tensor:
        return torch.randn(*size, dtype=torch.float64, generator=generator)

    texts = drawn(4, classes + 1, 6) if per_image else drawn(classes + 1, 6)
    channels = 1 if classes == 1 else classes + 1
    labels = torch.zeros(4, 1, 8, 8, dtype=torch.long)
    labels[0, :, :4] = 1
    labels[1, :, 2:5] = classes
    labels[2, :, :5] = classes
    labels[2, :, :2] = 1
    terms = (torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64))
    return PromptOutput(drawn(4, channels, 8, 8), drawn(4, 6), texts, *terms), labels


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("per_image", [True, False])
def test_the_sum_of_its_parts(classes: int, per_image: bool) -> None:
    output, labels = output_of(classes, per_image=per_image)
    loss = PromptLoss(0.2, 0.4, 0.6, 0.9, dice=0.5)

    total = loss(output, labels)

    segmentation = MCDRLLoss(dice=0.5)(output.logits, labels)
    contrast = contrast_slowly(output, [0, classes - 1, classes - 1, classes], 0.4)
    assert total.item() == pytest.approx(segmentation.item() + 0.2 * contrast + 0.6 * 0.3 + 0.9 * 0.7, abs=1e-12)
    parts = {name: part.item() for name, part in loss.parts.items()}
    expected = {"segmentation": segmentation.item(), "contrast": contrast, "consistency": 0.3, "distillation": 0.7}
    assert parts == pytest.approx(expected, abs=1e-12)


def test_the_weights_by_themselves() -> None:
    output, labels = output_of(1, per_image=False)
    loss = PromptLoss()
    total = loss(output, labels)
    contrast = contrast_slowly(output, [0, 0, 0, 1], 0.5)
    expected = loss.parts["segmentation"].item() + 0.1 * contrast + 0.75 * (0.3 + 0.7)
    assert total.item() == pytest.approx(expected, abs=1e-12)


def test_plain_logits_give_the_segmentation_loss() -> None:
    output, labels = output_of(2, per_image=False)
    loss = PromptLoss()
    assert loss(output.logits, labels) == MCDRLLoss()(output.logits, labels)
    assert set(loss.parts) == {"segmentation"}


def test_no_temperature_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature=0"):
        PromptLoss(temperature=0)


def contrast_slowly(output: PromptOutput, shown: list[int], temperature: float) -> float:
    total = 0.0
    for number, image in enumerate(output.image):
        texts = output.classes[number] if output.classes.dim() == 3 else output.classes
        powers = [math.exp((image @ text / image.norm() / text.norm()).item() / temperature) for text in texts]
        total -= math.log(powers[shown[number]] / sum(powers))
    return total / len(shown)
