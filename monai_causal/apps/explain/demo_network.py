# SPDX-License-Identifier: Apache-2.0
"""The demo's network, with the weights that ``train.py`` made."""

from __future__ import annotations

from pathlib import Path

import torch

from monai_causal.networks.nets import UNet

__all__ = ["HELD_OUT", "SEED", "WEIGHTS", "build_demo_network", "load_demo_network"]

WEIGHTS = Path(__file__).with_name("shapes_unet.pt")
HELD_OUT = 1_000_000
"""Phantom seeds from here on are never trained on."""
SEED = HELD_OUT + 4
"""Of the phantom that the network is asked about where nobody names an image."""


def build_demo_network() -> UNet:
    """The network, untrained: three classes, background and the object's two."""
    return UNet(spatial_dims=2, in_channels=1, out_channels=3, widths=(8, 16, 32, 32, 32))


def load_demo_network() -> UNet:
    """The network with its bundled weights, in evaluation mode."""
    network = build_demo_network()
    network.load_state_dict(torch.load(WEIGHTS, map_location="cpu", weights_only=True))
    return network.eval()
