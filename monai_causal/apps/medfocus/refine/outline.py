# SPDX-License-Identifier: Apache-2.0
"""Refinement without a checkpoint: move and stretch each mask until its outline lies on an edge of the image.

For every mask a small set of shifts and stretches is tried, and the one under which the image changes most across the
outline, in the direction in which it changes already, is taken. The shape stays what it was, so nothing can leak
through a gap in an edge; in return, nothing becomes more detailed. Concepts whose own outline can hardly be seen go
along with the one that the vocabulary names.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn.functional import interpolate

from monai_causal.apps.medfocus.concepts import Vocabulary, chest_vocabulary
from monai_causal.apps.medfocus.segmenters.base import Image, Mask, Segmented

__all__ = ["OutlineRefinement"]

Floats = NDArray[np.float64]
Pose = tuple[float, float, float, float]
"""Stretch of rows and columns, shift of rows and columns in working pixels."""

SIZE = 224
SMOOTHING = 2.0
POINTS = 300
"""Of an outline; more cost time and change nothing."""
LEAST = 20
"""Working pixels of a mask; the outline of a smaller one says too little."""


class OutlineRefinement:
    """Fits the outlines of what was found to the image's edges.

    Args:
        vocabulary: says which concept moves with which.
        reach: how far a mask may move, in 224ths of the image.
        stretch: by how much it may grow or shrink per axis, a fraction.
        caution: what the largest move costs, in units of the image's mean gradient.
    """

    name = "outline"

    def __init__(
        self, vocabulary: Vocabulary | None = None, reach: int = 10, stretch: float = 0.1, caution: float = 0.1
    ) -> None:
        if not 1 <= reach <= SIZE // 4:
            raise ValueError(f"reach={reach}: give a whole number from 1 to {SIZE // 4}.")
        if not 0 <= stretch < 0.5:
            raise ValueError(f"stretch={stretch}: give a fraction from 0 to below 0.5.")
        self.vocabulary = vocabulary or chest_vocabulary()
        self.reach, self.stretch, self.caution = reach, stretch, caution

    def __call__(self, image: Image, found: Segmented) -> Segmented:
        """The same masks, moved and stretched; the details say by how much."""
        square = _square(torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32)))
        gradient = np.stack([ndimage.gaussian_filter(square, SMOOTHING, order=order) for order in ((1, 0), (0, 1))])
        leads = {one.name: one.moves_with for one in self.vocabulary.concepts}
        poses: dict[str, tuple[Pose, Floats]] = {}
        for name, mask in found.masks.items():
            if leads.get(name) is None:
                outline = _outline(_square(torch.from_numpy(mask).float()) > 0.5)
                if outline is not None:
                    poses[name] = self._fitted(gradient, *outline)
        masks: dict[str, Mask] = {}
        moved: dict[str, list[float]] = {}
        for name, mask in found.masks.items():
            pose = poses.get(leads.get(name) or name)
            masks[name] = mask if pose is None else _placed(mask, *pose)
            if pose is not None:
                moved[name] = [round(float(value), 4) for value in pose[0]]
        return found.then(self.name, masks, details={"outline": {"working_size": SIZE, "stretch_and_shift": moved}})

    def _fitted(self, gradient: Floats, points: Floats, normals: Floats) -> tuple[Pose, Floats]:
        """The best pose, and the point about which it stretches: first coarsely, then finely about the best."""
        middle = points.mean(axis=0)
        strength = float(np.hypot(*gradient).mean()) or 1.0
        # Bright inside or dark inside: as it mostly is where the outline lies now.
        sign = 1.0 if _across(gradient, points[None], normals).mean() >= 0 else -1.0
        best: Pose = (1.0, 1.0, 0.0, 0.0)
        for reach, step, stretch in ((self.reach, 2, self.stretch), (2, 1, self.stretch / 4)):
            best = self._best(gradient * (sign / strength), points, normals, middle, best, reach, step, stretch)
        return best, middle

    def _best(
        self,
        gradient: Floats,
        points: Floats,
        normals: Floats,
        middle: Floats,
        start: Pose,
        reach: int,
        step: int,
        stretch: float,
    ) -> Pose:
        offsets = np.arange(-reach, reach + 1, step, dtype=np.float64)
        shifts = np.stack(np.meshgrid(offsets + start[2], offsets + start[3], indexing="ij"), axis=-1).reshape(-1, 2)
        stretches = np.linspace(-stretch, stretch, 5)
        best, highest = start, -np.inf
        for down, across in product(stretches + start[0], stretches + start[1]):
            placed = (points - middle) * (down, across) + middle
            gain = _across(gradient, placed[None] + shifts[:, None], normals).mean(axis=1)
            effort = (shifts**2).sum(axis=1) / self.reach**2
            if self.stretch > 0:
                effort = effort + ((down - 1) ** 2 + (across - 1) ** 2) / self.stretch**2
            value = gain - self.caution * effort
            number = int(value.argmax())
            if value[number] > highest:
                highest = float(value[number])
                best = (float(down), float(across), float(shifts[number, 0]), float(shifts[number, 1]))
        return best


def _square(image: torch.Tensor) -> Floats:
    """(H, W) stretched to the working square."""
    resized = interpolate(image[None, None], (SIZE, SIZE), mode="bilinear", antialias=True)[0, 0]
    values: Floats = resized.numpy().astype(np.float64)
    return values


def _outline(mask: NDArray[np.bool_]) -> tuple[Floats, Floats] | None:
    """Points (n, 2) along the outline and its unit normals, inwards; the image's own rim is no outline."""
    if mask.sum() < LEAST:
        return None
    soft = ndimage.gaussian_filter(mask.astype(np.float64), 1.5)
    slope = np.stack([ndimage.sobel(soft, axis=axis) for axis in (0, 1)])
    steep = np.hypot(*slope)
    rim = np.zeros(mask.shape, dtype=bool)
    rim[1:-1, 1:-1] = True
    points = np.argwhere((steep > 0.3 * steep.max()) & rim)
    if not len(points):
        return None
    points = points[:: max(1, len(points) // POINTS)]
    normals = slope[:, points[:, 0], points[:, 1]].T
    return points.astype(np.float64), normals / np.linalg.norm(normals, axis=1, keepdims=True)


def _across(gradient: Floats, places: Floats, normals: Floats) -> Floats:
    """The gradient along the normals at places (m, n, 2); 0 beyond the image."""
    nearest = np.rint(places).astype(np.intp)
    inside = ((nearest >= 0) & (nearest < SIZE)).all(axis=-1)
    rows, columns = np.moveaxis(np.clip(nearest, 0, SIZE - 1), -1, 0)
    along: Floats = gradient[0, rows, columns] * normals[:, 0] + gradient[1, rows, columns] * normals[:, 1]
    return np.where(inside, along, 0.0)


def _placed(mask: Mask, pose: Pose, middle: Floats) -> Mask:
    """A mask at its own resolution under a pose that was found on the working square."""
    sources = []
    for axis in (0, 1):
        length = mask.shape[axis]
        place = (np.arange(length) + 0.5) * (SIZE / length) - 0.5
        source = (place - middle[axis] - pose[2 + axis]) / pose[axis] + middle[axis]
        index = np.floor((source + 0.5) * (length / SIZE)).astype(np.intp)
        # What is cut by the image's rim goes on beyond it.
        sources.append(np.clip(index, 0, length - 1))
    moved: Mask = mask[np.ix_(*sources)]
    return moved
