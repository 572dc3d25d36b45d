# SPDX-License-Identifier: Apache-2.0
"""Between methods: paired bootstrap over images, Wilcoxon's signed ranks, and corrections for many comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

__all__ = [
    "Bootstrap",
    "Comparison",
    "benjamini_hochberg",
    "compare_methods",
    "holm",
    "paired_bootstrap",
    "wilcoxon",
]

Floats = NDArray[np.float64]
_AT_ONCE = 2**22  # indices drawn at a time: 32 MB


@dataclass(frozen=True)
class Bootstrap:
    """A mean difference with its interval.

    Attributes:
        difference: mean of a - b over the images, in their unit.
        low, high: of the confidence interval.
        p: two-sided: the level at which the interval just touches 0.
        level: of the interval.
        images: how many.
    """

    difference: float
    low: float
    high: float
    p: float
    level: float
    images: int


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike | None = None,
    n: int = 10000,
    level: float = 0.95,
    seed: int = 0,
    method: Literal["bca", "percentile"] = "bca",
) -> Bootstrap:
    """Bootstrap of the mean difference ``a - b``, resampling images, each with both of its values.

    The interval is bias-corrected and accelerated (BCa, Efron 1987), with the mean's own acceleration in closed form;
    ``"percentile"`` leaves both corrections out. The p-value turns the interval round: it is the smallest ``1 - level``
    whose interval leaves 0 out, two-sided, and never below ``2 / (n + 1)``. Assumes independent images; frames of one
    patient are not: average them first. Where all differences are the same the interval is that value, and p is 1 if it
    is 0.

    Args:
        a: one value per image ``(images,)``.
        b: of the same images, in the same order; ``None``: ``a`` holds differences.
        n: resamples.
        level: of the interval.
        seed: of the resampling.
        method: see above.

    Example:
        >>> found = paired_bootstrap([0.9, 0.8, 0.7, 0.9], [0.5, 0.6, 0.4, 0.6])
        >>> round(found.difference, 3), found.low > 0
        (0.3, True)
    """
    if n < 1 or not 0 < level < 1:
        raise ValueError(f"n={n}, level={level}: at least one resample, and a level between 0 and 1 such as 0.95.")
    if method not in ("bca", "percentile"):
        raise ValueError(f"method={method!r}: choose 'bca' or 'percentile'.")
    differences = _differences(a, b)
    images = len(differences)
    if images < 2:
        raise ValueError(f"{images} images: a bootstrap resamples at least two.")
    mean = float(differences.mean())
    if np.ptp(differences) == 0:
        value = float(differences[0])
        return Bootstrap(value, value, value, 1.0 if value == 0 else 2 / (n + 1), level, images)
    means = _resampled_means(differences, n, seed)
    bias = acceleration = 0.0
    if method == "bca":
        bias = float(stats.norm.ppf(_share_below(means, mean)))
        centred = differences - mean
        acceleration = float((centred**3).sum() / (6 * (centred**2).sum() ** 1.5))
    tails = stats.norm.ppf([(1 - level) / 2, (1 + level) / 2])
    shifted = bias + (bias + tails) / (1 - acceleration * (bias + tails))
    low, high = np.quantile(means, stats.norm.cdf(shifted))
    # The same correction backwards, from the share of resamples below 0 to the tail whose bound 0 is.
    step = float(stats.norm.ppf(_share_below(means, 0.0))) - bias
    tail = float(stats.norm.cdf(step / (1 + acceleration * step) - bias))
    p = float(np.clip(2 * min(tail, 1 - tail), 2 / (n + 1), 1.0))
    return Bootstrap(mean, float(low), float(high), p, level, images)


def wilcoxon(
    a: ArrayLike, b: ArrayLike | None = None, zero_method: Literal["pratt", "wilcox", "zsplit"] = "pratt"
) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test of paired values, by scipy.

    Args:
        a: one value per image ``(images,)``.
        b: of the same images; ``None``: ``a`` holds differences.
        zero_method: of images without a difference: ``"pratt"`` (default) ranks them and then leaves them out, so that
            many ties between methods weaken a verdict; ``"wilcox"`` drops them before; ``"zsplit"`` splits them.
            Where no image has a difference p is 1.
    """
    differences = _differences(a, b)
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences, zero_method=zero_method).pvalue)


