# SPDX-License-Identifier: Apache-2.0
"""How often to ask about a region, and when to call it relevant: the three rules of PdCR.

A rule asks for individual treatment effects (ITEs) of some regions at some draws and ends with a verdict on each.
``ask(rows, draws) -> (rows, draws)`` is all that it knows of images and networks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from monai_causal.metrics.statistics import benjamini_hochberg

__all__ = [
    "Ask",
    "ExhaustiveRule",
    "PaperRule",
    "Rule",
    "SequentialRule",
    "Verdict",
    "interval_null_p_value",
    "make_rule",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ask = Callable[[Sequence[int], range], Floats]
"""``(rows, draws) -> `` the ITEs of these regions at these draws, ``(rows, draws)``, in Dice points."""


@dataclass(frozen=True)
class Verdict:
    """What a rule found about ``R`` regions.

    Attributes:
        ites: ``(R, D)``: every effect that was measured; not a number where a draw was not needed.
        ate: ``(R,)``: the average treatment effect as the rule defines it.
        standard_error: ``(R,)``: of ``ate``; 0 where nothing was left to chance.
        relevant: ``(R,)``: the rule's decision.
        settled: ``(R,)``: whether the rule came to an end with the region, and not only to its last draw.
        p_values: ``(R,)``: of the sequential rule's null hypothesis; not a number for rules that test nothing.
    """

    ites: Floats
    ate: Floats
    standard_error: Floats
    relevant: Bools
    settled: Bools
    p_values: Floats


class Rule(ABC):
    """Decides how often each region is asked about."""

    name: ClassVar[str]

    @abstractmethod
    def sample(self, ask: Ask, n_regions: int) -> Verdict:
        """Ask until every region is decided."""

    def parameters(self) -> dict[str, Any]:
        """Name and settings, for the record."""
        return {"name": self.name, **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class PaperRule(Rule):
    """As published (Eq. 3) and released: ``n_screen`` draws; where all |ITE| < tau the effect is 0. Else the mean of
    ``n_samples`` fresh draws, set to 0 where |mean| < tau (the released code's second cut)."""

    n_screen: int = 3
    n_samples: int = 50
    tau: float = 0.02
    name: ClassVar[str] = "paper"

    def sample(self, ask: Ask, n_regions: int) -> Verdict:
        ites = np.full((n_regions, self.n_screen + self.n_samples), np.nan)
        ites[:, : self.n_screen] = ask(range(n_regions), range(self.n_screen))
        passed = (np.abs(ites[:, : self.n_screen]) >= self.tau).any(1)
        rows = np.flatnonzero(passed)
        if len(rows):
            ites[rows, self.n_screen :] = ask(rows.tolist(), range(self.n_screen, ites.shape[1]))
        fresh = np.where(passed[:, None], ites[:, self.n_screen :], 0.0)
        mean = fresh.mean(1)
        relevant = np.abs(mean) >= self.tau
        error = np.where(passed, _standard_error(fresh), _standard_error(ites[:, : self.n_screen]))
        nothing = np.full(n_regions, np.nan)
        return Verdict(ites, np.where(relevant, mean, 0.0), error, relevant, np.ones(n_regions, bool), nothing)


@dataclass(frozen=True)
class ExhaustiveRule(Rule):
    """Every donor of a finite bank once: the mean is the effect itself, without sampling error, and no tau is applied.
    A region is relevant where that mean is not 0."""

    n_donors: int
    name: ClassVar[str] = "exhaustive"

    def sample(self, ask: Ask, n_regions: int) -> Verdict:
        ites = ask(range(n_regions), range(self.n_donors))
        ate = ites.mean(1)
        everything = np.ones(n_regions, bool)
        return Verdict(ites, ate, np.zeros(n_regions), ate != 0, everything, np.full(n_regions, np.nan))


@dataclass(frozen=True)
class SequentialRule(Rule):
    """Draws in growing looks until each region is decided, with a bound on the share of false calls among all calls.

    **Null hypothesis** of a region: |ATE| <= tau. Not ATE = 0, since almost every region within reach has *some*
    effect. **Test at a look**: one-sided Student test of |mean| against tau, on the region's draws and one imagined
    draw that lies on the null's edge (:func:`interval_null_p_value`). **Across looks**: a region's p-value is the
    smallest that any look gave, times the number of looks (Bonferroni), so it holds whenever and for whatever reason
    the region is left. **Across the map**: Benjamini-Hochberg at level ``fdr`` over the running p-values; these only
    fall, so a region once called stays called.

    A region is left when it is called and its mean is accurate enough (the 95 % interval's half-width is at most
    ``accuracy`` times |mean|, or tau where that is more); or when it is futile (even were its effect a one-sided 80 %
    bound above the estimate, the last look would not call it); or after the last look, and only then it is not settled.

    **Assumptions and their limits.** Draws of one region are independent of those of all others, which is so by
    construction (draws belong to seed, region and draw). Student's test takes the mean of few draws for normal. ITEs of
    a hard Dice are not: many are 0. A region whose effect lies opposite in rare draws that the first look missed can be
    called wrongly; the imagined draw and the Bonferroni factor leave room for that, but no bound on ITEs in
    [-100, 100] that uses nothing else is useful at such numbers of draws. The chosen level is therefore a claim that
    simulations and phantoms support (``docs/results``), not a theorem. Benjamini-Hochberg itself needs p-values that
    are independent or positively dependent; running ones are so but for the common moment at which they are looked at.
    Intervals ignore that the number of draws was chosen by looking.

    Args:
        tau: the largest effect that counts as none, in Dice points.
        fdr: the share of regions called relevant although |ATE| <= tau that is accepted on average.
        looks: the numbers of draws after which one looks, growing.
        accuracy: see above.
    """

    tau: float = 0.02
    fdr: float = 0.05
    looks: tuple[int, ...] = (8, 16, 32, 64, 128)
    accuracy: float = 0.3
    name: ClassVar[str] = "sequential"

    def __post_init__(self) -> None:
        if not 0 < self.fdr < 1:
            raise ValueError(f"fdr={self.fdr}: a share between 0 and 1, such as 0.05.")
        if not self.looks or self.looks[0] < 2 or any(b <= a for a, b in zip(self.looks, self.looks[1:], strict=False)):
            raise ValueError(f"looks={self.looks}: growing numbers of draws, the first at least 2.")
        if not self.accuracy > 0:
            raise ValueError(f"accuracy={self.accuracy}: a positive share of the effect.")

    def sample(self, ask: Ask, n_regions: int) -> Verdict:
        ites = np.full((n_regions, self.looks[-1]), np.nan)
        p_values = np.ones(n_regions)
        called, settled = np.zeros(n_regions, bool), np.zeros(n_regions, bool)
        done = 0
        for look in self.looks:
            rows = np.flatnonzero(~settled)
            if not len(rows):
                break
            ites[rows, done:look] = ask(rows.tolist(), range(done, look))
            done = look
            drawn = ites[rows, :look]
            p_values[rows] = np.minimum(p_values[rows], len(self.looks) * interval_null_p_value(drawn, self.tau))
            called = benjamini_hochberg(p_values) <= self.fdr
            settled[rows] = np.where(called[rows], self._accurate(drawn), self._futile(drawn))
        ites = ites[:, :done]
        drawn_at_all = ~np.isnan(ites)
        ate = np.where(drawn_at_all, ites, 0.0).sum(1) / drawn_at_all.sum(1)
        return Verdict(ites, ate, _standard_error(ites), called, settled, p_values)

    def _accurate(self, drawn: Floats) -> Bools:
        half = stats.t.ppf(0.975, drawn.shape[1] - 1) * _standard_error(drawn)
        return half <= np.maximum(self.accuracy * np.abs(drawn.mean(1)), self.tau)

    def _futile(self, drawn: Floats) -> Bools:
        """Whether the last look could not call the region, its effect being at most an 80 % bound above the estimate
        and its spread as estimated; with the level that Benjamini-Hochberg has when all regions are called."""
        n, last = drawn.shape[1], self.looks[-1]
        bound = np.abs(drawn.mean(1)) + stats.t.ppf(0.8, n - 1) * _standard_error(drawn)
        needed = stats.t.isf(self.fdr / len(self.looks), last) * drawn.std(1, ddof=1) / last**0.5
        return bound - self.tau <= needed


def make_rule(name: str | Rule, n_screen: int, n_samples: int, tau: float, fdr: float, accuracy: float) -> Rule:
    """A rule by its name; a rule itself is handed back."""
    if isinstance(name, Rule):
        return name
    if tau < 0 or n_screen < 1 or n_samples < 2:
        raise ValueError(f"tau={tau}, n_screen={n_screen}, n_samples={n_samples}: at least 0, 1 and 2 are needed.")
    if name == "paper":
        return PaperRule(n_screen, n_samples, tau)
    if name == "sequential":
        return SequentialRule(tau, fdr, accuracy=accuracy)
    raise ValueError(f"rule={name!r}: choose 'paper', 'exhaustive' or 'sequential', or give a Rule.")


def interval_null_p_value(ites: Floats, tau: float) -> Floats:
    """One-sided p-values ``(R,)`` of ``|ATE| <= tau`` from draws ``(R, n)``.

    One imagined draw is added that lies on the null's edge, at tau with the sign of the mean. With ``m`` and ``s`` the
    mean and the standard deviation of these ``n + 1``, and ``t = (|m| - tau) / (s / sqrt(n + 1))``, the p-value is the
    chance that Student's t with ``n`` degrees of freedom exceeds ``t``, plus that of the null's far edge. Equal draws,
    whose spread says nothing, then give ``t = n`` instead of certainty.

    Example:
        >>> interval_null_p_value(np.array([[0.5] * 8, [0.02] * 8, [0.0] * 8]), tau=0.02).round(4).tolist()
        [0.0, 1.0, 1.0]
    """
    edge = tau * np.where(ites.mean(1) < 0, -1.0, 1.0)
    n = ites.shape[1]
    with_edge = np.concatenate([ites, edge[:, None]], axis=1)
    size, error = np.abs(with_edge.mean(1)), _standard_error(with_edge)
    with np.errstate(divide="ignore", invalid="ignore"):
        near, far = (size - tau) / error, (size + tau) / error
    p_value = stats.t.sf(near, n) + stats.t.sf(far, n)
    # No spread at all: every draw lies on the edge itself.
    return np.where((size <= tau) | (error == 0), 1.0, np.minimum(p_value, 1.0))


def _standard_error(ites: Floats) -> Floats:
    """Of each row's mean, over the draws that there are; not a number for a single one."""
    count = (~np.isnan(ites)).sum(1)
    centred = ites - np.nanmean(ites, axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(np.nansum(centred**2, axis=1) / (count - 1) / count)
