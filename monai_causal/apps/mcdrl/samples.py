# SPDX-License-Identifier: Apache-2.0
"""The images of a study: read once, at the size that a network sees, with their masks at their own resolution too."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from tqdm.auto import tqdm

from monai_causal.apps.mcdrl.views import Views

__all__ = ["Sample", "Store"]

IGNORE = 255


@dataclass(frozen=True, eq=False)
class Sample:
    """An image that can be read.

    Attributes:
        name: unlike any other's; no file name.
        site: the hospital, or what stands for it.
        group: what must stay together and counts as one in statistics; no name of a patient.
        condition: what a picture may be coloured by: the site, or a phantom's confounder.
        read: image ``(C, H, W)`` in [0, 1] and label ``(H, W)``, 0 the background.
    """

    name: str
    site: str
    group: str
    condition: str
    read: Callable[[], tuple[Tensor, Tensor]]


class Held(NamedTuple):
    """What is kept of an image: small, 8 bits deep as pictures are."""

    image: Tensor
    label: Tensor
    truth: bytes
    shape: tuple[int, int]


class Store:
    """Reads images when they are first asked for, and keeps them.

    Args:
        size: rows and columns in which a network sees them.
        classes: names; one: a lesion is whatever is above 0. 255, to be ignored, is background.
    """

    def __init__(self, size: int, classes: Sequence[str]) -> None:
        self.size, self.classes = size, tuple(classes)
        self._held: dict[str, Held] = {}

    def read(self, samples: Sequence[Sample], what: str = "reading images") -> None:
        """Read what is not yet held, so that a file that is not as it should be shows before any training."""
        for sample in tqdm([one for one in samples if one.name not in self._held], what, disable=None, leave=False):
            self._of(sample)

    def images(self, samples: Sequence[Sample]) -> Tensor:
        """``(N, 3, size, size)`` in [0, 1]."""
        return torch.stack([self._of(one).image for one in samples]).float() / 255

    def labels(self, samples: Sequence[Sample]) -> Tensor:
        """``(N, 1, size, size)``, whole numbers."""
        return torch.stack([self._of(one).label for one in samples])[:, None].long()

    def truth(self, sample: Sample) -> Tensor:
        """The label at its own resolution ``(H, W)``."""
        held = self._of(sample)
        values = np.frombuffer(zlib.decompress(held.truth), np.uint8).reshape(held.shape)
        return torch.from_numpy(values.astype(np.int64))

    def views(self, samples: Sequence[Sample], *, flips: bool, seed: int) -> Views:
        """To train or to validate on."""
        return Views(self.images(samples), self.labels(samples), flips=flips, seed=seed)

    def _of(self, sample: Sample) -> Held:
        if sample.name not in self._held:
            image, label = sample.read()
            self._held[sample.name] = self._kept(sample, image, label)
        return self._held[sample.name]

    def _kept(self, sample: Sample, image: Tensor, label: Tensor) -> Held:
        if tuple(image.shape[1:]) != tuple(label.shape):
            raise ValueError(
                f"{sample.name}: the image is {tuple(image.shape[1:])} and its mask {tuple(label.shape)}: give masks "
                "of the images' size."
            )
        label = torch.where(label == IGNORE, 0, label)
        if len(self.classes) == 1:
            label = (label > 0).to(label.dtype)
        if int(label.max()) > len(self.classes):
            raise ValueError(
                f"{sample.name}: its mask holds class {int(label.max())}, but {len(self.classes)} classes have a name "
                f"and so a prompt ({', '.join(self.classes)}): name every class in 'classes'."
            )
        if len(image) not in (1, 3):
            raise ValueError(f"{sample.name}: an image of {len(image)} channels; give grey or colour pictures.")
        whole = label.to(torch.uint8).contiguous()
        size = (self.size, self.size)
        seen = image.expand(3, *image.shape[1:])[None].float()
        if seen.shape[2:] != size:
            seen = interpolate(seen, size, mode="bilinear", antialias=True)
        small = interpolate(whole[None, None].float(), size, mode="nearest-exact")[0, 0].to(torch.uint8)
        eight_bits = (seen[0].clamp(0, 1) * 255).round().to(torch.uint8)
        rows, columns = label.shape
        return Held(eight_bits, small, zlib.compress(whole.numpy().tobytes(), 1), (rows, columns))
