# SPDX-License-Identifier: Apache-2.0
"""An item as files that readers of pictures take: a DICOM study becomes its radiograph, a phantom is rendered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monai_causal.cohort.items import Item
from monai_causal.data.phantoms import shapes

__all__ = ["picture_of"]

_WHITE = 65535


def picture_of(item: Item, scratch: Path) -> tuple[Path, Path | None]:
    """The files of an item's image and of its label, if it has one.

    Args:
        item: with an ``image``, a ``study`` or a ``phantom``.
        scratch: folder for files that have to be made.

    Raises:
        ValueError: the item has none of them, or it cannot be read.
    """
    files = item.files()
    label = files.get("label")
    if "image" in files:
        return files["image"], label
    path = scratch / f"{item.name}.png"
    if "study" in files:
        from monai_causal.apps.medfocus.attribute_case import read_radiograph

        read = read_radiograph(files["study"])
        _write(path, np.asarray(getattr(read, "pixels", read)))
        return path, label
    if "phantom" not in item.content:
        raise ValueError("the item names no image, study or phantom.")
    options: dict[str, Any] = dict(item.content.get("options", {}))
    if "size" in options:
        options["size"] = tuple(options["size"])
    phantom = shapes(int(item.content["phantom"]), **options)
    if phantom.image.ndim != 3:
        raise ValueError(f"size={options.get('size')}: phantoms of a cohort are pictures: give rows and columns.")
    _write(path, phantom.image[0])
    label = scratch / f"{item.name}-label.png"
    Image.fromarray(np.asarray(phantom.labels, dtype=np.uint8)).save(label)
    return path, label


def _write(path: Path, grey: NDArray[Any]) -> None:
    Image.fromarray(np.rint(_WHITE * np.clip(grey, 0, 1)).astype(np.uint16)).save(path)
