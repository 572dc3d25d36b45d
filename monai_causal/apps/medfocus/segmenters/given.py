# SPDX-License-Identifier: Apache-2.0
"""Masks that somebody else has made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from monai_causal.apps.medfocus.concepts import Vocabulary, chest_vocabulary
from monai_causal.apps.medfocus.segmenters.base import Image, Mask, Segmented

__all__ = ["GivenMasks"]


class GivenMasks:
    """Answers every image with the same masks; the image must have their size.

    Args:
        masks: by concept or a synonym of it, (H, W), bool or 0 and 1.
        vocabulary: whose concepts they are.

    Example:
        >>> given = GivenMasks({"Heart": np.eye(32)})
        >>> list(given(np.zeros((32, 32), np.float32)).masks)
        ['cardiac silhouette']
    """

    name = "given masks"

    def __init__(self, masks: Mapping[str, Any], vocabulary: Vocabulary | None = None) -> None:
        vocabulary = vocabulary or chest_vocabulary()
        self.masks: dict[str, Mask] = {}
        for label, values in masks.items():
            concept = vocabulary.find(label)
            if concept is None:
                raise ValueError(f"masks: {label!r} is no concept of the {vocabulary.name}.")
            if concept in self.masks:
                raise ValueError(f"masks: {label!r} is a second one of {concept!r}; unite them first.")
            array = np.asarray(values)
            if array.ndim != 2 or not np.isin(array, (0, 1)).all():
                raise ValueError(f"the mask of {label!r}, {array.shape} {array.dtype}: give (H, W) of 0 and 1.")
            self.masks[concept] = array.astype(bool)
        if len({mask.shape for mask in self.masks.values()}) != 1:
            raise ValueError("masks: give at least one, and all of one shape.")

    def __call__(self, image: Image) -> Segmented:
        """The masks, with confidence 1 where they hold anything."""
        shape = next(iter(self.masks.values())).shape
        if image.shape != shape:
            raise ValueError(f"the given masks are {shape}, the image is {image.shape}: they must be the same.")
        return Segmented(self.masks, {name: float(mask.any()) for name, mask in self.masks.items()}, (self.name,))
