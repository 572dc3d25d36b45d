# SPDX-License-Identifier: Apache-2.0
"""The twelve networks at a width at which a test can afford all of them, for images of 64x64."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from monai_causal.networks.nets import build_network

SMALL: dict[str, dict[str, Any]] = {
    "unet": {"widths": (8, 16, 16)},
    "segnet": {"widths": (8, 16, 16), "depths": (2, 2, 2)},
    "unet++": {"encoder": "resnet18", "widths": (16, 16, 16, 8, 8)},
    "hrnet": {"trunk": "hrnet_w18_small"},
    "segformer": {
        "widths": (16, 32, 64, 64),
        "depths": (1, 1, 1, 1),
        "decoder_width": 32,
        "dropout": 0.0,
        "drop_path": 0.0,
    },
    "transunet": {
        "image_size": (64, 64),
        "blocks": (1, 1, 1),
        "stem": 16,
        "norm_groups": 8,
        "width": 48,
        "depth": 1,
        "heads": 4,
        "decoder": (32, 32, 16, 16, 8),
        "dropout": 0.0,
    },
    "swin-unet": {"width": 24, "depths": (2, 2), "heads": (2, 4), "window": 4, "drop_path": 0.0},
    "unext": {"widths": (8, 8, 16, 20, 24)},
    "vm-unet": {"width": 16, "depths": (1, 1), "depths_up": (1, 1), "states": 4, "drop_path": 0.0},
    "lightm-unet": {"width": 8, "depths": (1, 1, 1), "states": 4},
    "u-kan": {"widths": (8, 8, 16, 16, 24)},
    "mcu-re": {
        "width": 8,
        "blocks": (1, 1, 1, 1),
        "scan_width": 8,
        "depths": (1, 1, 1, 1),
        "states": 4,
        "drop_path": 0.0,
    },
}


def small(name: str, in_channels: int = 3, out_channels: int = 1, seed: int = 0) -> nn.Module:
    """A reduced network whose norms know what to expect: as they begin, a ReLU behind them may answer to nothing."""
    torch.manual_seed(seed)
    network = build_network(name, in_channels, out_channels, **SMALL[name])
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the first batch's statistics, not a tenth of them
    with torch.no_grad():
        network.train()(torch.rand(4, in_channels, 64, 64))
    for norm in norms:
        norm.momentum = 0.1
    return network.eval()
