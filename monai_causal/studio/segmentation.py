# SPDX-License-Identifier: Apache-2.0
"""A segmentation to ask about, without any page: picture, answer, RoI and settings in, a stream of results out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from monai_causal.apps.explain.methods import METHODS
from monai_causal.apps.explain.models import DEMO
from monai_causal.apps.explain.opened import edges, open_image
from monai_causal.apps.explain.request import Request
from monai_causal.apps.explain.run import Explanation, ask, donors_of
from monai_causal.intervene import BlurFill, ConstantFill, Fill, InpaintFill, MeanFill, grid_regions
from monai_causal.intervene.regions import Box, check_box
from monai_causal.studio.numbered import next_folder
from monai_causal.studio.watching import Look, Watched

__all__ = ["DONORS", "NOTHING", "Part", "Placed", "SegmentationSession", "Settings", "Stage"]

NOTHING = -1
"""In a segmentation: no class."""
DONORS = "donors"
_OTHER_FILLS: dict[str, tuple[Callable[[], Fill], str]] = {
    "inpaint": (InpaintFill, "the smooth continuation of their surroundings with texture of the same image"),
    "mean": (MeanFill, "the image's mean"),
    "blur": (BlurFill, "a blur of the image over 8 voxels"),
    "zero": (ConstantFill, "zero"),
}
_COARSER = (4, 2, 1)
_GRIDS = {"dea": 14, "ria": 14, "kernel-shap": 8}
_PARTS = 50


@dataclass(frozen=True)
class Settings:
    """How to ask.

    Attributes:
        method: one of :data:`~monai_causal.apps.explain.methods.METHODS`.
        fill: what PdCR replaces regions by: one of :attr:`SegmentationSession.fills`.
        patch_size: edge of PdCR's regions, in voxels of the network's image.
        seed: of every draw.
    """

    method: str = "pdcr"
    fill: str = "inpaint"
    patch_size: int = 8
    seed: int = 0


@dataclass(frozen=True)
class Part:
    """A connected part of the segmentation: its class, its voxels, the box around it, in the stored image's order."""

    class_idx: int
    voxels: int
    box: Box


@dataclass(frozen=True, eq=False)
class Placed:
    """A region where it lies on the stored image, with what replacing it did."""

    name: str
    box: Box
    effect: float
    low: float
    high: float
    draws: int
    relevant: bool


@dataclass(frozen=True, eq=False)
class Stage:
    """One result of several, coarse to fine; each is complete and stands for itself.

    Attributes:
        number, count: which of how many.
        patch: edges of its regions or cells in words; empty for a method that has none.
        explanation: the answer.
    """

    number: int
    count: int
    patch: str
    explanation: Explanation

    @property
    def map(self) -> NDArray[np.float64]:
        """``(*spatial)``, on the stored image."""
        return self.explanation.map.double().numpy()

    @property
    def signed(self) -> bool:
        """Whether negative values support and positive ones suppress."""
        return METHODS[self.explanation.summary["method"]].signed

    @cached_property
    def regions(self) -> tuple[Placed, ...]:
        """PdCR's regions on the stored image; none for other methods, whose map says everything."""
        result, scene = self.explanation.found.result, self.explanation.opened.scene
        if result is None:
            return ()
        numbers = result.to_map(torch.arange(1.0, len(result.ate) + 1))[0, 0].to(torch.int32)
        places = ndimage.find_objects(scene.back(numbers).numpy(), len(result.ate))
        bounds = result.interval().tolist()
        rows = zip(
            result.regions.names,
            places,
            result.ate.tolist(),
            bounds,
            result.draws.tolist(),
            result.relevant.tolist(),
            strict=True,
        )
        return tuple(
            Placed(name, tuple((span.start, span.stop) for span in place), effect, low, high, draws, relevant)
            for name, place, effect, (low, high), draws, relevant in rows
            if place is not None  # it lies between the stored image's voxels, or beyond it
        )