def holm(p_values: ArrayLike) -> Floats:
    """Holm's (1979) adjusted p-values, in the order given: the chance of any false rejection stays below the level.

    ``p'_(k) = max over j <= k of min(1, (m - j + 1) p_(j))`` for the sorted ``p_(1) <= ... <= p_(m)``.

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    p, order = _sorted_p(p_values)
    adjusted = np.maximum.accumulate(np.minimum(1.0, p[order] * np.arange(len(p), 0, -1)))
    return _put_back(adjusted, order)


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """Benjamini and Hochberg's (1995) adjusted p-values, in the order given: the false discovery rate stays below the
    level where tests are independent or positively dependent.

    ``p'_(k) = min over j >= k of min(1, m p_(j) / j)`` for the sorted ``p_(1) <= ... <= p_(m)``.

    Example:
        >>> benjamini_hochberg([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.04, 0.04]
    """
    p, order = _sorted_p(p_values)
    steps = np.minimum(1.0, p[order] * len(p) / np.arange(1, len(p) + 1))
    return _put_back(np.minimum.accumulate(steps[::-1])[::-1], order)


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same images.

    Attributes:
        first, second: their names.
        difference: mean of first - second, in the metric's unit, with its bootstrap interval ``low``, ``high``.
        p: of Wilcoxon's test.
        p_holm: corrected for all pairs of the table.
        wins, losses, ties: images on which ``first`` is better, worse, the same.
        worst: the largest shortfall of ``first`` on one image, in the metric's unit: how much worse it is there than
            ``second``; 0 or below where it never is.
        worst_image: that image's position; the first of equals.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    wins: int
    losses: int
    ties: int
    worst: float
    worst_image: int


def compare_methods(
    table: Mapping[str, ArrayLike],
    *,
    higher_is_better: bool = True,
    n: int = 10000,
    level: float = 0.95,
    seed: int = 0,
    zero_method: Literal["pratt", "wilcox", "zsplit"] = "pratt",
) -> list[Comparison]:
    """All pairs of methods, in the order of the table.

    Args:
        table: by method, one value per image ``(images,)``; the same images in the same order for all.
        higher_is_better: which side wins; differences stay first - second.
        n, level, seed: of the bootstrap.
        zero_method: of Wilcoxon's test.

    Example:
        >>> (found,) = compare_methods({"dea": [0.4, 0.5, 0.3], "ega": [0.2, 0.5, 0.35]})
        >>> found.wins, found.losses, found.ties, found.worst_image
        (1, 1, 1, 2)
    """
    if len(table) < 2:
        raise ValueError(f"{len(table)} methods: there is nothing to compare.")
    pairs = []
    for first, second in combinations(table, 2):
        try:
            differences = _differences(table[first], table[second])
        except ValueError as error:
            raise ValueError(f"{first} against {second}: {error}") from None
        gains = differences if higher_is_better else -differences
        interval = paired_bootstrap(differences, n=n, level=level, seed=seed)
        p = wilcoxon(differences, zero_method=zero_method)
        worst = int(np.argmin(gains))
        pairs.append(
            Comparison(
                first,
                second,
                interval.difference,
                interval.low,
                interval.high,
                p,
                p,
                wins=int((gains > 0).sum()),
                losses=int((gains < 0).sum()),
                ties=int((gains == 0).sum()),
                worst=float(-gains[worst]),
                worst_image=worst,
            )
        )
    adjusted = holm([pair.p for pair in pairs])
    return [replace(pair, p_holm=float(p)) for pair, p in zip(pairs, adjusted, strict=True)]


def _differences(a: ArrayLike, b: ArrayLike | None) -> Floats:
    first = np.asarray(a, dtype=np.float64)
    second = np.zeros_like(first) if b is None else np.asarray(b, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise ValueError(f"values of shapes {first.shape} and {second.shape}: one per image and side, (images,).")
    for name, values in (("a", first), ("b", second)):
        if not np.isfinite(values).all():
            raise ValueError(
                f"{int((~np.isfinite(values)).sum())} values of {name} are NaN or infinite, the first of image "
                f"{int(np.flatnonzero(~np.isfinite(values))[0])}: leave these images out of both sides."
            )
    return first - second


def _resampled_means(differences: Floats, n: int, seed: int) -> Floats:
    """Means of n resamples ``(n,)``, drawn in blocks of bounded size."""
    generator = np.random.default_rng(seed)
    block = max(1, _AT_ONCE // len(differences))
    return np.concatenate(
        [
            differences[generator.integers(len(differences), size=(min(block, n - start), len(differences)))].mean(1)
            for start in range(0, n, block)
        ]
    )


def _share_below(means: Floats, value: float) -> float:
    """Share of resamples below a value, ties counted half; never 0 or 1, whose normal quantiles are infinite."""
    share = (np.count_nonzero(means < value) + 0.5 * np.count_nonzero(means == value)) / len(means)
    return float(np.clip(share, 1 / (len(means) + 1), len(means) / (len(means) + 1)))


def _sorted_p(p_values: ArrayLike) -> tuple[Floats, NDArray[np.intp]]:
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p_values of shape {p.shape} must be a row of numbers between 0 and 1, none of them NaN.")
    return p, np.argsort(p, kind="stable")


def _put_back(adjusted: Floats, order: NDArray[np.intp]) -> Floats:
    restored = np.empty_like(adjusted)
    restored[order] = adjusted
    return restored
