# SPDX-License-Identifier: Apache-2.0
"""Networks by name."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

from monai_causal.networks.catalogue import CATALOGUE

__all__ = ["build_network"]


def build_network(name: str, in_channels: int = 3, out_channels: int = 1, **options: Any) -> nn.Module:
    """A segmentation network by the name that the PdCR study gives it, with random weights; it returns raw logits.

    Args:
        name: one of the known names, in lower case; ``monai-causal networks`` lists them with what they cost.
        in_channels: channels of the image.
        out_channels: channels of the answer.
        options: the network's own further arguments.

    Example:
        >>> sum(p.numel() for p in build_network("unet").parameters())
        13395329
    """
    if name not in CATALOGUE:
        raise ValueError(f"there is no network {name!r}; known are: {', '.join(CATALOGUE)}.")
    module, kind = CATALOGUE[name].place
    made: nn.Module = getattr(importlib.import_module(f"monai_causal.networks.nets.{module}"), kind)(
        in_channels=in_channels, out_channels=out_channels, **options
    )
    return made
