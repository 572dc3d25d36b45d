# SPDX-License-Identifier: Apache-2.0
"""Infidelity: does a map foretell the change of the score under interventions? (Yeh et al. 2019, Definition 2.1)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from monai_causal.intervene import Evaluator, Fill, Regions, Score, box_regions
from monai_causal.intervene.draws import draw_integer
from monai_causal.intervene.fills import as_fill
from monai_causal.intervene.regions import per_axis, plain
from monai_causal.metrics.items import as_answer, located

__all__ = ["infidelity", "square_regions"]


def infidelity(
    evaluator: Evaluator,
    image: Tensor,
    heat: Tensor,
    regions: Regions,
    fill: Fill | Callable[..., Any] | float,
    score: Score | Callable[[Tensor], Tensor],
    *,
    draws: int = 1,
    heat_is: Literal["sensitivity", "contribution"] = "sensitivity",
    optimal_scale: bool = False,
) -> float | Tensor:
    """``INFD = E_I [ (I . heat - (s(x) - s(x - I)))^2 ]``, in the score's unit squared; 0 is best.

    The perturbation ``I`` is what an intervention takes away: ``x - do(region := fill)``. The expectation runs over the
    regions and the draws of the fill, which are one batched set.

    Args:
        evaluator: who asks the network; random fills draw by its seed.
        image: ``(B, C, *spatial)``.
        heat: ``(B, C, *spatial)``, or ``(B, 1, *spatial)`` to serve all channels alike.
        regions: where; :func:`square_regions` are the publication's squares.
        fill: with what.
        score: compared on what, one number per item.
        draws: how many draws of the fill.
        heat_is: ``"sensitivity"``: change of the score per unit of input, such as a gradient: the equation as it
            stands; ``"contribution"``: what a voxel adds to the score, such as input times gradient: I is then 1 on
            the region.
        optimal_scale: multiply the map by the factor that makes its infidelity least, ``E[(I . heat) change] /
            E[(I . heat)^2]``: for maps that are scaled to [0, 1] and so foretell no unit. A map that foretells 0
            everywhere stays as it is.

    Returns:
        A float for one item, float64 ``(B,)`` for a batch.

    Example:
        >>> network, image = torch.nn.Conv2d(1, 1, 1, bias=False).requires_grad_(False), torch.rand(1, 1, 8, 8)
        >>> gradient = network.weight.expand(1, 1, 8, 8) / 64
        >>> mean = lambda output: output.mean((1, 2, 3))
        >>> round(infidelity(Evaluator(network), image, gradient, square_regions((8, 8), 5, 3), 0.0, mean), 9)
        0.0
    """
    if heat_is not in ("sensitivity", "contribution"):
        raise ValueError(f"heat_is={heat_is!r}: choose 'sensitivity' or 'contribution'.")
    shapes = [tuple(image.shape), (len(image), 1, *image.shape[2:])]
    if tuple(heat.shape) not in shapes:
        raise ValueError(f"the map has shape {tuple(heat.shape)}: it must have {shapes[0]} or {shapes[1]}.")
    maps = located(plain(heat).detach().cpu().double())
    fill = as_fill(fill)
    effects = evaluator(image, regions, fill, score, draws)
    if effects.vector:
        raise ValueError("the score gives several numbers per item: infidelity is of one.")
    drops = -effects.data[..., 0].flatten(1)
    originals = plain(image).detach().cpu()
    foretold = torch.stack(
        [
            _foretold(original, own, regions.to(original.device), fill, evaluator.seed, draws, heat_is)
            for original, own in zip(originals, maps, strict=True)
        ]
    )
    if optimal_scale:
        power = foretold.square().mean(1, keepdim=True)
        scale = (foretold * drops).mean(1, keepdim=True) / power.where(power > 0, 1.0)
        foretold = scale * foretold
    return as_answer((foretold - drops).square().mean(1))


def square_regions(spatial_shape: Sequence[int], count: int, size: int | Sequence[int], seed: int = 0) -> Regions:
    """Squares (or boxes) of one size at uniformly drawn places; they may overlap.

    Args:
        spatial_shape: the image's.
        count: how many.
        size: edge in voxels, one number or one per axis.
        seed: of the places; the k-th square is the same however many there are.
    """
    sizes = per_axis(size, len(spatial_shape), "size")
    rooms = [length - edge + 1 for length, edge in zip(spatial_shape, sizes, strict=True)]
    if min(rooms) < 1 or min(sizes) < 1:
        raise ValueError(f"size={size}: a square has at least one voxel and fits {tuple(spatial_shape)}.")
    starts = ([draw_integer(room, seed, k, 0, axis) for axis, room in enumerate(rooms)] for k in range(count))
    return box_regions(
        spatial_shape,
        [tuple((start, start + edge) for start, edge in zip(corner, sizes, strict=True)) for corner in starts],
    )


def _foretold(
    original: Tensor, heat: Tensor, regions: Regions, fill: Fill, seed: int, draws: int, heat_is: str
) -> Tensor:
    """``I . heat`` for every region and draw, flat, in the order of the effects."""
    replacement = fill.prepare(original, regions, seed)
    predictions = []
    for region in regions:
        before = original[region.index]
        weights = heat[region.index] if len(heat) == len(original) else heat[(slice(None), *region.index[1:])]
        for draw in range(draws):
            if heat_is == "sensitivity":
                after = before.clone()
                region.write(after, replacement(region, draw))
                predictions.append((weights * (before - after)).sum())
            else:
                inside = weights if region.mask is None else weights[:, region.mask]
                predictions.append(inside.sum())
    return torch.stack(predictions)
