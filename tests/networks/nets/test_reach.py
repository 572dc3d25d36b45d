# SPDX-License-Identifier: Apache-2.0
"""The mechanism shows: which pixels of the image one pixel of the answer depends on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from monai_causal.networks.nets import LightMUNet, SegNet, SwinUNet, UNet, UNeXt, VMUNet


def reach(network: nn.Module, pixel: tuple[int, int], size: int = 64) -> Tensor:
    """By how much each pixel of a random image moves that one; exact zeros where there is no way."""
    network = network.double().eval()
    image = torch.rand(1, network_channels(network), size, size, dtype=torch.float64, requires_grad=True)
    network(image)[0, 0, pixel[0], pixel[1]].backward()
    assert image.grad is not None
    return image.grad.abs().sum((0, 1))


def network_channels(network: nn.Module) -> int:
    return next(one.in_channels for one in network.modules() if isinstance(one, nn.Conv2d))


@pytest.mark.parametrize(
    ("kind", "options", "radius", "beyond"),
    # Convolutions, pools and interpolations of the deepest way, in pixels: of the U-Net
    # 2 + (1 + 4) + (2 + 8) + (4 + 4) + (2 + 2), of SegNet 2 + (1 + 4) + (2 + 4) + (1 + 2).
    [(UNet, {"widths": (8, 16)}, 29, 12), (SegNet, {"widths": (8, 16), "depths": (2, 2)}, 16, 6)],
)
def test_a_convolutional_network_sees_its_surroundings(
    kind: type[nn.Module], options: dict[str, tuple[int, ...]], radius: int, beyond: int
) -> None:
    torch.manual_seed(0)
    felt = reach(kind(**options), (4, 4)) > 0
    assert not felt[4 + radius + 1 :].any()
    assert not felt[:, 4 + radius + 1 :].any()
    assert felt[4 + beyond :].any()


def test_attention_in_windows_sees_its_window() -> None:
    """One block: windows of 4 tokens are 16 pixels. With the second, shifted one: the two by two around the shift."""
    torch.manual_seed(0)
    felt = reach(SwinUNet(width=8, depths=(1,), heads=(2,), window=4), (24, 40)) > 0
    expected = torch.zeros(64, 64, dtype=torch.bool)
    expected[16:32, 32:48] = True
    assert torch.equal(felt, expected)
    felt = reach(SwinUNet(width=8, depths=(2,), heads=(2,), window=4), (24, 24)) > 0
    expected = torch.zeros(64, 64, dtype=torch.bool)
    expected[16:48, 16:48] = True
    assert torch.equal(felt, expected)


def test_one_scan_sees_what_lies_before() -> None:
    """All rows above, and below only as far as convolutions and pools carry: 2 rows of the finest map for the stem and
    the head, 2 pools, 2 interpolations and 2 convolutions on coarser maps."""
    torch.manual_seed(0)
    felt = reach(LightMUNet(width=4, depths=(1, 1, 1), states=2), (24, 32)).amax(1) > 0
    assert felt[:24].all()
    assert not felt[24 + 24 :].any()


def test_four_scans_see_everything() -> None:
    torch.manual_seed(0)
    felt = reach(VMUNet(width=8, depths=(1,), depths_up=(1,), states=2, drop_path=0), (8, 40))
    assert felt.min() > 0


def test_shifted_tokens_see_far_but_not_all() -> None:
    """UNeXt's tokens lie 16 and 32 pixels apart and are shifted by two at most."""
    torch.manual_seed(0)
    felt = reach(UNeXt(widths=(4, 4, 5, 5, 5)), (8, 8), size=512) > 0
    assert felt[100:].any()
    assert not felt[480:].any()
