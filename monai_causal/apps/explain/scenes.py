# SPDX-License-Identifier: Apache-2.0
"""The image as it was stored and as the network sees it, with the label and the RoI where the network sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray
from torch import Tensor

from monai_causal.apps.explain.bundles import Bundle
from monai_causal.apps.explain.demo_network import SEED
from monai_causal.apps.explain.grids import Grid, affine_of, resample
from monai_causal.apps.explain.weights import digest_of
from monai_causal.data.banks import image_digest
from monai_causal.data.phantoms import shapes
from monai_causal.data.readers import PICTURES, read_image, read_label
from monai_causal.intervene.regions import Box, check_box, coverage, plain

__all__ = ["Scene", "bundle_scene", "own_scene", "phantom_scene"]

_ALIKE = 0.5  # correlation below which the network's image hardly shows the one that was stored


@dataclass(frozen=True, eq=False)
class Scene:
    """One image on two grids.

    Attributes:
        image: ``(1, C, *spatial)``, as the network gets it.
        grid: where its voxels are.
        stored: ``(C, *spatial)``: as it was stored, in array order, in [0, 1], for pictures.
        own: where its voxels are.
        affine: ``(4, 4)``, of the files that lie on the stored image.
        digest: of the image's file.
        notes: what did not go the straight way.
    """

    image: Tensor
    grid: Grid
    stored: Tensor
    own: Grid
    affine: NDArray[np.float64]
    digest: str
    notes: list[str] = field(default_factory=list)

    def label(self, path: Path) -> Tensor:
        """A label map that lies on the stored image, on the network's grid ``(*spatial)``."""
        values = read_label(path, name="the label")
        if tuple(values.shape) != self.own.shape:
            raise ValueError(
                f"the label is {tuple(values.shape)}, the image {self.own.shape}: they must be of one size."
            )
        if not values.any():
            raise ValueError("the label holds no foreground: there is nothing to compare an answer with.")
        placed = resample(values, self.own, self.grid)
        if not placed.any():
            raise ValueError("the label's foreground lies outside what the pre-processing keeps of the image.")
        return placed

    def roi(self, box: Box) -> Box | Tensor:
        """A box of the stored image, where the network sees it."""
        check_box(box, self.own.shape, "the RoI")
        if self.grid.same_as(self.own):
            return box
        placed = resample(coverage(box, self.own.shape).to(torch.uint8), self.own, self.grid) > 0
        if not placed.any():
            raise ValueError("the RoI lies outside what the pre-processing keeps of the image, or between its voxels.")
        return placed

    def back(self, values: Tensor, smooth: bool = False) -> Tensor:
        """What lies on the network's grid ``(*spatial)``, on the stored image's."""
        return resample(values, self.grid, self.own, smooth)


def own_scene(path: Path, intensities: tuple[float, float] | None = None) -> Scene:
    """An image that a network sees as it is stored, its intensities scaled to [0, 1]."""
    return _same(read_image(_there(path), window=intensities, name="the image"), digest_of(path))


def phantom_scene() -> Scene:
    """The phantom that goes with the network ``"demo"``."""
    image = torch.from_numpy(shapes(SEED).image)
    return _same(image, image_digest(image))


def bundle_scene(path: Path, bundle: Bundle) -> Scene:
    """An image as a bundle's pre-processing leaves it, and the way back by its affine."""
    stored = read_image(_there(path), name="the image")
    loaded, ready = bundle.read(path)
    picture = path.name.lower().endswith(PICTURES)
    affine = np.eye(4) if picture else affine_of(stored)
    own = Grid(tuple(stored.shape[1:]), _pixels(loaded, stored) if picture else affine)
    grid = Grid(tuple(ready.shape[1:]), affine_of(ready))
    if len(grid.shape) != len(own.shape):
        raise ValueError(f"the bundle's pre-processing makes {grid.shape} of an image {own.shape}: other axes.")
    scene = Scene(ready[None], grid, plain(stored), own, affine, digest_of(path), list(bundle.notes))
    alike = _correlation(resample(plain(stored).mean(0), own, grid, smooth=True), plain(ready).mean(0))
    if abs(alike) < _ALIKE:
        scene.notes.append(
            f"the pre-processed image hardly resembles the stored one where its affine places it (correlation "
            f"{alike:.2f}): a transform may move voxels without saying so, and the map then lies beside its image"
        )
    return scene


def _same(image: Tensor, digest: str) -> Scene:
    grid = Grid(tuple(image.shape[1:]), affine_of(image))
    seen = image if isinstance(image, MetaTensor) else MetaTensor(image)
    return Scene(seen[None], grid, plain(image), grid, grid.affine, digest)


def _there(path: Path) -> Path:
    if not path.is_file():
        raise ValueError("the image: there is no such file.")
    return path


def _pixels(loaded: MetaTensor, stored: Tensor) -> NDArray[np.float64]:
    """Where the pixels (row, column) of a picture lie in the world of the reader that loaded it, which may have turned
    it: MONAI's puts columns first."""
    spatial = tuple(int(length) for length in loaded.meta["spatial_shape"])[:2]
    flat = plain(loaded).float()
    if flat.ndim == 3:
        flat = flat.mean(2 if tuple(flat.shape[:2]) == spatial else 0)
    ways = {True: flat.T, False: flat}
    target = stored.mean(0)
    distances = {
        turned: float((_stretched(way) - _stretched(target)).abs().mean())
        for turned, way in ways.items()
        if way.shape == target.shape
    }
    if not distances:
        raise ValueError(
            f"the bundle reads a picture of {spatial}, which is stored as {tuple(target.shape)}: how its pixels lie is "
            "not known."
        )
    turned = min(distances, key=lambda way: distances[way])
    order = [1, 0, 2, 3] if turned else [0, 1, 2, 3]
    return affine_of(loaded) @ np.eye(4)[order]


def _stretched(values: Tensor) -> Tensor:
    return (values - values.min()) / (values.max() - values.min()).clamp(min=1e-12)


def _correlation(first: Tensor, second: Tensor) -> float:
    both = torch.stack([first.flatten(), second.flatten()]).double()
    both = both - both.mean(1, keepdim=True)
    scale = both.norm(dim=1).prod()
    return float((both[0] * both[1]).sum() / scale) if scale > 0 else 1.0
