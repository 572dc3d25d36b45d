# SPDX-License-Identifier: Apache-2.0
"""Intervals of means over sites, as wide as few seeds and few patients make them.

A handful of sites is no sample of hospitals, so that their mean is taken as it is, and a statement holds for these
sites. Two things are uncertain: which scenes were tested on, and which seeds were trained under. Seeds are crossed with
images, so that each part can be looked at by itself, and a draw of the mean is

    the mean + the scenes' part + the seeds' part.

*Scenes.* A hierarchical bootstrap with smooth weights (Rubin's Bayesian one): inside each site every group (sequence,
patient, scene) has a weight drawn from an exponential law, and inside a group every image. The weights belong to (seed,
the group's name): methods are paired, test sets of the same scenes are too, and a patient that is in several test sets
has one weight in all of them. That gives the draws their shape. Their width is the standard error between groups, since
a bootstrap is too narrow where groups are few, and counts twice what varies inside them. Each draw is divided by the
root of a drawn chi square over its degrees of freedom, as Student's t has it.

*Seeds.* Five are too few to be drawn again: a bootstrap of five is too narrow by a tenth, and a normal quantile in the
place of Student's by another third. Their part is Student's t with one degree of freedom less than seeds, times the
standard error of the seeds' means over sites. The noise of single scenes under single seeds is in that already, so it
is taken out of the scenes' part.

``tests/apps/mcdrl/test_intervals.py`` measures how often such an interval holds the truth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

__all__ = ["Interval", "Site", "chi_factors", "hierarchical", "image_weights", "seed_quantiles", "standard_errors"]

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
        low, high: of the percentile interval of the draws.
        p: two-sided: twice the share of draws on the other side of 0, and never below ``2 / (n + 1)``.
    """

    value: float
    low: float
    high: float
    p: float


def hierarchical(sites: Sequence[Site], n: int = 10000, level: float = 0.95, seed: int = 0) -> Interval:
    """The mean over sites with its interval; of differences, a paired one.

    Under one seed nothing can be said of the others: the interval is then over scenes alone.

    Args:
        sites: with the same seeds in the same order.
        n: draws.
        level: of the interval.
        seed: of the draws.

    Example:
        >>> values = np.array([[0.2, 0.4, 0.3, 0.1]])
        >>> found = hierarchical([Site(values, ("a", "a", "b", "c"))], n=1000)
        >>> round(found.value, 3), found.low < 0.15 < found.value < 0.35 < found.high
        (0.25, True)
    """
    if not sites or len({len(site.values) for site in sites}) != 1:
        raise ValueError(f"{len(sites)} sites: give at least one, all with the same seeds.")
    for site in sites:
        if site.values.shape[1:] != (len(site.groups),) or not site.values.size:
            raise ValueError(f"values of shape {site.values.shape} and {len(site.groups)} groups: (seeds, images).")
    value = float(np.mean([site.values.mean() for site in sites]))
    of_scenes, of_seeds = standard_errors(sites)
    drawn = value + of_scenes * _scenes(sites, n, seed) + of_seeds * seed_quantiles(len(sites[0].values), n, seed)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    beyond = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    return Interval(value, float(low), float(high), float(min(1.0, 2 * (beyond + 1) / (n + 1))))


def standard_errors(sites: Sequence[Site]) -> tuple[float, float]:
    """Of a mean over sites: its standard error for the scenes, and for the seeds (0 for a single one).

    The noise of single scenes under single seeds is in the second alone.
    """
    seeds = len(sites[0].values)
    # What each group adds to each seed's mean; one that is in several sets adds to it in several places.
    added: dict[str, Floats] = {}
    for site in sites:
        centred = site.values - site.values.mean(axis=1, keepdims=True)
        units, count = _units(site.groups)
        correction = np.sqrt(count / max(1.0, count - 1))
        for name, places in units.items():
            own = correction * centred[:, places].sum(axis=1) / (len(site.groups) * len(sites))
            added[name] = added.get(name, np.zeros(seeds)) + own
    of_groups = np.stack(list(added.values()))
    scenes = float((of_groups.mean(axis=1) ** 2).sum())
    if seeds < 2:
        return scenes**0.5, 0.0
    noise = float(of_groups.var(axis=1, ddof=1).sum()) / seeds
    under_seeds = float(np.mean([site.values.mean(axis=1) for site in sites], axis=0).var(ddof=1)) / seeds
    # No more is taken out than the seeds' part holds: together they are never less than the scenes alone.
    return max(0.0, scenes - min(noise, under_seeds)) ** 0.5, under_seeds**0.5


def _scenes(sites: Sequence[Site], n: int, seed: int) -> Floats:
    """Draws ``(n,)`` of the deviation of the mean over scenes, in standard errors."""
    plain, spread = np.zeros(n), np.zeros(n)
    for site in sites:
        weights = image_weights(site.groups, n, seed)
        deviation = weights @ (site.values.mean(axis=0) - site.values.mean()) / weights.sum(axis=1)
        plain += deviation
        spread += deviation * chi_factors(site.groups, n, seed)
    width = plain.std()
    return spread / width if width > 0 else plain


@lru_cache(maxsize=16)
def image_weights(groups: tuple[str, ...], n: int, seed: int) -> Floats:
    """The weight of each image ``(n, images)``, 1 on average: its group's, times its share of the group's images.

    A group's weight, and that of its first, second ... image, are the same whatever else is in the set.
    """
    weights = np.empty((n, len(groups)))
    for name, places in _members(groups).items():
        generator = _stream(seed, "group", name)
        of_group = generator.exponential(size=(n, 1))
        inside = generator.exponential(size=(len(places), n)).T if len(places) > 1 else np.ones((n, 1))
        weights[:, places] = of_group * inside * (len(places) / inside.sum(axis=1, keepdims=True))
    return weights


@lru_cache(maxsize=16)
def chi_factors(groups: tuple[str, ...], n: int, seed: int) -> Floats:
    """What turns a normal deviation into one of Student's t ``(n,)``, with one degree of freedom less than groups."""
    freedom = max(1.0, _units(groups)[1] - 1)
    factors: Floats = np.sqrt(freedom / _stream(seed, "chi", *groups).chisquare(freedom, size=n))
    return factors


@lru_cache(maxsize=16)
def seed_quantiles(seeds: int, n: int, seed: int) -> Floats:
    """Student's t with ``seeds - 1`` degrees of freedom ``(n,)``: its quantiles, evenly, in an order that is drawn."""
    if seeds < 2:
        return np.zeros(n)
    quantiles = student.ppf((np.arange(n) + 0.5) / n, seeds - 1)
    shuffled: Floats = _stream(seed, "seeds", str(seeds)).permutation(quantiles)
    return shuffled


def _units(groups: tuple[str, ...]) -> tuple[dict[str, list[int]], float]:
    """What counts as one, by name, and how many they are worth: of unequal size they are worth fewer, two at least.

    Where all images are of one group they count themselves.
    """
    units = _members(groups)
    if len(units) == 1:
        units = {f"{name}, {place}": [place] for name, places in units.items() for place in places}
    sizes = np.array([len(places) for places in units.values()], dtype=float)
    worth = float(sizes.sum() ** 2 / (sizes**2).sum())
    return units, max(worth, min(2.0, len(units)))


def _members(groups: tuple[str, ...]) -> dict[str, list[int]]:
    members: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    return members


def _stream(seed: int, *names: str) -> np.random.Generator:
    digest = hashlib.sha256(repr((seed, names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
