# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor

from monai_causal.intervene import MaskedMeanLogit, MaskedMeanProbability, RoIDice, Score
from monai_causal.visualize.hiding import HidingVisualizer
from tests.golden import LinearSegmenter
from tests.visualize.networks import SIZES, TwoHalves, image_of, left_alone, mask_of


class HalfAndHalf(HidingVisualizer):
    """The effect of hiding the left half, painted on it, and that of the right."""

    def compute_map(self, image: Tensor, score: Score) -> Tensor:
        left = torch.zeros(image.shape[2:], dtype=torch.bool)
        left[..., : image.shape[-1] // 2] = True
        _, effects = self.effects_of_hiding(image, torch.stack([left, ~left]), 0, score)
        return torch.where(left, effects[0], effects[1])


def test_effects_of_hiding_many_parts_at_once() -> None:
    model, image, mask = LinearSegmenter(1), image_of(2), mask_of(2)
    hidden = torch.rand(5, *SIZES[2], generator=torch.Generator().manual_seed(3)) < 0.4
    hidden[1], hidden[3] = False, True
    visualizer = HalfAndHalf(model, fill=0.25)
    before, effects = visualizer.effects_of_hiding(image, hidden, 7, MaskedMeanLogit(mask))
    expected = [model.effect(image[0], np.full((1, *SIZES[2]), 0.25), part.numpy(), mask) for part in hidden]
    np.testing.assert_allclose(effects.numpy(), expected, rtol=0, atol=1e-12)
    assert before == pytest.approx(float(model.score(image, mask)), abs=1e-12)
    nothing = visualizer.effects_of_hiding(image, torch.zeros(2, *SIZES[2], dtype=torch.bool), 0, MaskedMeanLogit(mask))
    assert nothing[0] == before
    assert not nothing[1].any()


def test_draws_belong_to_the_number_of_the_part() -> None:
    """Parts that are hidden by chance get the same whichever are asked about with them."""
    model, image, mask = LinearSegmenter(1), image_of(2), mask_of(2)
    hidden = torch.rand(6, *SIZES[2], generator=torch.Generator().manual_seed(3)) < 0.4
    hidden[2] = False
    visualizer = HalfAndHalf(model, fill=lambda original, region, generator: generator.normal(size=original.shape))
    score = MaskedMeanLogit(mask)
    _, together = visualizer.effects_of_hiding(image, hidden, 0, score)
    _, later = visualizer.effects_of_hiding(image, hidden[1:], 1, score)
    torch.testing.assert_close(later, together[1:], rtol=0, atol=1e-12)
    assert not torch.allclose(visualizer.effects_of_hiding(image, hidden[1:], 0, score)[1], together[1:])


def test_the_score_is_the_dice_of_the_roi_or_another() -> None:
    network = TwoHalves(2)
    image = MetaTensor(image_of(2), affine=torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0], dtype=torch.float64)))
    roi, label = ((2, 6), (3, 9)), mask_of(2).long()
    with left_alone(network, image):
        heat = HalfAndHalf(network, 0.0, class_idx=1)(image, roi, label)
    assert isinstance(heat, MetaTensor)
    assert torch.equal(heat.affine, image.affine)
    with torch.no_grad():
        halves = [image.as_tensor().clone(), image.as_tensor().clone(), image.as_tensor().clone()]
        halves[1][..., :6], halves[2][..., 6:] = 0, 0
        answers = [network(half).softmax(1)[0, 1] for half in halves]
    inside, true = (slice(2, 6), slice(3, 9)), label.bool()
    dice = [
        200 * float(((answer > 0.5) & true)[inside].sum()) / float((answer > 0.5)[inside].sum() + true[inside].sum())
        for answer in answers
    ]
    np.testing.assert_allclose(heat[0, 0, 0, [0, -1]].numpy(), [dice[1] - dice[0], dice[2] - dice[0]], atol=1e-12)
    assert abs(dice[1] - dice[0]) > 0.5
    probability = HalfAndHalf(network, 0.0, score=lambda roi, label: MaskedMeanProbability(roi, 1))(image, roi)
    means = [float(answer[inside].mean()) for answer in answers]
    np.testing.assert_allclose(probability[0, 0, 0, 0], means[1] - means[0], atol=1e-12)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"\(2, 1, 8, 12\): HalfAndHalf explains one at a time"):
        HalfAndHalf(TwoHalves(2))(image_of(2, 2), ((0, 2), (0, 2)))
    with pytest.raises(ValueError, match=r"leaves the image: \[0, 20\) on axis 1"):
        HalfAndHalf(TwoHalves(2), class_idx=1)(image_of(2), ((0, 2), (0, 20)))
    with pytest.raises(ValueError, match="2 channels: say which with class_idx"):
        HalfAndHalf(TwoHalves(2))(image_of(2), ((0, 2), (0, 2)))
    assert isinstance(HalfAndHalf(TwoHalves(2)).score(((0, 2), (0, 2)), None), RoIDice)
