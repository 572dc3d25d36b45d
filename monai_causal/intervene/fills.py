# SPDX-License-Identifier: Apache-2.0
"""What to put there: fills for ``do(region := fill)``.

A fill looks at the image once (:meth:`Fill.prepare`) and answers from then on with the replacement of a region, a
tensor that broadcasts to ``(C, *box shape)``. The engine writes it into a view of its batch: a fill never sees, and
never copies, more than the region.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from monai_causal.intervene.draws import draw_generator, draw_integer
from monai_causal.intervene.regions import Region, Regions

__all__ = ["BlurFill", "CallableFill", "ConstantFill", "DonorPatchFill", "Fill", "MeanFill", "Replacement", "as_fill"]

Replacement = Callable[[Region, int], "Tensor | float"]
"""``(region, draw) -> `` what to write, broadcastable to ``(C, *region.shape)``."""


class Fill(ABC):
    """With what a region is replaced."""

    @abstractmethod
    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        """Look at ``image`` (C, *spatial) once, check that the fill can serve ``regions``, and return the
        replacement."""

    def through(self, transform: Callable[[Tensor], Tensor]) -> Fill:
        """The same fill for another tensor made from the image, such as a layer's activation. Only donors change."""
        return self


class ConstantFill(Fill):
    """One value, or one per channel."""

    def __init__(self, value: float | Sequence[float] = 0.0) -> None:
        self.value = value

    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        if isinstance(self.value, int | float):
            constant = float(self.value)
            return lambda region, draw: constant
        if len(self.value) != len(image):
            raise ValueError(f"ConstantFill({list(self.value)}): {len(self.value)} values for {len(image)} channels.")
        per_channel = column(torch.as_tensor(self.value), image)
        return lambda region, draw: per_channel[region.channel_index]


class MeanFill(Fill):
    """The mean of the original image.

    Args:
        over: ``"channel"`` (default): one mean per channel; ``"image"``: one over all channels; ``"region"``: one per
            channel, over the region itself.
    """

    def __init__(self, over: Literal["channel", "image", "region"] = "channel") -> None:
        if over not in ("channel", "image", "region"):
            raise ValueError(f"MeanFill(over={over!r}): choose 'channel', 'image' or 'region'.")
        self.over = over

    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        if self.over == "region":
            return lambda region, draw: self._region_mean(image, region)
        if self.over == "image":
            overall = image.mean()
            return lambda region, draw: overall
        per_channel = column(image.flatten(1).mean(1), image)
        return lambda region, draw: per_channel[region.channel_index]

    @staticmethod
    def _region_mean(image: Tensor, region: Region) -> Tensor:
        values = image[region.index]
        flat = values.flatten(1) if region.mask is None else values[:, region.mask]
        return column(flat.mean(1), image)


class BlurFill(Fill):
    """The image seen through a Gaussian blur of ``sigma`` voxels (one number or one per axis)."""

    def __init__(self, sigma: float | Sequence[float] = 8.0) -> None:
        self.sigma = sigma

    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        axes = image.ndim - 1
        sigma = tuple(np.broadcast_to(np.asarray(self.sigma, dtype=np.float64), (axes,)))
        smooth = ndimage.gaussian_filter(image.cpu().numpy(), sigma=(0.0, *sigma), mode="nearest")
        blurred = torch.from_numpy(smooth).to(image)
        return lambda region, draw: blurred[region.index]


