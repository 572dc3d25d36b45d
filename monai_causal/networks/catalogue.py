# SPDX-License-Identifier: Apache-2.0
"""The networks of the PdCR study by name, with what they weigh and cost. Nothing heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CATALOGUE", "Entry", "in_words"]


@dataclass(frozen=True)
class Entry:
    """One network at the study's settings: 3 channels in, 1 out.

    Attributes:
        place: module and class, below ``monai_causal.networks.nets``.
        year: of the paper.
        mechanism: what the study files it under.
        parameters: how many.
        multiplications: of one forward at 256x256, in units of 10^9; a scan counts 4.5 per position, channel and state.
    """

    place: tuple[str, str]
    year: int
    mechanism: str
    parameters: int
    multiplications: float


CATALOGUE: dict[str, Entry] = {
    "unet": Entry(("unet", "UNet"), 2015, "CNN", 13_395_329, 30.92),
    "segnet": Entry(("segnet", "SegNet"), 2017, "CNN", 29_443_585, 40.01),
    "unet++": Entry(("unet_plus_plus", "UNetPlusPlus"), 2018, "CNN", 26_078_609, 18.38),
    "hrnet": Entry(("hrnet", "HRNet"), 2020, "CNN", 29_537_857, 11.25),
    "segformer": Entry(("segformer", "SegFormer"), 2021, "ViT", 3_714_401, 1.75),
    "transunet": Entry(("transunet", "TransUNet"), 2021, "ViT + CNN", 105_322_001, 38.42),
    "swin-unet": Entry(("swin_unet", "SwinUNet"), 2022, "ViT (Swin)", 27_175_524, 8.02),
    "unext": Entry(("unext", "UNeXt"), 2022, "MLP + CNN", 1_471_953, 0.56),
    "vm-unet": Entry(("vm_unet", "VMUNet"), 2024, "Mamba", 27_427_561, 6.76),
    "lightm-unet": Entry(("lightm_unet", "LightMUNet"), 2024, "Mamba", 2_526_955, 6.29),
    "u-kan": Entry(("u_kan", "UKAN"), 2025, "KAN + CNN", 6_356_689, 2.65),
    "mcu-re": Entry(("mcu_re", "MCURE"), 2025, "Mamba + CNN", 39_751_784, 24.07),
}


def in_words() -> str:
    """A table for people."""
    lines = [f"{'name':<12} {'year':<5} {'mechanism':<12} {'parameters':>12} {'10^9 multiplications at 256x256':>32}"]
    for name, one in CATALOGUE.items():
        lines.append(f"{name:<12} {one.year:<5} {one.mechanism:<12} {one.parameters:>12,} {one.multiplications:>32.2f}")
    return "\n".join(lines)
