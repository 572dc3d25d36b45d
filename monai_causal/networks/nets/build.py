# SPDX-License-Identifier: Apache-2.0
"""Networks by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from monai_causal.networks.nets.unet import UNet

__all__ = ["build_network"]

_NETWORKS: dict[str, Callable[..., nn.Module]] = {"unet": UNet}


def build_network(name: str, in_channels: int = 3, out_channels: int = 1, **options: Any) -> nn.Module:
    """A segmentation network by the name that the PdCR study gives it; it returns raw logits.

    Args:
        name: one of the known names, in lower case.
        in_channels: channels of the image.
        out_channels: channels of the answer.
        options: the network's own further arguments.

    Example:
        >>> sum(p.numel() for p in build_network("unet").parameters())
        13395329
    """
    if name not in _NETWORKS:
        raise ValueError(f"there is no network {name!r}; known are: {', '.join(sorted(_NETWORKS))}.")
    return _NETWORKS[name](in_channels=in_channels, out_channels=out_channels, **options)
