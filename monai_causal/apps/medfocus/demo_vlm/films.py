# SPDX-License-Identifier: Apache-2.0
"""The films that the small model is taught on: phantoms, rendered once, seen anew whenever they are used.

A view may hide a part of the film under a box, as the counterfactuals of an explanation do. What is hidden is not
evidence: a finding counts as absent where at most a fifth of it can be seen, as present where at least four fifths can,
and is not asked about in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn.functional import avg_pool2d, interpolate

from monai_causal.data.phantoms.chest import chest
from monai_causal.data.phantoms.chest_causes import COMPOSITES, CONCEPTS, FINDINGS, SIDES, ZONES, ChestCauses
from monai_causal.data.phantoms.on_disk import rendered_on_disk

__all__ = ["SEEN_SIDE", "STRUCTURES", "Films", "Views", "views_of"]

SEEN_SIDE = 160
"""Pixels of the image that the model sees."""
RENDERED = 224
MASKS = 80
STRUCTURES = (*CONCEPTS, *FINDINGS, "marker")
"""Of which masks are kept, each a bit of one number per pixel."""
PLACES = ("", *SIDES, *ZONES)
FILLS = ("zero", "zero", "zero", "mean", "blur")
GONE, THERE = 0.2, 0.8
MOST_BOXES = 3


class Films:
    """Rendered phantoms on disk: 8-bit images as the model sees them, masks, and where each finding lies.

    Args:
        folder: for the files; what is already rendered there is kept.
        seeds: of the phantoms.
        prevalence: of each finding.
    """

    def __init__(self, folder: Path, seeds: range, prevalence: float = 0.35) -> None:
        self.seeds = seeds
        kinds = {
            "images": (np.uint8, (SEEN_SIDE, SEEN_SIDE)),
            "masks": (np.uint32, (MASKS, MASKS)),
            "places": (np.int8, (len(FINDINGS),)),
        }
        name = f"films-{seeds[0]}-{len(seeds)}-{round(100 * prevalence)}"
        rendered = rendered_on_disk(folder, name, len(seeds), kinds, lambda index: drawn(seeds[index], prevalence))
        self.images, self.bits, self.places = rendered["images"], rendered["masks"], rendered["places"]

    def __len__(self) -> int:
        return len(self.seeds)

    def image(self, indices: Sequence[int]) -> Tensor:
        """(B, 1, 160, 160) in [0, 1]."""
        return torch.from_numpy(self.images[list(indices)].astype(np.float32) / 255)[:, None]

    def masks(self, indices: Sequence[int]) -> Tensor:
        """(B, structures, 80, 80), 0 or 1."""
        bits = self.bits[list(indices)].astype(np.int64)[:, None]
        return torch.from_numpy(((bits >> np.arange(len(STRUCTURES))[:, None, None]) & 1).astype(np.float32))

    def place(self, index: int, finding: int) -> str:
        """Where a finding lies, as an answer names it."""
        return PLACES[int(self.places[index, finding])]


class Views(NamedTuple):
    """Films as they are seen in one step.

    Args:
        images: (B, 1, 160, 160).
        masks: (B, structures, 80, 80): what of each structure can be seen.
        shown: (B, findings): 1 there, 0 not there, -1 in between.
        marker: (B,): alike, of the side marker.
    """

    images: Tensor
    masks: Tensor
    shown: Tensor
    marker: Tensor


def views_of(films: Films, indices: Sequence[int], generator: Generator, hidden: float = 0.5) -> Views:
    """New views of films.

    Args:
        films: the films.
        indices: which of them.
        generator: all draws come from here.
        hidden: how often a part is hidden.
    """
    images, masks = films.image(indices), films.masks(indices)
    covered = torch.stack([covering(one, generator, hidden) for one in masks])[:, None]
    gain, offset, gamma = (torch.rand((3, len(images), 1, 1, 1), generator=generator) - 0.5).unbind()
    images = (images.clamp_min(1e-4) ** torch.exp(0.3 * gamma) * (1 + 0.2 * gain) + 0.1 * offset).clamp(0, 1)
    images = images + 0.012 * torch.randn(images.shape, generator=generator)
    where = interpolate(covered, size=images.shape[-2:], mode="nearest")
    fills = torch.stack([filling(one, generator) for one in images])
    images = torch.where(where > 0, fills, images).clamp(0, 1)
    visible = masks * (1 - covered)
    left = visible.sum(dim=(2, 3)) / masks.sum(dim=(2, 3)).clamp_min(1)
    there = masks.flatten(2).amax(2) > 0
    state = torch.where(there & (left >= THERE), 1, torch.where(~there | (left <= GONE), 0, -1))
    first = len(CONCEPTS)
    return Views(images, visible, state[:, first : first + len(FINDINGS)], state[:, -1])


def covering(masks: Tensor, generator: Generator, hidden: float) -> Tensor:
    """(80, 80): 1 where a film is hidden: by boxes of concepts, and by boxes anywhere."""
    covered = torch.zeros(MASKS, MASKS)
    if not hidden or float(torch.rand((), generator=generator)) >= hidden:
        return covered
    for _ in range(1 + int(MOST_BOXES * float(torch.rand((), generator=generator)) ** 2)):
        members = [int(torch.randint(len(CONCEPTS), (), generator=generator))]
        kind = float(torch.rand((), generator=generator))
        if kind < 0.35:
            high, wide = (6 + 44 * torch.rand(2, generator=generator)).int().tolist()
            top, start = (
                (torch.rand(2, generator=generator) * torch.tensor([MASKS - high, MASKS - wide])).int().tolist()
            )
            covered[top : top + high, start : start + wide] = 1
            continue
        if kind > 0.8:
            names = list(COMPOSITES.values())[members[0] % len(COMPOSITES)]
            members = [CONCEPTS.index(name) for name in names]
        for member in members:
            rows, columns = (masks[member].amax(axis).nonzero().flatten() for axis in (1, 0))
            if len(rows):
                covered[int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1] = 1
    return covered


def filling(image: Tensor, generator: Generator) -> Tensor:
    """What hidden places show: nothing, the film's mean, or the film without its detail."""
    kind = FILLS[int(torch.randint(len(FILLS), (), generator=generator))]
    if kind == "blur":
        coarse = avg_pool2d(image[None], 32)
        return interpolate(coarse, size=image.shape[-2:], mode="bilinear")[0]
    return torch.full_like(image, float(image.mean()) if kind == "mean" else 0.0)