class SegmentationSession:
    """One image, one model, and any number of questions.

    Args:
        request: names image and model; what it asks is changed by every question.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.opened = open_image(request)
        self.scene = self.opened.scene

    @property
    def picture(self) -> NDArray[np.float32]:
        """``(C, *spatial)`` in [0, 1], as it was stored."""
        return self.scene.stored.float().numpy()

    @property
    def voxel(self) -> tuple[float, ...]:
        """Edges of a voxel of the stored image, in its own unit of length."""
        lengths = np.sqrt((self.scene.affine[:3, :3] ** 2).sum(0))
        return tuple(float(edge) if edge > 0 else 1.0 for edge in lengths[: len(self.scene.own.shape)])

    @cached_property
    def segmentation(self) -> NDArray[np.int64]:
        """The network's own answer on the stored image: the class of each voxel, or :data:`NOTHING`."""
        output, model = self.opened.output, self.opened.model
        of_their_own = output.shape[1] == 1 or model.activation == "sigmoid"  # channel 0 is a class, no background
        found = np.full(self.scene.own.shape, NOTHING, dtype=np.int64)
        for number in range(0 if of_their_own else 1, output.shape[1]):
            found[self.scene.back(self.opened.answer(number).to(torch.uint8)).numpy() > 0] = number
        return found

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Connected parts of all classes, the largest first, at most fifty."""
        found = []
        for number in np.unique(self.segmentation[self.segmentation != NOTHING]).tolist():
            labels, count = ndimage.label(self.segmentation == number)
            sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:].tolist()
            boxes = [tuple((span.start, span.stop) for span in place) for place in ndimage.find_objects(labels)]
            found += [Part(number, size, box) for size, box in zip(sizes, boxes, strict=True)]
        return tuple(sorted(found, key=lambda part: (-part.voxels, part.box))[:_PARTS])

    @property
    def fills(self) -> tuple[str, ...]:
        """What PdCR can replace regions by here, the command's own choice first."""
        given = self.request.bank is not None or self.request.donors is not None or self.request.network == DEMO
        return (DONORS, *_OTHER_FILLS) if given else tuple(_OTHER_FILLS)

    def box_at(self, voxel: tuple[int, ...], size: int) -> Box:
        """A box of ``size`` voxels per axis around a voxel of the stored image, moved so that it lies inside."""
        self._check(voxel)
        found = []
        for place, length in zip(voxel, self.scene.own.shape, strict=True):
            edge = min(size, length)
            start = min(max(place - edge // 2, 0), length - edge)
            found.append((start, start + edge))
        return tuple(found)

    def part_at(self, voxel: tuple[int, ...]) -> Part:
        """The connected part of the segmentation that a voxel of the stored image belongs to."""
        self._check(voxel)
        number = int(self.segmentation[voxel])
        if number == NOTHING:
            raise ValueError("nothing is segmented at this place: choose one inside the colour, or ask about a box.")
        labels, _ = ndimage.label(self.segmentation == number)
        inside = labels == labels[voxel]
        (place,) = ndimage.find_objects(inside.astype(np.int8))
        return Part(number, int(inside.sum()), tuple((span.start, span.stop) for span in place))

    def class_in(self, box: Box) -> int | None:
        """The class that a question about a box is about: the one that it holds most of; ``None``: there is but one."""
        check_box(box, self.scene.own.shape, "the RoI")
        inside = self.segmentation[tuple(slice(*span) for span in box)]
        held = inside[inside != NOTHING]
        if not held.size:
            raise ValueError("nothing is segmented inside this box: choose one on the colour, or on its border.")
        return None if self.opened.output.shape[1] == 1 else int(np.bincount(held).argmax())

    def explain(self, roi: Box, settings: Settings, look: Look = lambda: None) -> Iterator[Stage]:
        """Answer coarse to fine: with four and two times the patch size first, where that leaves anything to ask.

        Args:
            roi: half-open spans in the stored image's own array order.
            settings: how to ask.
            look: see :data:`~monai_causal.studio.watching.Look`.
        """
        requests = self._coarse_to_fine(self._asked(roi, settings), roi)
        for number, request in enumerate(requests, 1):
            look()
            replaced = None
            if request.method == "pdcr":
                fill, record = self._fill(request, settings.fill)
                replaced = (Watched(fill, look), record)
            yield Stage(number, len(requests), _patch(request), ask(self.opened, request, replaced))

    def save(self, stage: Stage, out: Path) -> Path:
        """Write what ``monai-causal explain`` writes into the next free folder below ``out``."""
        folder = next_folder(out, stage.explanation.summary["method"])
        stage.explanation.write(folder)
        return folder

    def _check(self, voxel: tuple[int, ...]) -> None:
        shape = self.scene.own.shape
        if len(voxel) != len(shape) or not all(0 <= at < length for at, length in zip(voxel, shape, strict=True)):
            raise ValueError(f"voxel {voxel} is not in an image of {shape}.")

    def _asked(self, roi: Box, settings: Settings) -> Request:
        if settings.fill not in self.fills:
            raise ValueError(f"fill={settings.fill!r}: one of {', '.join(self.fills)}.")
        if settings.patch_size < 1:
            raise ValueError(f"patch size {settings.patch_size}: a whole number of voxels from 1.")
        asked = replace(
            self.request,
            method=settings.method,
            roi=roi,
            class_idx=self.class_in(roi),
            patch_size=(settings.patch_size,),
            seed=settings.seed,
        )
        if settings.method == "pdcr" and settings.fill != DONORS:
            # A fill that leaves nothing to chance is asked about once.
            once = _OTHER_FILLS[settings.fill][0]().distinct_draws is not None
            return replace(asked, bank=None, donors=None, rule="exhaustive" if once else asked.rule)
        return asked if settings.method == "pdcr" else replace(asked, bank=None, donors=None)

    def _coarse_to_fine(self, request: Request, roi: Box) -> list[Request]:
        shape = self.scene.grid.shape
        if request.method in _GRIDS:
            cells = 4 if request.method == "kernel-shap" and len(shape) == 3 else _GRIDS[request.method]
            grids = [tuple(max(1, min(cells // by, length)) for length in shape) for by in _COARSER]
            return [replace(request, grid=grid) for grid in dict.fromkeys(grids)]
        if request.method != "pdcr":
            return [request]
        place = self.scene.roi(roi)
        finest = edges(request.patch_size, 8, len(shape), "patch-size")
        sizes = [tuple(min(by * edge, length) for edge, length in zip(finest, shape, strict=True)) for by in _COARSER]
        worth = [size for size in dict.fromkeys(sizes[:-1]) if (~grid_regions(shape, size).touches(place)).any()]
        return [replace(request, patch_size=size) for size in dict.fromkeys([*worth, finest])]

    def _fill(self, request: Request, name: str) -> tuple[Fill, dict[str, Any]]:
        if name == DONORS:
            assert request.patch_size is not None
            return donors_of(request, self.opened, request.patch_size)
        make, said = _OTHER_FILLS[name]
        return make(), {"kind": said}


def _patch(request: Request) -> str:
    sizes = request.patch_size if request.method == "pdcr" else request.grid if request.method in _GRIDS else None
    if sizes is None:
        return ""
    return f"{' x '.join(map(str, sizes))} {'voxels' if request.method == 'pdcr' else 'cells'}"
