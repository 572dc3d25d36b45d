# SPDX-License-Identifier: Apache-2.0
"""Explanations as dictionary transforms: what a pipeline holds under ``keys`` is explained, the map put beside it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import convert_to_tensor
from torch import Tensor, nn

from monai_causal.intervene import Fill
from monai_causal.intervene.regions import plain
from monai_causal.visualize.dea import DEA
from monai_causal.visualize.pdcr import PdCR
from monai_causal.visualize.rois import RoI

__all__ = ["DEAd", "PdCRd"]


class PdCRd(MapTransform):
    """:class:`monai_causal.visualize.PdCR` in a pipeline: the map ``(1, *spatial)`` of each image, beside it.

    The map takes over the image's affine and the list of what was done to it, so that ``Invertd`` brings it back to
    where the image came from. Run it where the image is as the network needs it.

    Args:
        keys: images ``(C, *spatial)``; they stay as they are.
        network: as of PdCR.
        fill: as of PdCR.
        roi: a box, a mask or a rule, for every image; see ``PdCR.explain``.
        roi_key: where the dictionary holds each image's own RoI, in place of ``roi``.
        label_key: where it holds the label ``(1, *spatial)``; without it, the network's own answer is the reference.
        map_key: where the map goes; one name for each of ``keys``.
        result_key: where the whole ``PdCRResult`` goes; one name for each of ``keys``, or nowhere.
        allow_missing_keys: do nothing where a key is missing.
        options: further arguments of PdCR.

    Example:
        >>> import torch
        >>> from monai_causal.intervene import MeanFill
        >>> explain = PdCRd("image", torch.nn.Conv2d(1, 1, 5, padding=2), MeanFill(), roi=((8, 16), (8, 16)))
        >>> item = explain({"image": torch.rand(1, 32, 32) + 5})
        >>> sorted(item), tuple(item["pdcr"].shape)
        (['image', 'pdcr'], (1, 32, 32))
    """

    def __init__(
        self,
        keys: KeysCollection,
        network: nn.Module | Callable[[Tensor], Any],
        fill: Fill | Callable[..., Any] | float,
        roi: RoI = "boundary",
        roi_key: Hashable | None = None,
        label_key: Hashable | None = None,
        map_key: str | Sequence[str] = "pdcr",
        result_key: str | Sequence[str] | None = None,
        allow_missing_keys: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.pdcr = PdCR(network, fill, **options)
        self.roi, self.roi_key, self.label_key = roi, roi_key, label_key
        self.map_keys = _one_each(map_key, self.keys, "map_key")
        self.result_keys = _one_each(result_key, self.keys, "result_key")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key, map_key, result_key in self.key_iterator(d, self.map_keys, self.result_keys):
            image = _image(d[key])
            roi = self.roi if self.roi_key is None else _held(d, self.roi_key, "roi_key")
            label = None if self.label_key is None else _held(d, self.label_key, "label_key")
            result = self.pdcr.explain(image[None], roi, label)
            d[map_key] = _beside(image, result.map[0])
            if result_key is not None:
                d[result_key] = result
        return d


class DEAd(MapTransform):
    """:class:`monai_causal.visualize.DEA` in a pipeline: the map ``(1, *spatial)`` of each image, beside it, as
    :class:`PdCRd` puts it there.

    Args:
        keys: images ``(C, *spatial)``; they stay as they are.
        network: as of DEA.
        class_idx: the class asked about.
        mask_key: where the dictionary holds the mask ``(1, *spatial)`` of what is asked about; without it, that is
            where the network answers with the class.
        map_key: where the map goes; one name for each of ``keys``.
        allow_missing_keys: do nothing where a key is missing.
        options: further arguments of DEA.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
        >>> explain = DEAd("image", network, mask_key="organ")
        >>> item = explain({"image": torch.rand(1, 28, 28), "organ": torch.ones(1, 28, 28)})
        >>> tuple(item["dea"].shape)
        (1, 28, 28)
    """

    def __init__(
        self,
        keys: KeysCollection,
        network: nn.Module,
        class_idx: int = 1,
        mask_key: Hashable | None = None,
        map_key: str | Sequence[str] = "dea",
        allow_missing_keys: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.dea = DEA(network, **options)
        self.class_idx, self.mask_key = class_idx, mask_key
        self.map_keys = _one_each(map_key, self.keys, "map_key")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key, map_key in self.key_iterator(d, self.map_keys):
            image = _image(d[key])
            mask = None if self.mask_key is None else convert_to_tensor(_held(d, self.mask_key, "mask_key"))
            d[map_key] = _beside(image, self.dea(image[None], self.class_idx, mask)[0])
        return d


def _one_each(name: str | Sequence[str] | None, keys: Sequence[Hashable], argument: str) -> tuple[str | None, ...]:
    """One name for each key."""
    names = tuple([name] * len(keys) if name is None else [name] if isinstance(name, str) else name)
    if len(names) != len(keys):
        raise ValueError(f"{argument}={name!r}: {len(keys)} keys need {len(keys)} names, so that none is overwritten.")
    return names


def _held(data: Mapping[Hashable, Any], key: Hashable, argument: str) -> Any:
    if key not in data:
        raise KeyError(f"{argument}={key!r}: the dictionary holds {sorted(map(str, data))}.")
    return data[key]


def _image(value: Any) -> MetaTensor:
    image = convert_to_tensor(value, track_meta=True)
    # Where MONAI's tracking of metadata is switched off, the map still needs a place.
    return image if isinstance(image, MetaTensor) else MetaTensor(image)


def _beside(image: MetaTensor, values: Tensor) -> MetaTensor:
    """A map ``(1, *spatial)`` with all that MONAI knows of the image: where it lies and what was done to it."""
    return MetaTensor(plain(values).to(image.device)).copy_meta_from(image)
