# SPDX-License-Identifier: Apache-2.0
"""MONAI's networks, small: whichever execution ``auto`` takes, the effects are those of whole forwards, and the reason
is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from monai.networks import nets
from torch import Tensor, nn

from monai_causal.intervene import (
    CallableScore,
    Evaluator,
    MaskedMeanProbability,
    Regions,
    RoIDice,
    box_regions,
    grid_regions,
)
from monai_causal.intervene.execution import incremental


@dataclass(frozen=True)
class Architecture:
    """A network, an image size, what reads the whole of it (nothing: ""), and whether a partial forward then pays."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    reads_all: str = ""
    execution: str = "incremental"
    slow_to_trace: bool = False


ARCHITECTURES = {
    "BasicUNet": Architecture(
        lambda: nets.BasicUNet(2, 1, 1, features=(4, 4, 8, 8, 8, 4), norm="batch"), (1, 1, 48, 40)
    ),
    "BasicUNet, instance norm": Architecture(
        lambda: nets.BasicUNet(2, 1, 1, features=(4, 4, 8, 8, 8, 4)),
        (1, 1, 32, 32),
        "instance_norm in conv_0.conv_0.adn.N",
        "dense",
    ),
    "BasicUNet, 3-D and odd": Architecture(
        lambda: nets.BasicUNet(3, 1, 1, features=(2, 2, 4, 4, 4, 2), norm="batch"), (1, 1, 17, 19, 18)
    ),
    "UNet": Architecture(lambda: nets.UNet(2, 1, 1, (4, 8, 16), (2, 2), norm="batch"), (1, 1, 48, 40)),
    "UNet, residual": Architecture(
        lambda: nets.UNet(2, 1, 1, (4, 8, 16), (2, 2), norm="batch", num_res_units=2), (1, 1, 48, 40)
    ),
    "DynUNet": Architecture(
        lambda: nets.DynUNet(2, 1, 2, (3, 3, 3), (1, 2, 2), (2, 2), filters=(4, 8, 8)),
        (1, 1, 32, 32),
        "instance_norm in skip_layers.downsample.norm1",
        "dense",
    ),
    "DynUNet, batch norm": Architecture(
        lambda: nets.DynUNet(
            2,
            1,
            2,
            (3, 3, 3),
            (1, 2, 2),
            (2, 2),
            filters=(4, 8, 8),
            norm_name="batch",
            deep_supervision=True,
            deep_supr_num=1,
        ),
        (1, 1, 32, 32),
    ),
    "SegResNet": Architecture(
        lambda: nets.SegResNet(2, 8, 1, 2), (1, 1, 32, 32), "group_norm in down_layers.0.1.norm1", "dense"
    ),
    "SegResNet, batch norm": Architecture(lambda: nets.SegResNet(2, 8, 1, 2, norm="batch"), (1, 1, 32, 32)),
    "AttentionUnet": Architecture(
        lambda: nets.AttentionUnet(2, 1, 1, (4, 8, 16), (2, 2)),
        (1, 1, 32, 32),
        "instance_norm in model.1.submodule.1.merge.adn.N",
    ),
    "FlexibleUNet": Architecture(
        lambda: nets.FlexibleUNet(3, 1, "resnet10", spatial_dims=2, decoder_channels=(16, 8, 8, 8, 8)), (1, 3, 32, 32)
    ),
    "FlexibleUNet, squeeze and excitation": Architecture(
        lambda: nets.FlexibleUNet(3, 1, "efficientnet-b0", spatial_dims=2, decoder_channels=(16, 8, 8, 8, 8)),
        (1, 3, 32, 32),
        "adaptive_avg_pool2d in encoder._blocks.0.0._se_adaptpool",
        "dense",
        slow_to_trace=True,
    ),
    "SwinUNETR": Architecture(
        lambda: nets.SwinUNETR(1, 2, spatial_dims=2, feature_size=12),
        (1, 1, 64, 64),
        "permute in swinViT",
        "dense",
        slow_to_trace=True,
    ),
    "UNETR": Architecture(
        lambda: nets.UNETR(1, 2, (32, 32), spatial_dims=2, feature_size=4, hidden_size=48, mlp_dim=96, num_heads=4),
        (1, 1, 32, 32),
        "view in vit.patch_embedding",
        "dense",
    ),
    "VNet": Architecture(lambda: nets.VNet(2, 1, 2), (1, 1, 32, 32)),
    "HighResNet": Architecture(lambda: nets.HighResNet(2, 1, 2), (1, 1, 32, 32)),
}

SLOW_TO_TRACE_MARKED = [
    pytest.param(name, marks=pytest.mark.slow if architecture.slow_to_trace else ())
    for name, architecture in ARCHITECTURES.items()
]


