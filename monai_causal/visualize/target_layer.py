# SPDX-License-Identifier: Apache-2.0
"""Which layer a gradient is taken at: given by its dotted name, or the deepest one, found by a forward."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from monai_causal.intervene.scores import output_tensor

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


def deepest_layer(network: nn.Module, batch: Tensor, *extra: Any) -> str:
    """The name of the last convolution among those with the smallest spatial output in one recorded forward; logged.

    What does not count: convolutions from which no gradient leads to the output, as of an auxiliary head; those with an
    output of one voxel, which holds no place (squeeze and excitation, pooling of the whole image); and the last one of
    the forward, which gives the answer itself. Where that one is all there is, it is taken.

    Args:
        network: in the mode in which it will be asked.
        batch: ``(B, C, *spatial)``; nothing is written into it.
        extra: further arguments of the network.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3, stride=2), nn.ConvTranspose2d(2, 1, 7))
        >>> deepest_layer(network, torch.rand(1, 1, 8, 8))
        '1'
    """
    seen: list[tuple[str, Tensor]] = []

    def note(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: seen.append((name, output))

    transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *transposed)
    modules = {name: module for name, module in network.named_modules() if isinstance(module, kinds)}
    handles = [module.register_forward_hook(note(name)) for name, module in modules.items()]
    try:
        with torch.enable_grad():
            # Of a frozen network only the image can start a graph; a copy of it, since leaves cannot be written into.
            answer = output_tensor(network(batch.detach().clone().requires_grad_().clone(), *extra)).sum()
    finally:
        for handle in handles:
            handle.remove()
    seen = [(name, output) for name, output in seen if output.requires_grad]  # others do not even hang on the image
    linked: Sequence[Tensor | None] = []
    if seen and answer.requires_grad:
        linked = torch.autograd.grad(answer, [output for _, output in seen], allow_unused=True)
    leading = [(name, output) for (name, output), link in zip(seen, linked, strict=False) if link is not None]
    # Only a decoder's convolutions may be transposed; but the answer may come from one.
    inner = [
        (name, output[0, 0]) for name, output in leading[:-1] or leading if not isinstance(modules[name], transposed)
    ]
    spatial = [(name, one) for name, one in inner if one.numel() > 1]
    if not spatial:
        raise ValueError("no convolution of the network gives a map: name a layer with target_layers.")
    smallest = min(one.numel() for _, one in spatial)
    name, one = [entry for entry in spatial if entry[1].numel() == smallest][-1]
    logger.info("target layer %r: the last convolution with the smallest output, %s voxels", name, tuple(one.shape))
    return name
