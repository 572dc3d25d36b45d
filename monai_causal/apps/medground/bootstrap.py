# SPDX-License-Identifier: Apache-2.0
"""Intervals of means over samples of which several may share an image: images are resampled, with all their samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Interval", "clustered_bootstrap"]

_AT_ONCE = 2**22  # indices drawn at a time: 32 MB


class Interval(NamedTuple):
    """A mean over samples with its interval."""

    mean: float
    low: float | None
    high: float | None
    p: float | None
    """Two-sided, of the mean being 0; None, like the bounds, where there are fewer than two images."""


def clustered_bootstrap(
    values: ArrayLike, images: Sequence[str], n: int = 10000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Percentile bootstrap of the mean over samples, resampling images.

    Args:
        values: one per sample, for instance the difference of two methods.
        images: of each sample.
        n: resamples.
        level: of the interval.
        seed: of the resampling.

    Example:
        >>> found = clustered_bootstrap([1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b"])
        >>> found.mean, found.low, found.high
        (0.5, 0.0, 1.0)
    """
    one_each = np.asarray(values, dtype=np.float64)
    if one_each.ndim != 1 or len(one_each) != len(images) or not len(images):
        raise ValueError(f"{one_each.shape} values for {len(images)} samples: give one per sample, at least one.")
    _, place = np.unique(np.asarray(images), return_inverse=True)
    sums, sizes = np.bincount(place, one_each), np.bincount(place)
    count, mean = len(sums), float(one_each.mean())
    if count < 2:
        return Interval(mean, None, None, None)
    generator = np.random.default_rng(seed)
    means, step = np.empty(n), max(1, _AT_ONCE // count)
    for start in range(0, n, step):
        drawn = generator.integers(0, count, (min(step, n - start), count))
        means[start : start + step] = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    tail = min(int((means <= 0).sum()), int((means >= 0).sum())) + 1
    return Interval(mean, float(low), float(high), min(1.0, 2 * tail / (n + 1)))
