# SPDX-License-Identifier: Apache-2.0
"""Maps: those of the visualizers, though pieces are shared."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from monai_causal.apps.segbench.config import MethodConfig
from monai_causal.apps.segbench.evidence import Evidence
from monai_causal.apps.segbench.networks import Model
from monai_causal.visualize import DEA, EGA, GPA, RIA
from monai_causal.visualize.target import TargetVisualizer

MASK = torch.zeros(16, 16)
MASK[4:12, 3:9] = 1


class Counted(nn.Sequential):
    """A small network that counts the images it is asked about."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2, 2))
        self.asked = 0

    def forward(self, batch: Tensor) -> Tensor:
        self.asked += len(batch)
        return super().forward(batch)


def expected(network: nn.Module) -> dict[str, TargetVisualizer]:
    return {
        "gpa": GPA(network, "0"),
        "ega": EGA(network, "0"),
        "ria": RIA(network, 4, execution="dense"),
        "dea": DEA(network, "0", 4, 0.5, 0.2, execution="dense"),
    }


@pytest.mark.parametrize("name", ["gpa", "ega", "ria", "dea"])
def test_maps_are_those_of_the_visualizers(name: str) -> None:
    network, image = Counted(), torch.rand(1, 1, 16, 16)
    evidence = Evidence(Model(network, target_layer="0"), execution="dense")
    options = {"ria": {"grid": 4}, "dea": {"grid": 4, "alpha": 0.5, "beta": 0.2}}.get(name, {})
    evidence.heat(MethodConfig("dea", options={"grid": 4}), image, 2, MASK)  # what is known must not get in the way
    found = evidence.heat(MethodConfig(name, options=options), image, 2, MASK).map
    wanted = expected(network)[name](image, 2, MASK)
    # DEA is made of maps as they are given out, in float32; the visualizer rounds once, at the end.
    assert torch.allclose(found, wanted, rtol=0, atol=2e-7) if name == "dea" else torch.equal(found, wanted)


def test_an_ablation_asks_the_network_nothing_more() -> None:
    network, image = Counted(), torch.rand(1, 1, 16, 16)
    evidence = Evidence(Model(network, target_layer="0"), execution="dense")
    first = evidence.heat(MethodConfig("dea", options={"grid": 4}), image, 2, MASK)
    asked = network.asked
    for method in (MethodConfig("dea", options={"grid": 4, "alpha": 0.5}), MethodConfig("ega"), MethodConfig("gpa")):
        heat = evidence.heat(method, image, 2, MASK)
        assert heat.seconds > 0
    assert network.asked == asked + 1  # GPA's own forward
    assert evidence.heat(MethodConfig("ria", options={"grid": 4}), image, 2, MASK).seconds <= first.seconds
    evidence.heat(MethodConfig("ria", options={"grid": 2}), image, 2, MASK)
    assert network.asked == asked + 1 + 5  # four cells and the base


def test_another_image_mask_or_class_is_another_question() -> None:
    network, image = Counted(), torch.rand(1, 1, 16, 16)
    evidence, method = Evidence(Model(network, target_layer="0")), MethodConfig("ega")
    maps = [
        evidence.heat(method, *asked).map
        for asked in ((image, 2, MASK), (image + 0.1, 2, MASK), (image, 1, MASK), (image, 2, MASK.flip(1)))
    ]
    assert all(not torch.equal(maps[0], other) for other in maps[1:])
    asked = network.asked
    evidence.forget()
    evidence.heat(method, image, 2, MASK)
    assert network.asked == asked + 1


def test_a_random_map_is_repeated_and_knows_nothing() -> None:
    evidence, image = Evidence(Model(Counted())), torch.rand(1, 1, 16, 16)
    method = MethodConfig("random")
    first = evidence.heat(method, image, 2, MASK).map
    assert torch.equal(first, Evidence(Model(Counted())).heat(method, image, 2, MASK).map)
    assert not torch.equal(first, Evidence(Model(Counted()), seed=1).heat(method, image, 2, MASK).map)
    assert not torch.equal(first, evidence.heat(method, image + 1e-3, 2, MASK).map)


def test_the_layer_is_named_once_it_is_found() -> None:
    evidence = Evidence(Model(Counted()))
    assert evidence.layer() is None
    evidence.heat(MethodConfig("gpa"), torch.rand(1, 1, 16, 16), 2, MASK)
    assert evidence.layer() == "0"
