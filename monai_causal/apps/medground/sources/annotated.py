# SPDX-License-Identifier: Apache-2.0
"""Images in files with boxes that experts drew: what all data sets on disk have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from monai_causal.apps.medground.candidates import Candidate, Case, Corners, Pixels, Source
from monai_causal.apps.medground.sources.listing import Listing

__all__ = ["Annotated", "AnnotatedSource", "read_pixels"]

DICOM = (".dcm", ".dicom")
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Annotated:
    """One image with what was said about it.

    Args:
        name: of the image in its data set; records call it by a digest.
        path: of its file.
        findings: by name the boxes, ``x0, y0, x1, y1``, of those that are there.
        absent: findings that are not there.
        fractions: the boxes are fractions of the image's width and height, not pixels.
    """

    name: str
    path: Path
    findings: Mapping[str, Sequence[Box]]
    absent: Sequence[str] = ()
    fractions: bool = False


@dataclass(frozen=True, eq=False)
class AnnotatedSource(Source):
    """A list of annotated images.

    Args:
        name: of the data set.
        images: in a fixed order.
        attributes: what questions call a finding, where its name does not do.
        concepts: by finding the anatomy that shows it, where that is known.
        about: what else identifies the content, for records.
        seed: of the draw of questions about what is not there.
    """

    name: str
    images: Sequence[Annotated]
    attributes: Mapping[str, str] = field(default_factory=dict)
    concepts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    @property
    def record(self) -> dict[str, Any]:
        said = [
            [one.name, {name: list(map(list, boxes)) for name, boxes in one.findings.items()}] for one in self.images
        ]
        digest = hashlib.sha256(repr([said, dict(self.attributes)]).encode()).hexdigest()[:16]
        return {"source": self.name, "images": len(self.images), "annotations": digest, "seed": self.seed, **self.about}

    def cases(self, count: int | None, negatives: float) -> Iterator[Case]:
        listing = Listing(count, negatives)
        for number, image in enumerate(self.images):
            if listing.full:
                return
            asked = listing.ask(list(image.findings), list(image.absent), [self.seed, number])
            candidates = [
                Candidate(
                    index,
                    name,
                    self.attributes.get(name, name.lower()),
                    positive,
                    concepts=tuple(self.concepts.get(name, ())) if positive else (),
                )
                for index, name, positive in asked
            ]
            if candidates:
                yield _FileCase(f"{self.name}-{_digest(image.name)}", image, candidates, number)


class _FileCase(Case):
    def __init__(self, name: str, image: Annotated, candidates: Sequence[Candidate], number: int) -> None:
        super().__init__(name, candidates)
        self.image, self.number = image, number
        self._pixels: Pixels | None = None

    def pixels(self) -> Pixels:
        if self._pixels is None:
            self._pixels = read_pixels(self.image.path, f"image {self.number}")
        return self._pixels

    def located(self, candidate: Candidate) -> Candidate:
        if not candidate.positive:
            return candidate
        height, width = self.pixels().shape
        across, down = (width, height) if self.image.fractions else (1, 1)
        boxes = []
        for x0, y0, x1, y1 in self.image.findings[candidate.finding]:
            box = (
                max(0, int(np.floor(x0 * across))),
                max(0, int(np.floor(y0 * down))),
                min(width, int(np.ceil(x1 * across))),
                min(height, int(np.ceil(y1 * down))),
            )
            if box[0] < box[2] and box[1] < box[3]:
                boxes.append(box)
        if not boxes:
            raise ValueError(f"no box of {candidate.finding} lies on the image of {width} x {height} pixels")
        return Candidate(
            candidate.index, candidate.finding, candidate.attribute, True, tuple(_merged(boxes)), candidate.concepts
        )


def read_pixels(path: Path, item: str = "the image") -> Pixels:
    """A picture or a DICOM image as 8 bits of grey; deeper pictures are stretched from darkest to brightest.

    Args:
        path: of the file.
        item: what an error calls it; file names may hold names of patients.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{item}: its file is not there")
    if path.suffix.lower() in DICOM:
        from monai_causal.dicom import read_projection

        return np.rint(255 * np.asarray(read_projection(path).pixels, dtype=np.float64)).astype(np.uint8)
    with Image.open(path) as picture:
        if picture.mode in ("I;16", "I;16B", "I", "F"):
            grey = np.asarray(picture, dtype=np.float64)
            low, high = float(grey.min()), float(grey.max())
            return (
                np.rint(255 * (grey - low) / (high - low)).astype(np.uint8)
                if high > low
                else np.zeros_like(grey, np.uint8)
            )
        return np.asarray(picture.convert("L"), dtype=np.uint8)


def _merged(boxes: Sequence[Corners]) -> list[Corners]:
    """Each box once: several readers drew the same."""
    return list(dict.fromkeys(boxes))


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:12]
