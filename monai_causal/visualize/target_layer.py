# SPDX-License-Identifier: Apache-2.0
"""Which layer a gradient is taken at: given by its dotted name, or the deepest one, found by a forward."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

__all__ = ["deepest_layer", "named_layer"]

logger = logging.getLogger(__name__)


def named_layer(network: nn.Module, target_layers: str | Sequence[str] | None) -> str | None:
    """The one name in ``target_layers``, if any, and only if the network has such a layer."""
    names = [target_layers] if isinstance(target_layers, str) else list(target_layers or [])
    if not names:
        return None
    if len(names) > 1:
        raise ValueError(f"target_layers={names}: one layer is explained at a time; give one name.")
    known = [name for name, _ in network.named_modules() if name]
    if names[0] not in known:
        near = difflib.get_close_matches(names[0], known, n=5, cutoff=0.3) or known[-5:]
        raise ValueError(f"the network has no layer {names[0]!r}; near are {', '.join(map(repr, near))}.")
    return names[0]


def deepest_layer(network: nn.Module, forward: Callable[[], Any]) -> str:
    """The name of the last convolution among those with the smallest spatial output in one ``forward()``; logged.

    One voxel holds no place: convolutions with such an output gate channels (squeeze and excitation) or pool the whole
    image, and do not count.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Conv2d(2, 2, 2), nn.Upsample(8))
        >>> deepest_layer(network, lambda: network(torch.rand(1, 1, 8, 8)))
        '2'
    """
    seen: list[tuple[str, tuple[int, ...], int]] = []

    def note(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: seen.append((name, tuple(output.shape[2:]), output[0, 0].numel()))

    handles = [
        module.register_forward_hook(note(name))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    ]
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    spatial = [entry for entry in seen if entry[2] > 1]
    if not spatial:
        raise ValueError("no convolution of the network gives a map: name a layer with target_layers.")
    smallest = min(size for _, _, size in spatial)
    name, shape, _ = [entry for entry in spatial if entry[2] == smallest][-1]
    logger.info("target layer %r: the last convolution with the smallest output, %s voxels", name, shape)
    return name
