# SPDX-License-Identifier: Apache-2.0
"""What is measured is what the metrics give; what is not a number is none."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from monai_causal.apps.segbench.config import MethodConfig, MetricsConfig
from monai_causal.apps.segbench.evidence import Evidence
from monai_causal.apps.segbench.measure import Measure
from monai_causal.apps.segbench.networks import Model
from monai_causal.apps.segbench.samples import Sample
from monai_causal.metrics import DeletionFaithfulness, PerturbationCurves, attribution_stability
from monai_causal.visualize import EGA


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2, 2))


@pytest.fixture
def sample() -> Sample:
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[4:12, 3:9] = True
    return Sample(torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(1)), mask, 2)


def test_values_are_those_of_the_metrics(network: nn.Module, sample: Sample) -> None:
    metrics = MetricsConfig(top_fraction=0.3, strength=0.1, perturbations=("noise", "flip"), curve_steps=3)
    measure = Measure(Evidence(Model(network, target_layer="0")), metrics, seed=5)
    content, heat, _ = measure(MethodConfig("ega"), sample)
    ega = EGA(network, "0")
    assert torch.equal(heat, ega(sample.image, 2, sample.mask))
    wanted = DeletionFaithfulness(network, 0.3)(sample.image, heat, 2, mask=sample.mask)
    assert {name: content["values"][name] for name in wanted} == wanted
    assert content["values"]["odd_abs"] == abs(wanted["odd"])
    correlations = attribution_stability(
        partial(ega, class_idx=2), sample.image, heat, 0.1, ("noise", "flip"), 5, mask=sample.mask
    )
    assert content["values"]["stability"] == correlations["mean"]
    assert content["correlations"] == {name: correlations[name] for name in ("noise", "flip")}
    curves = PerturbationCurves(network, 3)(sample.image, heat, 2, mask=sample.mask)
    assert content["deletion"] == curves.deletion.scores.tolist()
    assert content["values"]["insertion_area"] == curves.insertion.area


def test_what_is_not_asked_for_is_not_there(network: nn.Module, sample: Sample) -> None:
    measure = Measure(Evidence(Model(network, target_layer="0")), MetricsConfig(curve_steps=0))
    content, _, _ = measure(MethodConfig("ega"), sample, stability=False)
    assert "stability" not in content["values"]
    assert "deletion" not in content


def test_a_constant_map_has_no_stability(sample: Sample) -> None:
    constant = nn.Conv2d(1, 3, 1)
    nn.init.zeros_(constant.weight)
    measure = Measure(Evidence(Model(constant)), MetricsConfig(perturbations=("noise",), curve_steps=0))
    content, heat, _ = measure(MethodConfig("ria", options={"grid": 2}), sample)
    assert float(heat.max()) == 0
    assert content["values"]["stability"] is None


def test_dice_is_of_the_networks_answer_with_the_target(sample: Sample) -> None:
    answers = nn.Conv2d(1, 3, 1)
    nn.init.zeros_(answers.weight)
    for winner, dice in ((2, 2 * 48 / (256 + 48)), (1, 0.0)):
        with torch.no_grad():
            answers.bias.copy_(torch.eye(3)[winner])
        assert Measure(Evidence(Model(answers)), MetricsConfig()).dice(sample) == dice
