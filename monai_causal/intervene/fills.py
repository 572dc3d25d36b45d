# SPDX-License-Identifier: Apache-2.0
"""What to put there: fills for ``do(region := fill)``.

A fill looks at the image once (:meth:`Fill.prepare`) and answers from then on with the replacement of a region, a
tensor that broadcasts to ``(C, *box shape)``. The engine writes it into a view of its batch: a fill never sees, and
never copies, more than the region.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from numbers import Real
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from monai_causal.intervene.draws import draw_generator, draw_integer
from monai_causal.intervene.regions import Region, Regions, plain

__all__ = ["BlurFill", "CallableFill", "ConstantFill", "DonorPatchFill", "Fill", "MeanFill", "Replacement", "as_fill"]

Replacement = Callable[[Region, int], "Tensor | float"]
"""``(region, draw) -> `` what to write, broadcastable to ``(C, *region.shape)``."""

FillFunction = Callable[[Tensor, Region, np.random.Generator], "Tensor | np.ndarray | float"]
"""``(original, region, generator) -> `` what to write."""

_ENLARGED_KEPT = 1024  # donors, each of the size of one region


class Fill(ABC):
    """With what a region is replaced."""

    @abstractmethod
    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        """Look at ``image`` (C, *spatial) once, check that the fill can serve ``regions``, and return the
        replacement."""

    @property
    def distinct_draws(self) -> int | None:
        """How many different draws there are; ``None`` where chance decides. Most fills leave nothing to chance."""
        return 1

    def check_draws(self, draws: Sequence[int]) -> None:
        """Raise before any forward where the fill cannot serve these draws."""
        return

    def exhaustive(self) -> Fill:
        """A fill with the same population of replacements whose draws ``0 .. distinct_draws - 1`` are all of it."""
        if self.distinct_draws is None:
            raise ValueError(
                f"{type(self).__name__} draws from no finite set: an exhaustive pass needs one, as of DonorPatchFill."
            )
        return self

    def through(self, transform: Callable[[Tensor], Tensor]) -> Fill:
        """The same fill for another tensor made from the image, such as a layer's activation. Only donors change."""
        return self


