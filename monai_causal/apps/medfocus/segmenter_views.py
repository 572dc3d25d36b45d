# SPDX-License-Identifier: Apache-2.0
"""Phantoms as the small network is taught on them: bent, lit, blurred and soiled anew whenever they are seen.

The recipe of SynthSeg: what a network must not rely on is drawn at random, far beyond what is realistic; the anatomy
is what stays. Everything that is drawn belongs to (seed, epoch, index), whatever the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample, interpolate, pad

__all__ = ["ViewConfig", "vary"]

Draw = dict[str, Tensor]

LATTICE = 5
"""Nodes per axis of the smooth fields."""
KNOTS = 6
"""Of the tone curve."""
OCCLUDERS = 4
BLUR_REACH = 7


@dataclass(frozen=True)
class ViewConfig:
    """How far views of a phantom differ from it."""

    size: int = 96
    zoom: float = 0.22
    """Standard scale is drawn from 1/e^zoom to e^zoom, and per axis from half of that on top."""
    turn: float = 8.0
    """Degrees to either side."""
    shift: float = 0.10
    """Of the image, to each side."""
    bend: float = 0.035
    """Of the image: how far a smooth field moves its points."""
    structure: float = 0.30
    """Grey that smooth fields add inside single structures."""
    flatten: float = 0.25
    """How often all structures get a random grey of their own, of which the phantom keeps a part."""
    light: float = 0.35
    """Of a smooth field over everything."""
    blur: float = 1.6
    """Largest standard deviation in pixels."""
    noise: float = 0.09
    """Largest standard deviation."""
    inverted: float = 0.04
    """How often black is white."""
    occluded: float = 0.4
    """How often something lies on the film."""

    def __post_init__(self) -> None:
        if self.size < 64 or self.size % 32:
            raise ValueError(f"size={self.size}: give a multiple of 32, at least 64: the network halves it five times.")


def vary(
    images: Tensor, masks: Tensor, keys: Sequence[tuple[int, int, int]], config: ViewConfig
) -> tuple[Tensor, Tensor]:
    """Views of phantoms.

    Args:
        images: (B, 1, H, W) in [0, 1].
        masks: (B, C, H, W), of single structures.
        keys: (seed, epoch, index) of each.
        config: how far they may differ.

    Returns:
        Views (B, 1, size, size) in [0, 1] and their masks (B, C, size, size), 0 or 1, both float32.
    """
    draws = [_draw(_generator(key), masks.shape[1], config) for key in keys]
    draw = {name: torch.stack([one[name] for one in draws]) for name in draws[0]}
    images, masks = _moved(images.float(), masks.float(), draw, config)
    images = _restructured(images, masks, draw)
    images = images + _field(draw["light"], config.size)
    images = _toned(images.clamp(0, 1), draw["curve"])
    images = torch.where(draw["inverted"].view(-1, 1, 1, 1) > 0, 1 - images, images)
    images = _occluded(images, draw)
    images = _blurred(images, draw["blur"])
    return (images + draw["noise"].view(-1, 1, 1, 1) * draw["grain"]).clamp(0, 1), masks


def _generator(key: tuple[int, int, int]) -> Generator:
    seed, epoch, index = key
    return Generator().manual_seed((seed * 1_000_003 + epoch) * 1_000_003 + index)


def _draw(generator: Generator, structures: int, config: ViewConfig) -> Draw:
    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator)

    def sometimes(chance: float, *shape: int) -> Tensor:
        return (torch.rand(shape, generator=generator) < chance).float()

    scale = torch.exp(uniform(-config.zoom, config.zoom) + uniform(-config.zoom / 2, config.zoom / 2, 2))
    angle = uniform(-config.turn, config.turn) * math.pi / 180
    turn = torch.stack([torch.cos(angle), -torch.sin(angle), torch.sin(angle), torch.cos(angle)]).view(2, 2)
    # Where structures differ by a smooth field, they may also differ as a whole.
    level, waves = uniform(-1, 1, structures, 1, 1), uniform(-1, 1, structures, LATTICE, LATTICE)
    strength = config.structure * sometimes(0.5, structures, 1, 1) * uniform(0, 1, structures, 1, 1)
    steps = uniform(0, 1, KNOTS - 1) ** 2 + 0.05
    gamma = torch.exp(uniform(-0.8, 0.8))
    even = torch.linspace(0, 1, KNOTS) ** gamma
    steep = torch.cat([torch.zeros(1), torch.cumsum(steps, 0) / steps.sum()])
    mixture = uniform(0, 0.7)
    return {
        "theta": torch.cat([turn / scale.view(2, 1), uniform(-2 * config.shift, 2 * config.shift, 2, 1)], dim=1),
        "bend": uniform(-2 * config.bend, 2 * config.bend, 2, LATTICE, LATTICE),
        "outside": sometimes(0.5),
        "structure": strength * (0.6 * level + 0.6 * waves),
        "flatten": sometimes(config.flatten) * uniform(0.2, 0.8),
        "greys": uniform(0, 1, structures + 1),
        "greyest": uniform(0, 1, structures).argsort(),
        "light": config.light * uniform(0, 1, 1, 1, 1) * uniform(-1, 1, 1, LATTICE, LATTICE),
        "curve": (1 - mixture) * even + mixture * steep,
        "inverted": sometimes(config.inverted),
        "occluders": torch.cat(
            [
                uniform(-0.1, 1.1, OCCLUDERS, 2),  # middle
                0.01 + 0.2 * uniform(0, 1, OCCLUDERS, 2) ** 2,  # half edges
                uniform(-math.pi, math.pi, OCCLUDERS, 1),
                uniform(0, 1, OCCLUDERS, 1),  # grey
                sometimes(config.occluded) * sometimes(0.5, OCCLUDERS, 1) * uniform(0.3, 1, OCCLUDERS, 1),
            ],
            dim=1,
        ),
        "blur": sometimes(0.6) * uniform(0.1, config.blur),
        "noise": sometimes(0.7) * uniform(0, config.noise),
        "grain": torch.randn(1, config.size, config.size, generator=generator),
    }


def _moved(images: Tensor, masks: Tensor, draw: Draw, config: ViewConfig) -> tuple[Tensor, Tensor]:
    grid = affine_grid(draw["theta"], [len(images), 1, config.size, config.size], align_corners=False)
    grid = grid + _field(draw["bend"], config.size).movedim(1, -1)
    # Points are sampled: what is much finer than they are would come out as false patterns.
    finest = round(config.size * math.exp(config.zoom))
    if images.shape[-1] > finest:
        images = interpolate(images, (finest, finest), mode="bilinear", antialias=True)
    # Beyond a phantom's edge there is either nothing, or more of the same.
    nothing, more = (
        grid_sample(images, grid, align_corners=False, padding_mode=mode) for mode in ("zeros", "reflection")
    )
    seen = torch.where(draw["outside"].view(-1, 1, 1, 1) > 0, more, nothing)
    return seen, (grid_sample(masks, grid, align_corners=False) > 0.5).float()


def _restructured(images: Tensor, masks: Tensor, draw: Draw) -> Tensor:
    size = images.shape[-1]
    soft = _blurred(masks.flatten(0, 1)[:, None], torch.full((masks.shape[0] * masks.shape[1],), 1.2)).view_as(masks)
    images = images + (soft * _field(draw["structure"], size)).sum(dim=1, keepdim=True)
    greys = draw["greys"].view(len(images), -1, 1, 1)
    flat = greys[:, -1:].expand(-1, -1, size, size)
    for place in range(masks.shape[1]):
        chosen = draw["greyest"][:, place].view(-1, 1, 1, 1).expand(-1, 1, size, size)
        cover = soft.gather(1, chosen)
        flat = flat + cover * (greys.gather(1, chosen[..., :1, :1]) - flat)
    share = draw["flatten"].view(-1, 1, 1, 1)
    return images + share * (flat - images)


def _toned(images: Tensor, curve: Tensor) -> Tensor:
    place = images * (KNOTS - 1)
    below = place.floor().clamp(max=KNOTS - 2)
    row = curve.view(len(images), -1)
    at = below.long().flatten(1)
    low, high = row.gather(1, at).view_as(images), row.gather(1, at + 1).view_as(images)
    return low + (place - below) * (high - low)


def _occluded(images: Tensor, draw: Draw) -> Tensor:
    axis = (torch.arange(images.shape[-1]) + 0.5) / images.shape[-1]
    for number in range(OCCLUDERS):
        row, column, down, across, angle, grey, cover = (
            value.view(-1, 1, 1) for value in draw["occluders"][:, number].unbind(dim=1)
        )
        y, x = axis.view(1, -1, 1) - row, axis.view(1, 1, -1) - column
        along, beside = x * torch.cos(angle) + y * torch.sin(angle), y * torch.cos(angle) - x * torch.sin(angle)
        inside = ((along.abs() < 2 * across) & (beside.abs() < down / 2))[:, None] * cover[:, None]
        images = images + inside * (grey[:, None] - images)
    return images


def _blurred(images: Tensor, width: Tensor) -> Tensor:
    """(N, 1, S, S), each with a standard deviation of its own; 0 leaves it."""
    reach = torch.arange(-BLUR_REACH, BLUR_REACH + 1).float()
    kernel = torch.exp(-0.5 * (reach / width.clamp_min(1e-3).view(-1, 1)) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    stack = pad(images.movedim(1, 0), (BLUR_REACH,) * 4, mode="replicate")
    stack = conv2d(stack, kernel.view(-1, 1, 1, 2 * BLUR_REACH + 1), groups=len(images))
    return conv2d(stack, kernel.view(-1, 1, 2 * BLUR_REACH + 1, 1), groups=len(images)).movedim(0, 1)


def _field(lattice: Tensor, size: int) -> Tensor:
    return interpolate(lattice, (size, size), mode="bicubic", align_corners=True)
