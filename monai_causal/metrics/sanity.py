# SPDX-License-Identifier: Apache-2.0
"""Does a map know the network's weights? Random weights must destroy it (Adebayo et al. 2018)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from monai_causal.intervene.draws import draw_integer
from monai_causal.metrics.correlation import CorrelationName, map_correlation
from monai_causal.metrics.items import as_answer

__all__ = ["random_weights_sanity"]


def random_weights_sanity(
    explain: Callable[[nn.Module, Tensor], Tensor],
    network: nn.Module,
    image: Tensor,
    heat: Tensor | None = None,
    *,
    order: Literal["cascading", "full"] = "cascading",
    correlation: CorrelationName = "spearman",
    seed: int = 0,
) -> dict[str, float | Tensor]:
    """Correlation of a network's map with the maps of the same network under random weights. Near 0 is good: a map
    that survives is drawn by the image, not by what the network learnt.

    A layer is re-initialised by its own ``reset_parameters``; parameters of a layer that has none are drawn anew from
    a normal distribution with their own mean and spread. Each layer has its own seed, so the last stage of the cascade
    and ``"full"`` have the same weights. The caller's network is never touched: a copy is.

    Args:
        explain: ``explain(network, image) -> (B, 1, *spatial)``; it makes the visualizer anew for the network it gets.
        network: the trained one.
        image: ``(B, C, *spatial)``.
        heat: the trained network's map; ``None``: it is asked for.
        order: ``"cascading"``: layer after layer, from the last registered to the first, a map after each; ``"full"``:
            all at once.
        correlation: ``"spearman"`` (as published) or ``"pearson"``.
        seed: of the weights.

    Returns:
        By the name of the layer last re-initialised (``"full"`` for all at once), in order: floats for one item,
        tensors ``(B,)`` for a batch; not a number where a map is constant.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))
        >>> found = random_weights_sanity(lambda net, x: net(x).detach(), network, torch.rand(1, 1, 8, 8))
        >>> list(found)
        ['2', '0']
    """
    if order not in ("cascading", "full"):
        raise ValueError(f"order={order!r}: choose 'cascading' or 'full'.")
    if heat is None:
        heat = explain(network, image)
    spoilt = copy.deepcopy(network)
    layers = [(name, layer) for name, layer in spoilt.named_modules() if any(True for _ in layer.parameters(False))]
    if not layers:
        raise ValueError(f"{type(network).__name__} has no parameters: there is nothing to re-initialise.")
    found: dict[str, Tensor] = {}
    for number, (name, layer) in reversed(list(enumerate(layers))):
        _reinitialise(layer, draw_integer(2**63, seed, number, 0))
        if order == "cascading" or number == 0:
            stage = name or type(network).__name__
            found["full" if order == "full" else stage] = map_correlation(heat, explain(spoilt, image), correlation)
    return {name: as_answer(values) for name, values in found.items()}


def _reinitialise(layer: nn.Module, seed: int) -> None:
    reset = getattr(layer, "reset_parameters", getattr(layer, "_reset_parameters", None))
    own = list(layer.parameters(recurse=False))
    with torch.random.fork_rng(sorted({parameter.device.index for parameter in own if parameter.is_cuda})):
        torch.manual_seed(seed)
        if reset is not None:
            reset()
            return
        with torch.no_grad():
            for parameter in own:
                spread = parameter.std(unbiased=False)
                parameter.copy_(parameter.mean() + spread * torch.randn_like(parameter))
