# SPDX-License-Identifier: Apache-2.0
"""Pictures, volumes and their labels as tensors in array order.

A picture is read with PIL and stays (C, rows, columns); MONAI's own reader of pictures turns it to (C, columns, rows),
so that a box or a map in array order would not lie on it. A volume is read with nibabel in its stored axis order, as
MONAI does, and keeps its affine.

Nothing here names a file: an item is named by its index, because file names may hold names of patients.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import nibabel as nib
import numpy as np
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from monai.transforms.utils import scale_affine
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.io import loadmat
from scipy.io.matlab import MatReadError
from torch import Tensor

__all__ = [
    "PICTURES",
    "VOLUMES",
    "LabelType",
    "Polygons",
    "ReadError",
    "read_image",
    "read_label",
    "read_pair",
    "target_class",
]

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
VOLUMES = (".nii", ".nii.gz")
GREY_MODES = {"L": 255, "I;16": 65535, "I;16B": 65535, "I": 65535}  # PIL's mode and the value of its white
IGNORE = 255

LabelType: TypeAlias = Literal["binary", "indices", "auto"]
Source: TypeAlias = "str | os.PathLike[str] | NDArray[Any] | Tensor"


class ReadError(ValueError):
    """A file that cannot be read, or is not what its item says."""


@dataclass(frozen=True)
class Polygons:
    """A label that is drawn: 1 within any of the outlines, 0 elsewhere.

    A corner lies in the pixel that holds it, where pixel k of an axis covers k to k + 1; the pixels of the outline
    belong to the area. What lies beyond the picture's border is cut.

    >>> square = Polygons((((1.0, 0.0), (2.9, 0.0), (2.9, 1.5), (1.0, 1.5)),), size=(3, 4))
    >>> read_label(square).tolist()
    [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """

    outlines: tuple[tuple[tuple[float, float], ...], ...]
    """the corners (x, y) of each area, x along the columns"""
    size: tuple[int, int] | str | os.PathLike[str]
    """rows and columns, or the picture whose size it has"""


def read_pair(
    item: Mapping[str, Any],
    size: int | Sequence[int] | None = None,
    classes: Sequence[int] | None = None,
    *,
    window: tuple[float, float] | None = None,
) -> tuple[Tensor, Tensor]:
    """The image and the label of an item of :func:`monai_causal.data.datasets.load_dataset`.

    Args:
        item: a dictionary with ``image`` and ``label`` (paths or arrays), and ``label_type`` and ``index`` if known.
        size: resize to this, one number for all axes or one per axis, in voxels; the paper's 224 for VOC, for example.
        classes: label values that become 1, 2, ... in this order; all others become 0, and 255 (ignore) stays.
        window: intensities that become 0 and 1, for volumes; see :func:`read_image`.

    Returns:
        Image (C, \\*spatial), float32 in [0, 1], and label (\\*spatial), int64. Of a volume the image is a MetaTensor.

    >>> from monai_causal.data.datasets import load_dataset
    >>> image, label = read_pair(load_dataset("phantom", count=1)[0], size=(64, 96))
    >>> tuple(image.shape), tuple(label.shape)
    ((1, 64, 96), (64, 96))
    """
    name = f"item {item.get('index', '(no index)')}"
    if item.get("label") is None:
        raise ReadError(f"{name} has no label: leave it out, or read its image alone with read_image.")
    image = read_image(item["image"], name=name, window=window)
    label = read_label(item["label"], classes=classes, label_type=item.get("label_type", "auto"), name=name)
    if image.shape[1:] != label.shape:
        raise ReadError(
            f"{name}: the image is {tuple(image.shape[1:])} and its label {tuple(label.shape)}: "
            "they must be of the same size."
        )
    return _resized_image(image, size), _resized_label(label, size)


def read_image(
    source: Source | Sequence[Source],
    size: int | Sequence[int] | None = None,
    *,
    window: tuple[float, float] | None = None,
    name: str = "image",
) -> Tensor:
    """An image (C, \\*spatial), float32.

    Pictures: grey has one channel and colour three, whatever the file's mode, scaled by their white to [0, 1]. Volumes:
    ``window`` says which intensities become 0 and 1, those beyond are cut; without it each channel's own minimum and
    maximum. Arrays are taken as they are. A sequence of files gives their channels in this order.

    Args:
        source: a picture, a NIfTI volume, an array (C, \\*spatial), or a sequence of these.
        size: resize to this (bilinear, with antialiasing along every axis that shrinks); the affine follows.
        window: (low, high), in the volume's own unit.
        name: what an error calls the image; never its path.
    """
    if isinstance(source, Sequence) and not isinstance(source, str):
        parts = [read_image(part, window=window, name=name) for part in source]
        if len({part.shape[1:] for part in parts}) != 1:
            raise ReadError(f"{name}: its files have sizes {[tuple(part.shape[1:]) for part in parts]}; one is needed.")
        return _resized_image(torch.cat(parts), size)
    if not isinstance(source, (str, os.PathLike)):
        return _resized_image(_float32(source), size)
    suffix = _suffix(source)
    if suffix in PICTURES:
        image: Tensor = torch.from_numpy(_picture(source, name))
    elif suffix in VOLUMES:
        values, affine = _volume(source, name)
        channels = np.moveaxis(values, -1, 0) if values.ndim == 4 else values[None]
        image = MetaTensor(torch.from_numpy(_scaled(channels, window, name)), affine=torch.from_numpy(affine))
    else:
        raise _unknown(suffix, PICTURES + VOLUMES, name)
    return _resized_image(image, size)


def read_label(
    source: Source | Polygons,
    size: int | Sequence[int] | None = None,
    classes: Sequence[int] | None = None,
    *,
    label_type: LabelType = "auto",
    name: str = "image",
) -> Tensor:
    """A label map (\\*spatial), int64.

    Args:
        source: a picture, a NIfTI volume, a ``.mat`` file of the Semantic Boundaries Dataset, polygons, or an array
            (\\*spatial).
        size: resize to this (nearest neighbour).
        classes: label values that become 1, 2, ... in this order; all others become 0, and 255 (ignore) stays.
        label_type: of a picture: ``"binary"``: background and foreground, whether stored as 0 and 1, 0 and 255 or a
            JPEG near these; ``"indices"``: its values, or its palette's indices, are the classes; ``"auto"``: binary
            if it is a JPEG or holds no values but 0 and 255, otherwise indices.
        name: what an error calls the image; never its path.
    """
    if label_type not in ("binary", "indices", "auto"):
        raise ValueError(f"label_type={label_type!r}: choose 'binary', 'indices' or 'auto'.")
    if isinstance(source, (str, os.PathLike)):
        suffix = _suffix(source)
        if suffix in PICTURES:
            values = _picture_label(source, label_type, name)
        elif suffix in VOLUMES:
            values = _volume(source, name)[0]
            values = values[..., 0] if values.ndim == 4 and values.shape[-1] == 1 else values
        elif suffix == ".mat":
            values = _boundaries_label(source, name)
        else:
            raise _unknown(suffix, (*PICTURES, *VOLUMES, ".mat"), name)
    elif isinstance(source, Polygons):
        values = _drawn(source, name)
    else:
        values = np.asarray(source)
    whole = values.astype(np.int64)
    if values.dtype.kind == "f" and not np.array_equal(whole, values):
        raise ReadError(f"{name}: its label holds fractions such as {values[whole != values][0]}; classes are whole.")
    return _resized_label(torch.from_numpy(_chosen(whole, classes)), size)


def target_class(label: Tensor | NDArray[Any], ignore: int | None = 255) -> int:
    """The most frequent foreground class of a label map, the lower one if two are as frequent.

    >>> target_class(torch.tensor([[0, 0, 7], [3, 3, 255], [0, 7, 255]]))
    3
    """
    values, counts = np.unique(np.asarray(label), return_counts=True)
    foreground = values != 0 if ignore is None else (values != 0) & (values != ignore)
    if not foreground.any():
        raise ValueError("the label has no foreground: leave the image out, or name the class that is meant.")
    return int(values[foreground][np.argmax(counts[foreground])])


def suffixless(path: Path) -> str:
    """The name of a file without what its format adds, ``.nii.gz`` included."""
    return path.name[: len(path.name) - len(_suffix(path))]


def _suffix(path: str | os.PathLike[str]) -> str:
    name = Path(path).name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def _picture(path: str | os.PathLike[str], name: str) -> NDArray[np.float32]:
    with _opened(path, name) as picture:
        if picture.mode == "F":
            raise ReadError(f"{name} holds floating-point pixels without a scale: store it as NIfTI.")
        if picture.mode in ("LA", "1"):
            picture = picture.convert("L")
        white = GREY_MODES.get(picture.mode)
        values = np.asarray(picture if white else picture.convert("RGB"), dtype=np.float32) / (white or 255)
    return np.ascontiguousarray(values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0))


def _picture_label(path: str | os.PathLike[str], label_type: LabelType, name: str) -> NDArray[Any]:
    with _opened(path, name) as picture:
        if picture.mode == "P":
            indices = np.asarray(picture)
            return indices > 0 if label_type == "binary" else indices
        lossy = picture.format == "JPEG"
        binary = label_type == "binary" or (label_type == "auto" and lossy)
        values = np.asarray(picture if picture.mode in GREY_MODES else picture.convert("L"))
        if not binary and picture.mode not in ("1", *GREY_MODES):
            coloured = np.asarray(picture.convert("RGB"))
            if (coloured != coloured[..., :1]).any():
                raise ReadError(f"{name}: its label is a colour picture; store classes as grey values or a palette.")
    if binary or (label_type == "auto" and np.isin(values, (0, 255)).all()):
        # 0 and 1 are classes already; a JPEG's 1 is noise around 0
        return values > (127 if lossy or values.max() > 1 else 0)
    return values


def _opened(path: str | os.PathLike[str], name: str) -> Image.Image:
    try:
        picture = Image.open(path)
        picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(error, name) from None
    return picture


def _volume(path: str | os.PathLike[str], name: str) -> tuple[NDArray[Any], NDArray[np.float64]]:
    try:
        volume: Any = nib.load(path)
        values = np.asanyarray(volume.dataobj)
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError) as error:
        raise _unreadable(error, name) from None
    if not 2 <= values.ndim <= 4:
        raise ReadError(f"{name} has {values.ndim} axes; a volume has two or three, and one more for its channels.")
    return values, volume.affine


def _boundaries_label(path: str | os.PathLike[str], name: str) -> NDArray[Any]:
    try:
        content = loadmat(path)
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise _unreadable(error, name) from None
    try:
        return np.asarray(content["GTcls"][0, 0]["Segmentation"])
    except (KeyError, IndexError, ValueError):
        raise ReadError(
            f"{name}: its .mat file holds no GTcls.Segmentation; give the files of the folder cls."
        ) from None


def _drawn(polygons: Polygons, name: str) -> NDArray[np.uint8]:
    if isinstance(polygons.size, (str, os.PathLike)):
        with _opened(polygons.size, name) as picture:
            columns, rows = picture.size
    else:
        rows, columns = polygons.size
    label = Image.new("L", (columns, rows))
    draw = ImageDraw.Draw(label)
    for number, outline in enumerate(polygons.outlines):
        corners = np.asarray(outline, dtype=np.float64)
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
            raise ReadError(f"{name}: outline {number} of its label is not a list of three or more finite (x, y).")
        pixels = np.floor(corners).astype(np.int64)
        if (pixels.max(axis=0) < 0).any() or (pixels.min(axis=0) >= (columns, rows)).any():
            raise ReadError(
                f"{name}: outline {number} of its label lies outside its picture of {rows} rows and {columns} columns."
            )
        draw.polygon([(int(x), int(y)) for x, y in pixels], fill=1)
    return np.asarray(label)


def _unreadable(error: Exception, name: str) -> ReadError:
    # the library's own message may hold the path
    return ReadError(f"{name} cannot be read ({type(error).__name__}): it is missing, damaged or of another format.")


def _unknown(suffix: str, known: Iterable[str], name: str) -> ReadError:
    return ReadError(f"{name} is a {suffix or 'file without suffix'!r}; what can be read: {', '.join(known)}.")


def _scaled(values: NDArray[Any], window: tuple[float, float] | None, name: str) -> NDArray[np.float32]:
    """Intensities (C, \\*spatial) brought to [0, 1] by the window, or channel by channel by their extremes."""
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise ReadError(f"{name} holds NaN or infinite values.")
    axes = tuple(range(1, values.ndim))
    low, high = window or (values.min(axes, keepdims=True), values.max(axes, keepdims=True))
    if window is not None and not low < high:
        raise ValueError(f"window={window}: give (low, high) with low below high.")
    width = np.where(np.greater(high, low), np.subtract(high, low), 1)  # a constant channel becomes 0
    scaled: NDArray[np.float32] = np.clip((values - low) / width, 0, 1).astype(np.float32)
    return scaled


def _float32(source: Any) -> Tensor:
    return (source if isinstance(source, Tensor) else torch.from_numpy(np.asarray(source))).float()


def _chosen(label: NDArray[np.int64], classes: Sequence[int] | None) -> NDArray[np.int64]:
    if classes is None:
        return label
    chosen = np.where(label == IGNORE, IGNORE, 0)
    for number, value in enumerate(classes, start=1):
        chosen[label == value] = number
    return chosen


def _sides(size: int | Sequence[int], axes: int) -> tuple[int, ...]:
    sides = (size,) * axes if isinstance(size, int) else tuple(size)
    if len(sides) != axes or min(sides) < 1:
        raise ValueError(f"size={size}: give one number above 0, or one for each of {axes} axes.")
    return sides


def _resized_image(image: Tensor, size: int | Sequence[int] | None) -> Tensor:
    """Bilinear with antialiasing, one axis after the other: torch has it for two axes, and it is separable."""
    if size is None:
        return image
    before = tuple(image.shape[1:])
    sides = _sides(size, len(before))
    values = image.as_tensor() if isinstance(image, MetaTensor) else image
    for axis, side in enumerate(sides, start=1):
        moved = values.movedim(axis, 1)
        rows = moved.flatten(2)[None]
        rows = F.interpolate(rows, (side, rows.shape[-1]), mode="bilinear", antialias=True, align_corners=False)[0]
        values = rows.unflatten(2, moved.shape[2:]).movedim(1, axis)
    values = values.contiguous()
    if not isinstance(image, MetaTensor):
        return values
    # a 2-D image has a 4x4 affine too, whose third axis stays
    scale = torch.eye(4, dtype=torch.float64)
    smaller = torch.as_tensor(scale_affine(before, sides))
    axes = len(sides)
    scale[:axes, :axes], scale[:axes, 3] = smaller[:axes, :axes], smaller[:axes, axes]
    return MetaTensor(values, affine=image.affine @ scale)


def _resized_label(label: Tensor, size: int | Sequence[int] | None) -> Tensor:
    """Nearest neighbour by the voxels' centres, in whole numbers."""
    if size is None:
        return label
    for axis, side in enumerate(_sides(size, label.ndim)):
        nearest = (2 * torch.arange(side) + 1) * label.shape[axis] // (2 * side)
        label = label.index_select(axis, nearest)
    return label