class DonorPatchFill(Fill):
    """Patches of other images.

    Each (region, draw) takes one donor of the bank; a donor larger than the region is cropped, in random order at a
    drawn place, otherwise in its middle. All channels come from the same donor and place.

    Args:
        bank: ``(N, C, *patch)``: patches or whole images, or a sequence of ``(C, *patch)`` tensors whose shapes may
            differ. None of it should come from the explained image, nor from its patient.
        order: ``"random"``: drawn with replacement; ``"every"``: draw ``k`` is donor ``k``, for an exhaustive pass.
        resize: donors smaller than the largest region are enlarged to it, once; without it they are an error.
    """

    def __init__(
        self, bank: Tensor | Sequence[Tensor], *, order: Literal["random", "every"] = "random", resize: bool = False
    ) -> None:
        self.bank = tuple(torch.as_tensor(donor) for donor in bank)
        if not self.bank:
            raise ValueError("the donor bank is empty: give at least one patch or image.")
        if order not in ("random", "every"):
            raise ValueError(f"DonorPatchFill(order={order!r}): choose 'random' or 'every'.")
        self.order = order
        self.resize = resize

    def __len__(self) -> int:
        return len(self.bank)

    def through(self, transform: Callable[[Tensor], Tensor]) -> DonorPatchFill:
        return DonorPatchFill([transform(donor[None])[0] for donor in self.bank], order=self.order, resize=self.resize)

    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        largest = tuple(max(region.shape[axis] for region in regions) for axis in range(image.ndim - 1))
        bank = [self._fit(donor, i, image, largest) for i, donor in enumerate(self.bank)]

        def replacement(region: Region, draw: int) -> Tensor:
            drawn = self.order == "random"
            if not drawn and draw >= len(bank):
                raise ValueError(f"draw {draw} of a bank of {len(bank)} donors: order='every' has one draw per donor.")
            donor = bank[draw_integer(len(bank), seed, region.id, draw) if drawn else draw]
            if donor.shape[1:] == region.shape:
                return donor[region.channel_index]
            starts = (
                draw_integer(room + 1, seed, region.id, draw, stream=axis + 1) if drawn else room // 2
                for axis, room in enumerate(np.subtract(donor.shape[1:], region.shape).tolist())
            )
            crop = tuple(slice(start, start + length) for start, length in zip(starts, region.shape, strict=True))
            return donor[(region.channel_index, *crop)]

        return replacement

    def _fit(self, donor: Tensor, number: int, image: Tensor, largest: tuple[int, ...]) -> Tensor:
        if donor.ndim != image.ndim or len(donor) != len(image):
            raise ValueError(
                f"donor {number} has shape {tuple(donor.shape)}; this image needs ({len(image)}, "
                f"{', '.join('*' * (image.ndim - 1))}): the same channels and the same number of spatial axes."
            )
        donor = donor.to(image)
        if all(have >= need for have, need in zip(donor.shape[1:], largest, strict=True)):
            return donor
        if not self.resize:
            raise ValueError(
                f"donor {number} of shape {tuple(donor.shape[1:])} is smaller than the patch {largest}: give larger "
                "donors, a smaller patch size, or resize=True."
            )
        size = [max(have, need) for have, need in zip(donor.shape[1:], largest, strict=True)]
        mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(size)]
        return F.interpolate(donor[None], size=size, mode=mode, align_corners=False)[0]


class CallableFill(Fill):
    """Any function ``(original, region, generator) -> replacement``.

    ``original`` is a copy of the image inside the region's box ``(C, *region.shape)``; ``generator`` is a numpy
    generator that belongs to this (seed, region, draw).
    """

    def __init__(self, function: Callable[[Tensor, Region, np.random.Generator], Tensor | float]) -> None:
        self.function = function

    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        def replacement(region: Region, draw: int) -> Tensor | float:
            original = image[region.index].clone()
            return self.function(original, region, draw_generator(seed, region.id, draw))

        return replacement


def as_fill(fill: Fill | Callable[[Tensor, Region, np.random.Generator], Tensor | float] | float) -> Fill:
    """A fill from a fill, a number or a function."""
    if isinstance(fill, Fill):
        return fill
    if isinstance(fill, int | float):
        return ConstantFill(float(fill))
    if callable(fill):
        return CallableFill(fill)
    raise TypeError(
        f"{type(fill).__name__} is no fill: give a Fill, a number, or a function (original, region, generator)."
    )


def column(values: Tensor, image: Tensor) -> Tensor:
    """Per-channel ``values`` (C,) shaped to broadcast over ``image`` (C, *spatial), in its dtype and on its device."""
    return values.to(image).reshape(-1, *(1,) * (image.ndim - 1))
