# SPDX-License-Identifier: Apache-2.0
"""The image that a result is of. A result knows its image by a digest only, so it is found by that, never by a name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from monai_causal.apps.explain.scenes import phantom_scene
from monai_causal.apps.explain.weights import digest_of
from monai_causal.apps.medfocus.attribute_case import read_radiograph
from monai_causal.apps.medfocus.segmenter import as_image
from monai_causal.data.readers import PICTURES, VOLUMES, read_image

__all__ = ["BESIDE", "Originals", "read_volume"]

BESIDE = ("image.png", "image.nii.gz")
"""Names under which a result may keep its image beside itself."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Originals:
    """Images that a user gave for the page.

    Args:
        files: pictures, volumes, DICOM files or studies; each is shown where a result was made of it, and nowhere else.
    """

    files: tuple[Path, ...] = ()

    @classmethod
    def given(cls, files: Sequence[Path]) -> Originals:
        """Check that they are there; none is read before a result asks for one."""
        for place, path in enumerate(files, 1):
            if not path.exists():
                raise FileNotFoundError(f"image {place} of {len(files)}: there is no such file or folder.")
        return cls(tuple(files))

    def explained(self, folder: Path, digest: str, shape: Sequence[int]) -> Array | None:
        """What ``monai-causal explain`` was asked about: (C, \\*spatial) in [0, 1]; ``None`` where it is not known."""
        beside = _beside(folder)
        if beside is not None:
            return _of_shape(_read(beside), shape)
        for path in self.files:
            if path.is_file() and path.name.lower().endswith((*PICTURES, *VOLUMES)) and digest_of(path) == digest:
                return _of_shape(_read(path), shape)
        phantom = phantom_scene()
        return phantom.stored.double().numpy() if phantom.digest == digest else None

    def radiograph(self, folder: Path, pixels_sha256: str, size: Sequence[int]) -> Array | None:
        """What ``monai-causal medfocus attribute`` was asked about: (1, rows, columns) in [0, 1], or ``None``."""
        beside = _beside(folder)
        if beside is not None:
            return _of_shape(_read(beside).mean(0, keepdims=True), size)
        for path in self.files:
            if path.is_file() and path.name.lower().endswith(VOLUMES):
                continue
            grey, _, _ = as_image(read_radiograph(path))
            pixels = np.ascontiguousarray(grey, dtype=np.float32)
            if hashlib.sha256(pixels.tobytes()).hexdigest() == pixels_sha256:
                return pixels[None].astype(np.float64)
        return None


def _beside(folder: Path) -> Path | None:
    return next((folder / name for name in BESIDE if (folder / name).is_file()), None)


def _read(path: Path) -> Array:
    return np.asarray(read_image(path, name="the image"), dtype=np.float64)


def _of_shape(values: Array, shape: Sequence[int]) -> Array | None:
    """The image, if it is of the size that the result says; one slice counts as a picture."""
    found = values[..., 0] if values.ndim == len(shape) + 2 and values.shape[-1] == 1 else values
    return found if tuple(found.shape[1:]) == tuple(shape) else None


def read_volume(path: Path) -> tuple[Array, Array]:
    """A NIfTI file's values and its voxels' edges in millimetres.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        file: Any = nib.load(path)
        values = np.asarray(file.dataobj, dtype=np.float64)
        edges = np.sqrt((np.asarray(file.affine)[:3, :3] ** 2).sum(0))
    except Exception as error:  # nibabel raises whatever the file's bytes lead it to
        raise ValueError("it cannot be read as NIfTI.") from error
    return values, np.where(edges > 0, edges, 1.0)