def drawn(seed: int, prevalence: float) -> dict[str, NDArray[Any]]:
    """A phantom's image, its masks as bits, and the places of its findings."""
    phantom = chest(seed, (RENDERED, RENDERED), prevalence=prevalence)
    grey = interpolate(torch.from_numpy(phantom.image)[None].float(), (SEEN_SIDE,) * 2, mode="bicubic", antialias=True)
    bits = np.zeros((MASKS, MASKS), np.uint32)
    for bit, name in enumerate(STRUCTURES):
        mask = phantom.maps.get(name)
        if mask is not None:
            part = interpolate(torch.from_numpy(mask)[None, None].float(), (MASKS, MASKS), mode="area")[0, 0].numpy()
            # a thin or small thing keeps its brightest cells rather than none
            bits |= ((part >= min(0.5, part.max())) & (part > 0)).astype(np.uint32) << bit
    shown = phantom.findings
    places = [PLACES.index(place_of(phantom.causes, name)) if name in shown else 0 for name in FINDINGS]
    return {"images": np.rint(255 * grey[0, 0].clamp(0, 1).numpy()), "masks": bits, "places": np.array(places)}


def place_of(causes: ChestCauses, finding: str) -> str:
    """Where causes put a finding, as an answer names it."""
    if finding == "consolidation":
        return str(causes.consolidation_zone)
    return str(getattr(causes, f"{finding}_side", ""))
