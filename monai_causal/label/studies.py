# SPDX-License-Identifier: Apache-2.0
"""An image of a datastore on its two grids: as a bundle's network sees it, and as a client lays labels on it.

Clients read with ITK: of a picture the columns come first, then the rows, and a DICOM series that the server turned
into NIfTI lies so too. In the package pictures are rows before columns. This is the one place that knows both.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from monai_causal.apps.explain.bundles import Bundle
from monai_causal.apps.explain.grids import resample
from monai_causal.apps.explain.scenes import Scene, bundle_scene
from monai_causal.data.readers import PICTURES, VOLUMES, read_label
from monai_causal.extras import require
from monai_causal.intervene.regions import Box

__all__ = ["Study", "open_study", "prepared"]

# How ITK places the pixels of a picture, in NIfTI's world: indices are millimetres to the left and to the back.
_ITK = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Study:
    """One image, for one bundle.

    Attributes:
        scene: on the network's grid, and the way back to its own, in array order.
        picture: whether a client sees a picture, without a place in the world.
        turned: whether clients have columns before rows, as of all flat images.
        shape: of the label maps that clients exchange; a flat image may have a third axis of one slice.
        affine: ``(4, 4)``, of these.
        notes: what did not go the straight way.
    """

    scene: Scene
    picture: bool
    turned: bool
    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    notes: tuple[str, ...]

    def for_client(self, values: Tensor) -> NDArray[Any]:
        """What lies on the image, as clients have it: ``shape``."""
        array = values.cpu().numpy()
        return np.ascontiguousarray(array.T if self.turned else array).reshape(self.shape)

    def label(self, path: Path) -> Tensor:
        """A label map of a client, a file that lies on the image, on the network's grid ``(*spatial)``."""
        return resample(self.label_on_image(path), self.scene.own, self.scene.grid)

    def label_on_image(self, path: Path) -> Tensor:
        """The same on the image's own grid, in array order."""
        values = self._read(path)
        if tuple(values.shape) != self.scene.own.shape:
            raise ValueError(
                f"the label is {tuple(values.shape)}, the image {self.scene.own.shape}: it is that of another image."
            )
        return values

    def _read(self, path: Path) -> Tensor:
        name = path.name.lower()
        if name.endswith(PICTURES):
            return read_label(path, name="the label")
        if name.endswith(VOLUMES):
            values = read_label(path, name="the label").numpy()
        elif name.endswith(".nrrd"):
            itk = require("itk")
            values = np.asarray(itk.array_from_image(itk.imread(str(path)))).T.astype(np.int64)
        else:
            known = ", ".join((*PICTURES, *VOLUMES, ".nrrd"))
            raise ValueError(f"the label is a {path.suffix!r}; what can be read: {known}.")
        if self.turned:
            values = values.reshape(values.shape[:2]) if values.ndim == 3 and values.shape[2] == 1 else values
            values = values.T
        return torch.from_numpy(np.ascontiguousarray(values))

    def box_on_image(self, box: Box) -> list[list[int]]:
        """A box of the network's grid in voxels of the image, in array order, cut at its border."""
        scene = self.scene
        if scene.grid.same_as(scene.own):
            return [list(span) for span in box]
        axes = len(box)
        between = np.linalg.inv(scene.own.affine) @ scene.grid.affine
        # A voxel's index is its middle: the box begins half a voxel before its first one.
        ends = np.stack([np.asarray(box, dtype=float)[:, side] - 0.5 for side in (0, 1)])
        corners = np.stack(np.meshgrid(*ends.T, indexing="ij"), -1).reshape(-1, axes)
        placed = corners @ between[:axes, :axes].T + between[:axes, 3] + 0.5
        low, high = np.rint(placed.min(0)), np.rint(placed.max(0))
        return [
            [int(min(max(start, 0), length)), int(min(max(stop, 0), length))]
            for start, stop, length in zip(low, high, scene.own.shape, strict=True)
        ]


def open_study(path: Path, bundle: Bundle, axes: int) -> Study:
    """Read an image as a bundle does.

    Args:
        path: a picture, or a NIfTI file, such as the server makes of a DICOM series.
        bundle: whose pre-processing brings the image to its network.
        axes: that its network sees; of 2 a volume must have one slice, which becomes a picture for it.
    """
    name = path.name.lower()
    if path.is_dir():
        raise ValueError(
            "the image is a folder of DICOM files: let the server turn series into NIfTI "
            "(MONAI_LABEL_DICOMWEB_CONVERT_TO_NIFTI=true, which is the default)."
        )
    if name.endswith(PICTURES):
        scene = bundle_scene(path, bundle)
        return Study(scene, True, True, scene.own.shape[::-1], _ITK, tuple(scene.notes))
    if not name.endswith(VOLUMES):
        raise ValueError(f"the image is a {path.suffix!r}; what can be read: {', '.join((*PICTURES, *VOLUMES))}.")
    if axes == 3:
        scene = bundle_scene(path, bundle)
        return Study(scene, False, False, scene.own.shape, scene.affine, tuple(scene.notes))
    with tempfile.TemporaryDirectory() as folder:
        flat, shape, affine = _slice(path)
        picture = Path(folder) / "slice.png"
        # A bundle for colours need not know what to do with a grey file.
        coloured = np.stack([flat] * 3, axis=-1) if bundle.model.channels == 3 else flat
        Image.fromarray(coloured).save(picture)
        scene = bundle_scene(picture, bundle)
    note = "the bundle reads pictures: the slice's smallest and largest value became black and white"
    return Study(scene, False, True, shape, affine, (*scene.notes, note))


def prepared(path: Path, bundle: Bundle, axes: int) -> Tensor:
    """An image as a bundle's network gets it ``(C, *spatial)``, to cut donors from."""
    return open_study(path, bundle, axes).scene.image[0]


def _slice(path: Path) -> tuple[NDArray[np.uint8], tuple[int, ...], NDArray[np.float64]]:
    """The one slice of a NIfTI file as grey values (rows, columns), the file's shape and its affine."""
    try:
        volume: Any = nib.load(path)
        values = np.asarray(volume.dataobj)
    except (OSError, EOFError, ValueError, ImageFileError) as error:
        raise ValueError(f"the image cannot be read ({type(error).__name__}): it is missing or damaged.") from None
    shape = tuple(int(length) for length in values.shape)
    if values.dtype.names or len(shape) < 2 or any(length != 1 for length in shape[2:]):
        raise ValueError(f"the image is {shape}: a network for flat images needs one grey slice, (columns, rows, 1).")
    flat = values.reshape(shape[:2]).astype(np.float64)
    if not np.isfinite(flat).all():
        raise ValueError("the image holds NaN or infinite values: it cannot be shown to a network.")
    low, high = flat.min(), flat.max()
    grey = np.rint(255 * (flat - low) / (high - low if high > low else 1.0)).astype(np.uint8)
    return np.ascontiguousarray(grey.T), shape, volume.affine
