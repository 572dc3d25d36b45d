# SPDX-License-Identifier: Apache-2.0
"""Segmentation networks, by class or by name."""

from __future__ import annotations

from monai_causal.networks.nets.build import build_network
from monai_causal.networks.nets.hrnet import HRNet
from monai_causal.networks.nets.lightm_unet import LightMUNet
from monai_causal.networks.nets.mcdrl import MCDRL, MCDRLOutput
from monai_causal.networks.nets.mcu_re import MCURE
from monai_causal.networks.nets.segformer import SegFormer
from monai_causal.networks.nets.segnet import SegNet
from monai_causal.networks.nets.swin_unet import SwinUNet
from monai_causal.networks.nets.transunet import TransUNet
from monai_causal.networks.nets.u_kan import UKAN
from monai_causal.networks.nets.unet import UNet
from monai_causal.networks.nets.unet_plus_plus import UNetPlusPlus
from monai_causal.networks.nets.unext import UNeXt
from monai_causal.networks.nets.vm_unet import VMUNet

__all__ = [
    "MCDRL",
    "MCURE",
    "UKAN",
    "HRNet",
    "LightMUNet",
    "MCDRLOutput",
    "SegFormer",
    "SegNet",
    "SwinUNet",
    "TransUNet",
    "UNeXt",
    "UNet",
    "UNetPlusPlus",
    "VMUNet",
    "build_network",
]