class ConstantFill(Fill):
    """One value, or one per channel."""

    def __init__(self, value: float | Sequence[float] | Tensor = 0.0) -> None:
        self.value = torch.as_tensor(value, dtype=torch.float64)

    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        if self.value.ndim == 0:
            constant = float(self.value)
            return lambda region, draw: constant
        if self.value.shape != (len(image),):
            raise ValueError(
                f"ConstantFill({self.value.tolist()}): give one value, or one for each of {len(image)} channels."
            )
        per_channel = column(self.value, image)
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
        self.sigma = np.asarray(sigma, dtype=np.float64)
        if not (self.sigma > 0).all():
            raise ValueError(f"BlurFill(sigma={sigma}): a blur has a width above 0, in voxels.")

    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        axes = image.ndim - 1
        if self.sigma.shape not in ((), (axes,)):
            raise ValueError(f"BlurFill(sigma={self.sigma.tolist()}): give one number, or one for each of {axes} axes.")
        sigma = (0.0, *np.broadcast_to(self.sigma, (axes,)))
        smooth = ndimage.gaussian_filter(image.cpu().double().numpy(), sigma=sigma, mode="nearest")
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
        resize: a donor smaller than a region is enlarged to it, once for all regions of that shape; without it, a
            donor smaller than the largest region is an error.
    """

    def __init__(
        self, bank: Tensor | Sequence[Tensor], *, order: Literal["random", "every"] = "random", resize: bool = False
    ) -> None:
        self.bank = tuple(plain(donor) for donor in bank)
        if not self.bank:
            raise ValueError("the donor bank is empty: give at least one patch or image.")
        for number, donor in enumerate(self.bank):
            if not torch.isfinite(donor).all():
                raise ValueError(f"donor {number} holds NaN or infinite values: leave it out of the bank.")
        if order not in ("random", "every"):
            raise ValueError(f"DonorPatchFill(order={order!r}): choose 'random' or 'every'.")
        self.order = order
        self.resize = resize

    def __len__(self) -> int:
        return len(self.bank)

    @property
    def distinct_draws(self) -> int | None:
        return len(self) if self.order == "every" else None

    def exhaustive(self) -> DonorPatchFill:
        return DonorPatchFill(self.bank, order="every", resize=self.resize)

    def check_draws(self, draws: Sequence[int]) -> None:
        if self.order == "every" and max(draws) >= len(self):
            raise ValueError(
                f"draw {max(draws)} of a bank of {len(self)} donors: order='every' has one draw per donor, "
                f"draws={len(self)} at most."
            )

    def through(self, transform: Callable[[Tensor], Tensor]) -> DonorPatchFill:
        return DonorPatchFill([transform(donor[None])[0] for donor in self.bank], order=self.order, resize=self.resize)

    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        largest = tuple(max(region.shape[axis] for region in regions) for axis in range(image.ndim - 1))
        for number, donor in enumerate(self.bank):
            self._check(donor, number, image, largest)
        bank = [donor.to(image) for donor in self.bank]

        # Each region by itself: what one of them draws must not depend on which others there are.
        @lru_cache(maxsize=_ENLARGED_KEPT)
        def enlarged(number: int, size: tuple[int, ...]) -> Tensor:
            mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(size)]
            return F.interpolate(bank[number][None], size=size, mode=mode, align_corners=False)[0]

        def replacement(region: Region, draw: int) -> Tensor:
            drawn = self.order == "random"
            number = draw_integer(len(bank), seed, region.id, draw) if drawn else draw
            donor = bank[number]
            if donor.shape[1:] == region.shape:
                return donor[region.channel_index]
            size = tuple(map(max, donor.shape[1:], region.shape))
            if size != donor.shape[1:]:
                donor = enlarged(number, size)
            starts = (
                draw_integer(room + 1, seed, region.id, draw, stream=axis + 1) if drawn else room // 2
                for axis, room in enumerate(np.subtract(size, region.shape).tolist())
            )
            crop = tuple(slice(start, start + length) for start, length in zip(starts, region.shape, strict=True))
            return donor[(region.channel_index, *crop)]

        return replacement

    def _check(self, donor: Tensor, number: int, image: Tensor, largest: tuple[int, ...]) -> None:
        if donor.ndim != image.ndim or len(donor) != len(image):
            raise ValueError(
                f"donor {number} has shape {tuple(donor.shape)}; this image needs ({len(image)}, "
                f"{', '.join('*' * (image.ndim - 1))}): the same channels and the same number of spatial axes."
            )
        if not self.resize and any(have < need for have, need in zip(donor.shape[1:], largest, strict=True)):
            raise ValueError(
                f"donor {number} of shape {tuple(donor.shape[1:])} is smaller than the patch {largest}: give larger "
                "donors, a smaller patch size, or resize=True."
            )


class CallableFill(Fill):
    """Any function ``(original, region, generator) -> replacement``.

    ``original`` is a copy of the image inside the region's box ``(C, *region.shape)``; ``generator`` is a numpy
    generator that belongs to this (seed, region, draw). What it returns, a tensor, an array or a number, must
    broadcast to ``original``.
    """

    def __init__(self, function: FillFunction) -> None:
        self.function = function

    @property
    def distinct_draws(self) -> int | None:
        return None  # what the function does with its generator is not known

    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        def replacement(region: Region, draw: int) -> Tensor | float:
            original = image[region.index].clone()
            drawn = self.function(original, region, draw_generator(seed, region.id, draw))
            return drawn if isinstance(drawn, Tensor | float) else torch.as_tensor(drawn)

        return replacement


def as_fill(fill: Fill | FillFunction | float) -> Fill:
    """A fill from a fill, a number or a function."""
    if isinstance(fill, Fill):
        return fill
    if isinstance(fill, Real):
        return ConstantFill(float(fill))
    if callable(fill):
        return CallableFill(fill)
    raise TypeError(
        f"{type(fill).__name__} is no fill: give a Fill, a number, or a function (original, region, generator)."
    )


def column(values: Tensor, image: Tensor) -> Tensor:
    """Per-channel ``values`` (C,) shaped to broadcast over ``image`` (C, *spatial), in its dtype and on its device."""
    return values.to(image).reshape(-1, *(1,) * (image.ndim - 1))
