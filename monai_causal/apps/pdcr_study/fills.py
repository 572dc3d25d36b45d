# SPDX-License-Identifier: Apache-2.0
"""Fills against the three principles of section 3.3, each principle with measured quantities.

**Contextual disruption** (does the fill change the patch?). ``disruption``: root mean square change of the patch's
values over the spread (standard deviation) of the image, so that 1 means a change as large as the image's own contrast;
``unchanged``: share of patches that change by less than ``unchanged_below`` of that spread. The mean alone would hide
what the paper complains of: a fill that changes much here and nothing in a flat or dark corner.

**Distributional plausibility** (could the patch be real?). Each patch is described by a few numbers that need no
network, since the network under test must not be its own judge (:func:`describe`), in units of their spread over real
patches. ``plausible``: share of filled patches that lie no farther from their nearest real patch of other images than
95 % of real patches of yet other images do. Real ones score 0.95 by construction. ``seam``: mean absolute step across
the patch's border over the same of the untouched image; 1 is as smooth as it was.

**Attributability** (does the response belong to the region?). ``reliability``: the share of the variance of single
effects that the region explains and the draw does not: the intraclass correlation ICC(1) of effects over (region, draw)
by one-way analysis of variance, cut at 0. A fill that draws nothing repeats itself perfectly and shows nothing by it:
null. ``agreement``: Spearman's correlation of the regions' effects with the mean rank that all other fills give them. A
response to the fill itself, and not to the loss of what was there, is not shared by fills that have nothing else in
common; that all fills err alike it cannot show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial import cKDTree
from torch import Tensor

from monai_causal.apps.pdcr_study.config import FillsConfig
from monai_causal.apps.pdcr_study.questions import Question
from monai_causal.intervene import BlurFill, CallableFill, ConstantFill, DonorPatchFill, Fill, InpaintFill, grid_regions
from monai_causal.intervene.regions import Region, Regions

__all__ = [
    "UNTOUCHED",
    "RealPatches",
    "agreements",
    "compare_fills",
    "describe",
    "disruption",
    "make_fills",
    "reliability",
    "seam_step",
]

Floats = NDArray[np.float64]

UNTOUCHED = "untouched"
"""The control: patches as they are. Whatever is measured of them is not the doing of a fill."""
_QUANTILE = 0.95
_RIM = 2  # voxels around a patch that it is compared with


def compare_fills(question: Question, settings: FillsConfig) -> dict[str, dict[str, float | None]]:
    """All measures of all fills, and of the untouched patches, on one image and RoI."""
    image = question.subject.image[0]
    regions = question.regions
    real = RealPatches(question.donors, question.study.patch_size, settings.real_patches)
    before = image.double().numpy()
    spread = float(before.std()) or 1.0
    steps = np.array([seam_step(before, region) for region in regions])
    fills = make_fills(settings, question.fill)
    effects: dict[str, Floats] = {}
    measures: dict[str, dict[str, float | None]] = {
        UNTOUCHED: {
            "disruption": 0.0, "unchanged": 1.0, "seam": 1.0,
            "plausible": real.plausible(describe(before, region) for region in regions),
            "reliability": None, "agreement": None, "effect": 0.0,
        }
    }  # fmt: skip
    for name, fill in fills.items():
        draws = 1 if fill.distinct_draws == 1 else settings.draws
        filled = _filled(image, regions, fill, draws, question.study.seed)
        changes = np.array([disruption(own, after, region) / spread for own, after, region in filled])
        seams = np.array([seam_step(after, region) for _, after, region in filled])
        found = question.evaluator(question.subject.image, regions, fill, question.score, draws)
        effects[name] = found.values.numpy()
        measures[name] = {
            "disruption": float(changes.mean()),
            "unchanged": float((changes < settings.unchanged_below).mean()),
            "seam": float(seams.mean() / steps.mean()) if steps.mean() > 0 else None,
            "plausible": real.plausible(describe(after, region) for _, after, region in filled),
            "reliability": reliability(effects[name]) if draws > 1 else None,
            "effect": float(np.abs(effects[name].mean(1)).mean()),
        }
    for name, agreement in agreements({name: values.mean(1) for name, values in effects.items()}).items():
        measures[name]["agreement"] = agreement
    return measures


def make_fills(settings: FillsConfig, donors: DonorPatchFill) -> dict[str, Fill]:
    """The fills of Fig. 2 and their two alternatives, by name."""

    def noisy(original: Tensor, region: Region, generator: np.random.Generator) -> Tensor:
        return original + settings.noise_sd * torch.from_numpy(generator.standard_normal(original.shape)).to(original)

    known: dict[str, Fill] = {
        "zero": ConstantFill(0.0),
        "blur": BlurFill(settings.blur_sigma),
        "noise": CallableFill(noisy),
        "donor": donors,
        "inpaint": InpaintFill(),
    }
    return {name: known[name] for name in settings.fills}


def disruption(before: Floats, after: Floats, region: Region) -> float:
    """Root mean square change of a region's values, ``(C, *spatial)`` before and after.

    Example:
        >>> image = np.zeros((1, 8, 8))
        >>> disruption(image, image + 0.5, grid_regions((8, 8), 4)[0])
        0.5
    """
    return float(np.sqrt(np.mean((after[region.index] - before[region.index]) ** 2)))


def seam_step(image: Floats, region: Region) -> float:
    """Mean absolute difference between neighbours on either side of the border of a region's box, over all channels and
    all faces that lie inside the image ``(C, *spatial)``."""
    steps = []
    for axis, (start, stop) in enumerate(region.box):
        for inner, outer in ((start, start - 1), (stop - 1, stop)):
            if 0 <= outer < image.shape[axis + 1]:
                face: list[Any] = list(region.index)
                face[axis + 1] = inner
                beside = list(face)
                beside[axis + 1] = outer
                steps.append(np.abs(image[tuple(face)] - image[tuple(beside)]).ravel())
    return float(np.concatenate(steps).mean()) if steps else 0.0


def describe(image: Floats, region: Region) -> Floats:
    """A patch in a few numbers, from an image ``(C, *spatial)`` that it lies in: per channel its mean; and over all
    channels its standard deviation, its mean absolute step from voxel to voxel and the mean absolute change of that
    step (grain), the step across its border, and the distance of its mean from that of the rim around it."""
    patch = image[region.index]
    axes = range(1, patch.ndim)
    steps = np.mean([np.abs(np.diff(patch, axis=axis)).mean() for axis in axes])
    grain = np.mean([np.abs(np.diff(patch, n=2, axis=axis)).mean() for axis in axes if patch.shape[axis] > 2] or [0.0])
    window = image[(slice(None), *(slice(max(0, a - _RIM), b + _RIM) for a, b in region.box))]
    count = patch[0].size
    around = window[0].size - count
    means = patch.reshape(len(patch), -1).mean(1)
    rims = (window.reshape(len(window), -1).sum(1) - count * means) / around if around else means
    spread = patch.reshape(len(patch), -1).std(1).mean()
    return np.array([*means, spread, steps, grain, seam_step(image, region), np.abs(means - rims).mean()])


class RealPatches:
    """What patches of other images look like, and how far one of them is from the nearest.

    Args:
        images: ``(C, *spatial)`` each, at least two; every other one is the reference, and those between say how far
            real patches lie from it.
        patch_size: of the grid that the patches lie on.
        limit: how many patches at most, evenly over all images.
    """

    def __init__(self, images: Sequence[Tensor], patch_size: int | Sequence[int], limit: int) -> None:
        if len(images) < 2:
            raise ValueError(f"{len(images)} donor images: real patches are compared between at least two.")
        halves: list[list[Floats]] = [[], []]
        for number, image in enumerate(images):
            array = image.double().numpy()
            regions = list(grid_regions(array.shape[1:], patch_size))
            # Evenly over the grid, and from another start in each image, so that all places are there.
            stride = max(1, -(-len(regions) * len(images) // limit))
            halves[number % 2] += [describe(array, region) for region in regions[number % stride :: stride]]
        if not all(halves):
            raise ValueError(f"limit={limit}: too few real patches; take more.")
        reference, beside = (np.array(half) for half in halves)
        self.scale = reference.std(0)
        self.scale[self.scale == 0] = 1.0
        self._tree = cKDTree(reference / self.scale)
        self.reach = float(np.quantile(self._distances(beside), _QUANTILE))

    def plausible(self, described: Any) -> float:
        """Share of patches, each as :func:`describe` gives it, that lie within reach of a real one."""
        return float((self._distances(np.array(list(described))) <= self.reach).mean())

    def _distances(self, described: Floats) -> Floats:
        distances, _ = self._tree.query(described / self.scale)
        return np.asarray(distances)


def reliability(effects: Floats) -> float | None:
    """ICC(1) of effects ``(regions, draws)``, cut at 0; ``None`` where nothing varies at all.

    Example:
        >>> reliability(np.array([[1.0, 1.0], [3.0, 3.0]])), reliability(np.array([[1.0, 3.0], [3.0, 1.0]]))
        (1.0, 0.0)
    """
    regions, draws = effects.shape
    means = effects.mean(1)
    between = draws * ((means - means.mean()) ** 2).sum() / (regions - 1)
    within = ((effects - means[:, None]) ** 2).sum() / (regions * (draws - 1))
    whole = between + (draws - 1) * within
    return None if whole == 0 else float(max(0.0, (between - within) / whole))


def agreements(effects: Mapping[str, Floats]) -> dict[str, float | None]:
    """Spearman's correlation of each fill's effects ``(regions,)`` with the mean rank under all others; ``None`` where
    one side does not vary."""
    ranks = {name: stats.rankdata(values) for name, values in effects.items()}
    found: dict[str, float | None] = {}
    for name, own in ranks.items():
        others = [rank for other, rank in ranks.items() if other != name]
        mean = np.mean(others, axis=0) if others else np.zeros_like(own)
        varies = np.ptp(own) > 0 and np.ptp(mean) > 0
        found[name] = float(stats.spearmanr(own, mean).statistic) if varies else None
    return found


def _filled(image: Tensor, regions: Regions, fill: Fill, draws: int, seed: int) -> list[tuple[Floats, Floats, Region]]:
    """The image around each region, before and with the region filled, once per draw; whole images would take much
    memory."""
    replacement = fill.prepare(image, regions, seed)
    filled = []
    for region in regions:
        reach = [(max(0, a - _RIM), min(n, b + _RIM)) for (a, b), n in zip(region.box, image.shape[1:], strict=True)]
        window = image[(slice(None), *(slice(*span) for span in reach))]
        moved = Region(region.id, tuple((a - low, b - low) for (a, b), (low, _) in zip(region.box, reach, strict=True)))
        for draw in range(draws):
            after = window.clone()
            moved.write(after[moved.index], replacement(region, draw))
            filled.append((window.double().numpy(), after.double().numpy(), moved))
    return filled