def built(architecture: Architecture) -> nn.Module:
    """The network, with norms that do something."""
    torch.manual_seed(0)
    made = architecture.make()
    for module in made.modules():
        if getattr(module, "running_mean", None) is not None:
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    return made.train()


def roi_of(size: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    return tuple((length // 2 - 4, length // 2 + 3) for length in size)


def some_regions(size: tuple[int, ...]) -> Regions:
    """Far from the RoI, beside it, over its corner, in a corner of the image."""
    far = grid_regions(size, 8)
    near = [
        tuple((max(0, start - 5), start) for start, _ in roi_of(size)),
        tuple((start - 2, start + 2) for start, _ in roi_of(size)),
        tuple((stop - 1, stop + 3) for _, stop in roi_of(size)),
    ]
    return box_regions(size, [*near, far[0].box, far[len(far) // 3].box, far[len(far) - 1].box])


def image_for(architecture: Architecture, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(architecture.shape, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("name", SLOW_TO_TRACE_MARKED)
def test_every_logit_is_that_of_a_whole_forward(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, under ``auto`` and where the incremental execution is forced, on the same trace."""
    monkeypatch.setattr(incremental, "_WORTH_TRACING", 0.0)
    monkeypatch.setattr(incremental, "_SECONDS_PER_STEP", 0.0)
    architecture = ARCHITECTURES[name]
    net, image = built(architecture).double(), image_for(architecture, torch.float64)
    size = architecture.shape[2:]
    score, regions = CallableScore(lambda output: output.flatten(1), roi_of(size)), some_regions(size)
    dense = Evaluator(net, 1, "dense")(image, regions, 3.0, score)
    evaluator = Evaluator(net, 3)
    auto = evaluator(image, regions, 3.0, score)
    evaluator.execution = "incremental"
    forced = evaluator(image, regions, 3.0, score)
    for found in (auto, forced):
        torch.testing.assert_close(found.before, dense.before, rtol=0, atol=1e-10)
        torch.testing.assert_close(found.data, dense.data, rtol=0, atol=1e-10)
    assert dense.values[:3].abs().amax((1, 2)).min() > 1e-5
    assert (auto.record.execution, forced.record.execution) == (architecture.execution, "incremental")
    assert forced.record.reason == "asked for"
    assert auto.record.reason.startswith("a partial forward takes ")
    obstacle = f" ({architecture.reads_all} reads the whole image)" if architecture.reads_all else ""
    assert auto.record.reason.endswith(f" % of the multiplications of a whole one{obstacle}")
    assert net.training


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_auto_as_it_comes(name: str) -> None:
    """So little work as here is done before a network is taken apart, and that is said."""
    architecture = ARCHITECTURES[name]
    net, image = built(architecture), image_for(architecture, torch.float32)
    score = CallableScore(lambda output: output.mean((1, 2, 3)), roi_of(architecture.shape[2:]))
    regions = some_regions(architecture.shape[2:]).subset([1, 2])
    auto = Evaluator(net, 1)(image, regions, 3.0, score)
    dense = Evaluator(net, 1, "dense")(image, regions, 3.0, score)
    assert torch.equal(auto.values, dense.values)
    assert auto.record.reason == "the whole work is smaller than taking the network apart"


@pytest.mark.parametrize("name", SLOW_TO_TRACE_MARKED)
def test_float32_scores(name: str) -> None:
    """Soft ones within 1e-5, hard ones equal, with logits around the threshold."""
    architecture = ARCHITECTURES[name]
    net, image = built(architecture).eval(), image_for(architecture, torch.float32)
    size = architecture.shape[2:]
    roi, regions = roi_of(size), some_regions(size)
    mask = torch.zeros(size, dtype=torch.bool)
    mask[tuple(slice(*span) for span in roi)] = True
    with torch.no_grad():
        middle = net(image)[:, -1:][..., mask].median()

    class Centred(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, batch: Tensor) -> Tensor:
            return (self.net(batch)[:, -1:] - middle) * 3

    centred = Centred()
    evaluators = [Evaluator(centred, 1, "dense"), Evaluator(centred, 3, "dense"), Evaluator(centred, 3, "incremental")]
    labels = torch.rand(size, generator=torch.Generator().manual_seed(2)) < 0.5
    soft = [ask(image, regions, 0.9, MaskedMeanProbability(mask)) for ask in evaluators]
    hard = [ask(image, regions, 0.9, RoIDice(roi, labels)) for ask in evaluators]
    for found in soft[1:]:
        torch.testing.assert_close(found.values, soft[0].values, rtol=0, atol=1e-5)
    for found in hard[1:]:
        assert torch.equal(found.values, hard[0].values)
        assert found.baseline == hard[0].baseline
    assert hard[0].values.any()
