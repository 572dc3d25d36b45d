# SPDX-License-Identifier: Apache-2.0
"""Segmentation networks, by class or by name."""

from __future__ import annotations

from monai_causal.networks.nets.build import build_network
from monai_causal.networks.nets.mcdrl import MCDRL, MCDRLOutput
from monai_causal.networks.nets.unet import UNet

__all__ = ["MCDRL", "MCDRLOutput", "UNet", "build_network"]
