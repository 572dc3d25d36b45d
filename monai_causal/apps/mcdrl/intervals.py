# SPDX-License-Identifier: Apache-2.0
"""Intervals of means over sites: scenes or sequences, the images in them, and seeds are drawn again; sites are not.

A handful of sites is no sample of hospitals, so that their mean is taken as it is, and a statement holds for these
sites. Inside each site sequences (patients, scenes) are drawn with replacement, and inside a sequence its images. Seeds
are crossed with images: one draw of seeds holds for all. The draws belong to (seed, the groups), so that methods are
paired, and two test sets of the same scenes too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "Site", "hierarchical", "image_weights", "seed_weights"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Site:
    """Values of a test set.

    Attributes:
        values: ``(seeds, images)``; of a comparison, differences.
        groups: of each image, what it belongs to.
    """

    values: Floats
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Interval:
    """A mean over sites.

    Attributes:
        value: the mean over sites of their means over images and seeds.
        low, high: of the percentile interval.
        p: two-sided: twice the share of draws on the other side of 0, and never below ``2 / (n + 1)``.
    """

    value: float
    low: float
    high: float
    p: float


def hierarchical(sites: Sequence[Site], n: int = 10000, level: float = 0.95, seed: int = 0) -> Interval:
    """The mean over sites with its interval; of differences, a paired one.

    Args:
        sites: with the same seeds in the same order.
        n: draws.
        level: of the interval.
        seed: of the draws.

    Example:
        >>> values = np.array([[0.2, 0.4, 0.3, 0.1]])
        >>> found = hierarchical([Site(values, ("a", "a", "b", "c"))], n=1000)
        >>> round(found.value, 3), 0.1 <= found.low < found.value < found.high <= 0.4
        (0.25, True)
    """
    if not sites or len({len(site.values) for site in sites}) != 1:
        raise ValueError(f"{len(sites)} sites: give at least one, all with the same seeds.")
    for site in sites:
        if site.values.shape[1:] != (len(site.groups),) or not site.values.size:
            raise ValueError(f"values of shape {site.values.shape} and {len(site.groups)} groups: (seeds, images).")
    over_seeds = seed_weights(len(sites[0].values), n, seed)
    drawn = np.zeros(n)
    for site in sites:
        weights = image_weights(site.groups, n, seed)
        means = (weights @ site.values.T) / weights.sum(axis=1, keepdims=True)  # (n, seeds)
        drawn += (means * over_seeds).sum(axis=1) / over_seeds.sum(axis=1)
    drawn /= len(sites)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    beyond = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    value = float(np.mean([site.values.mean() for site in sites]))
    return Interval(value, float(low), float(high), float(min(1.0, 2 * (beyond + 1) / (n + 1))))


@lru_cache(maxsize=16)
def image_weights(groups: tuple[str, ...], n: int, seed: int) -> NDArray[np.float32]:
    """How often each image is drawn ``(n, images)``: as many groups as there are, of each as many images as it has."""
    generator = _stream(seed, "images", *groups)
    names = list(dict.fromkeys(groups))
    draws = generator.multinomial(len(names), [1 / len(names)] * len(names), size=n)
    weights = np.zeros((n, len(groups)), np.float32)
    members: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    for number, name in enumerate(names):
        places = members[name]
        count = len(places)
        weights[:, places] = (
            draws[:, [number]] if count == 1 else generator.multinomial(draws[:, number] * count, [1 / count] * count)
        )
    return weights


def seed_weights(seeds: int, n: int, seed: int) -> Floats:
    """How often each seed is drawn ``(n, seeds)``."""
    drawn: Floats = _stream(seed, "seeds", str(seeds)).multinomial(seeds, [1 / seeds] * seeds, size=n).astype(float)
    return drawn


def _stream(seed: int, *names: str) -> np.random.Generator:
    digest = hashlib.sha256(repr((seed, names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
