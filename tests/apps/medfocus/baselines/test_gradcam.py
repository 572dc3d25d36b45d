# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch

from monai_causal.apps.medfocus.baselines.gradcam import (
    GradCAM,
    GradCAMPlusPlus,
    gradcam_plus_plus_weights,
    gradcam_weights,
)
from monai_causal.apps.medfocus.vlm.interface import Trace
from tests.apps.medfocus import scene
from tests.apps.medfocus.golden import BoxReader
from tests.apps.medfocus.scene import BOXES, SIZE
from tests.apps.medfocus.vlm import tiny

QUESTION = "Is there evidence of pleural effusion in the image?"
PICTURE = scene.picture()
HEART = BOXES["cardiac silhouette"]


def test_the_map_of_the_golden_model() -> None:
    vlm = BoxReader(SIZE, (HEART,))
    inside = vlm.shares()[0]
    grey = vlm.cells.to_cells(PICTURE)
    weight = 3 / 9 * inside.mean()  # of the feature: the mean gradient over all cells
    # inside the box the gradient is 1/3 in each of its nine cells: alpha = g^2 / (2 g^2 + sum(A) g^3)
    alpha = 1 / (2 + float((grey * inside).sum()) / 3)
    sums = {GradCAM: weight, GradCAMPlusPlus: torch.tensor(9 * alpha / 3)}
    for kind, of_feature in sums.items():
        heat = kind(vlm).attribute(PICTURE, QUESTION).heat
        assert heat is not None
        expected = vlm.cells.to_pixels(grey * inside, smooth=True)
        torch.testing.assert_close(heat / heat.max(), expected / expected.max(), atol=1e-5, rtol=1e-4)
        if kind is GradCAM:
            torch.testing.assert_close(heat, of_feature * expected)
    trace = vlm.trace(PICTURE[None, None], vlm.prompt(QUESTION, SIZE), vlm.answer("Yes"), layer="decoder.0")
    assert trace.activations is not None
    assert trace.activation_gradients is not None
    found = gradcam_plus_plus_weights(trace.activations[0], trace.activation_gradients[0])
    scale = 1 / 3  # weights are relative to the largest gradient
    assert float(found) * scale == pytest.approx(float(sums[GradCAMPlusPlus]), rel=1e-5)


def test_weights_equal_slow_replicas() -> None:
    generator = torch.Generator().manual_seed(0)
    activations, gradients = (torch.randn((6, 3), generator=generator, dtype=torch.float64) for _ in range(2))
    gradients[:, 2] = 0
    plain, plus = gradcam_weights(activations, gradients), gradcam_plus_plus_weights(activations, gradients)
    scale = float(gradients.abs().max())
    for feature in range(3):
        assert float(plain[feature]) == pytest.approx(sum(float(g) for g in gradients[:, feature]) / 6)
        weight = 0.0
        for cell in range(6):
            g = float(gradients[cell, feature])
            below = 2 * g**2 + sum(float(a) for a in activations[:, feature]) * g**3
            weight += (g**2 / below if below else 0.0) * max(g, 0.0)
        assert float(plus[feature]) * scale == pytest.approx(weight)


def test_tiny_gradients_of_a_long_answer_do_not_vanish_when_cubed() -> None:
    activations = torch.rand((4, 2), generator=torch.Generator().manual_seed(0))
    gradients = torch.full((4, 2), 1e-20)
    assert float(gradcam_plus_plus_weights(activations, gradients).min()) > 0.1


class Silent(BoxReader):
    """Its last layer has a gradient of zero, as hidden states behind the last block have; the first has not."""

    def __init__(self, sign: float) -> None:
        super().__init__(SIZE, (HEART,))
        self.sign = sign

    def trace(self, images: Any, prompt: Any, answer: Any, **options: Any) -> Trace:
        found = super().trace(images, prompt, answer, **options)
        assert found.activation_gradients is not None
        slope = found.activation_gradients * (0 if options["layer"] == "decoder.1" else self.sign)
        return Trace(found.log_probs, cells=found.cells, activations=found.activations, activation_gradients=slope)


def test_a_layer_without_influence_is_left_for_an_earlier_one() -> None:
    result = GradCAM(Silent(1.0)).attribute(PICTURE, QUESTION)
    assert result.provenance["settings"]["layer"] == "decoder.0"
    assert not result.whole_image
    nothing = GradCAM(Silent(0.0)).attribute(PICTURE, QUESTION)
    assert nothing.whole_image
    assert nothing.notes[0] == "the answer depends on no layer"
    assert "gradcam points to no place" in nothing.notes[1]


def test_a_map_without_a_positive_part_is_shown_from_its_least_value_and_says_so() -> None:
    result = GradCAM(Silent(-1.0)).attribute(PICTURE, QUESTION)
    assert "no layer has a positive part: decoder.0" in result.notes[0]
    assert result.heat is not None
    assert float(result.heat.max()) > 0
    assert float(result.heat[32:56, 40:64].mean()) < float(result.heat[0:24, 40:64].mean())  # the box speaks against


def test_layers_of_a_vision_language_model_can_be_asked_for() -> None:
    vlm = tiny.model("gemma3")
    first, last = (
        GradCAM(vlm, layer=layer).attribute(PICTURE, QUESTION, answer="Yes").heat
        for layer in ("decoder.0", "decoder.1")
    )
    assert first is not None
    assert last is not None
    assert not torch.allclose(first, last)
