# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from monai_causal.visualize.sampling import (
    ExhaustiveRule,
    PaperRule,
    Rule,
    SequentialRule,
    interval_null_p_value,
    make_rule,
)

Floats = NDArray[np.float64]
Draw = Callable[[NDArray[np.int64], int], Floats]


class Asked:
    """Answers from a table ``(regions, draws)`` and remembers what it was asked."""

    def __init__(self, table: Floats) -> None:
        self.table = table
        self.pairs: list[tuple[int, int]] = []

    def __call__(self, rows: Sequence[int], draws: range) -> Floats:
        self.pairs += [(row, draw) for row in rows for draw in draws]
        return self.table[np.ix_(list(rows), list(draws))]


def table_of(regions: int, draws: int, seed: int = 0) -> Floats:
    """Effects of all kinds: some regions far from tau, some near, some with an effect now and then."""
    rng = np.random.default_rng(seed)
    mean = rng.choice([0.0, 0.01, 0.02, 0.03, -0.05, 0.3], regions)
    spread = rng.choice([0.001, 0.01, 0.05], regions)
    return mean[:, None] + spread[:, None] * rng.standard_normal((regions, draws))


# --- as published


def slow_paper(ites: Floats, n_screen: int, n_samples: int, tau: float) -> tuple[float, int]:
    """Eq. 3 with the released code's second cut, for one region; and the draws that it takes."""
    if max(abs(effect) for effect in ites[:n_screen]) < tau:
        return 0.0, n_screen
    mean = sum(ites[n_screen : n_screen + n_samples]) / n_samples
    return (0.0 if abs(mean) < tau else mean), n_screen + n_samples


@pytest.mark.parametrize(("n_screen", "n_samples", "tau"), [(3, 50, 0.02), (1, 7, 0.05), (5, 20, 0.0)])
def test_paper_rule_is_equation_3(n_screen: int, n_samples: int, tau: float) -> None:
    table = table_of(60, n_screen + n_samples)
    table[3] = 0.0
    table[4], table[4, 0] = 0.0, tau + 1  # passes the screening and is cut by its mean, unless tau is 0
    asked = Asked(table)
    verdict = PaperRule(n_screen, n_samples, tau).sample(asked, len(table))
    expected = [slow_paper(row, n_screen, n_samples, tau) for row in table]
    np.testing.assert_allclose(verdict.ate, [effect for effect, _ in expected], rtol=0, atol=1e-15)
    assert (~np.isnan(verdict.ites)).sum(1).tolist() == [count for _, count in expected]
    if tau:
        assert verdict.relevant.tolist() == [effect != 0 for effect, _ in expected]
        assert len({count for _, count in expected}) == 2
        assert 0 < verdict.relevant.sum() < len(table)
    assert len(asked.pairs) == len(set(asked.pairs)) == sum(count for _, count in expected)
    for row, (_, count) in enumerate(expected):
        drawn = table[row, n_screen:] if count > n_screen else table[row, :n_screen]
        expected_error = stats.sem(drawn) if len(drawn) > 1 else np.nan
        np.testing.assert_allclose(verdict.standard_error[row], expected_error, atol=1e-15)


def test_paper_rule_with_nothing_to_follow() -> None:
    asked = Asked(np.zeros((4, 53)))
    verdict = PaperRule().sample(asked, 4)
    assert len(asked.pairs) == 12
    assert verdict.ate.tolist() == [0.0] * 4
    assert not verdict.relevant.any()
    assert verdict.settled.all()


# --- exhaustive


def test_exhaustive_rule_is_the_mean_over_the_bank_and_cuts_nothing() -> None:
    table = table_of(20, 11)
    table[2], table[3] = 0.0, 1e-9
    verdict = ExhaustiveRule(11).sample(Asked(table), 20)
    np.testing.assert_allclose(verdict.ate, [sum(row) / 11 for row in table], rtol=1e-14)
    assert verdict.relevant.tolist() == [row != 2 for row in range(20)]
    assert (verdict.standard_error == 0).all()
    assert verdict.settled.all()
    np.testing.assert_array_equal(verdict.ites, table)


# --- sequential


def slow_p_value(ites: Floats, tau: float) -> float:
    """The test of one region, from its description."""
    edge = -tau if ites.mean() < 0 else tau
    drawn = [*ites, edge]
    mean, error = abs(np.mean(drawn)), np.std(drawn, ddof=1) / np.sqrt(len(drawn))
    if mean <= tau or error == 0:
        return 1.0
    return float(1 - stats.t.cdf((mean - tau) / error, len(ites)) + 1 - stats.t.cdf((mean + tau) / error, len(ites)))


def test_p_values() -> None:
    table = table_of(80, 9)
    table[0], table[1], table[2] = 0.02, 0.0, -0.5
    for tau in (0.02, 0.0, 0.1):
        found = interval_null_p_value(table, tau)
        np.testing.assert_allclose(found, [min(1.0, slow_p_value(row, tau)) for row in table], atol=1e-13)


def test_draws_that_are_all_equal_are_no_certainty() -> None:
    """t = n: what 9 equal draws say, whatever their size."""
    found = interval_null_p_value(np.array([[0.5] * 9, [-3.0] * 9]), 0.02)
    n, a, tau = 9, np.array([0.5, 3.0]), 0.02
    size, error = (n * a + tau) / (n + 1), (a - tau) / (n + 1)
    np.testing.assert_allclose((size - tau) / error, n)
    np.testing.assert_allclose(found, stats.t.sf(n, n) + stats.t.sf((size + tau) / error, n), rtol=1e-9)
    assert (found < 1e-4).all()


def slow_sequential(table: Floats, rule: SequentialRule) -> dict[str, Floats]:
    """The rule region by region and look by look, from its docstring."""
    count, looks = len(table), rule.looks
    p_values, drawn = [1.0] * count, [0] * count
    open_regions, called = set(range(count)), set()
    for look in looks:
        if not open_regions:
            break
        for row in open_regions:
            drawn[row] = look
            p_values[row] = min(p_values[row], len(looks) * min(1.0, slow_p_value(table[row, :look], rule.tau)))
        ranked = sorted(range(count), key=lambda row: p_values[row])
        passing = [rank for rank, row in enumerate(ranked, 1) if p_values[row] <= rule.fdr * rank / count]
        called = set(ranked[: max(passing, default=0)])
        for row in sorted(open_regions):
            mine = table[row, :look]
            mean, error = abs(mine.mean()), stats.sem(mine)
            if row in called:
                done = stats.t.ppf(0.975, look - 1) * error <= max(rule.accuracy * mean, rule.tau)
            else:
                needed = stats.t.isf(rule.fdr / len(looks), looks[-1]) * mine.std(ddof=1) / np.sqrt(looks[-1])
                done = mean + stats.t.ppf(0.8, look - 1) * error - rule.tau <= needed
            if done:
                open_regions.discard(row)
    return {
        "p_values": np.array(p_values),
        "draws": np.array(drawn),
        "relevant": np.array([row in called for row in range(count)]),
        "settled": np.array([row not in open_regions for row in range(count)]),
        "ate": np.array([table[row, : drawn[row]].mean() for row in range(count)]),
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rule", [SequentialRule(), SequentialRule(0.01, 0.2, (4, 6, 30), 0.1)])
def test_sequential_rule_is_what_it_says(rule: SequentialRule, seed: int) -> None:
    table = table_of(120, rule.looks[-1], seed)
    table[:20] = np.where(table[:20] > 0.03, 0.3, 0.0)  # rare flips
    asked = Asked(table)
    verdict = rule.sample(asked, len(table))
    expected = slow_sequential(table, rule)
    np.testing.assert_allclose(verdict.p_values, expected["p_values"], atol=1e-12)
    np.testing.assert_array_equal((~np.isnan(verdict.ites)).sum(1), expected["draws"])
    np.testing.assert_array_equal(verdict.relevant, expected["relevant"])
    np.testing.assert_array_equal(verdict.settled, expected["settled"])
    np.testing.assert_allclose(verdict.ate, expected["ate"], rtol=1e-12)
    assert len(asked.pairs) == len(set(asked.pairs)) == expected["draws"].sum()
    # All ends are reached: called and accurate, futile, and out of draws.
    assert 0 < verdict.relevant.sum() < len(table)
    assert len(set(expected["draws"])) >= 3


def populations(seed: int) -> dict[str, tuple[Draw, Floats]]:
    """What regions could be like: how to draw from them, and their true effects. A third of the nulls lie on the
    edge."""
    rng = np.random.default_rng(seed)
    regions, causal = 300, 40
    mean = np.zeros(regions)
    mean[:causal] = rng.choice([-1, 1], causal) * rng.uniform(0.05, 0.5, causal)
    mean[causal : causal + 80] = 0.02
    flip = rng.choice([0.05, 0.1, 0.2, 0.4], regions)
    chance = rng.uniform(0, 0.02, regions) / flip
    chance[:causal] = np.minimum(1, rng.uniform(0.05, 0.4, causal) / flip[:causal])
    chance[causal : causal + 80] = 0.02 / flip[causal : causal + 80]
    sign = rng.choice([-1, 1], regions)

    def normal(rows: NDArray[np.int64], count: int) -> Floats:
        return mean[rows][:, None] + 0.04 * rng.standard_normal((len(rows), count))

    def flips(rows: NDArray[np.int64], count: int) -> Floats:
        return (sign * flip)[rows][:, None] * (rng.random((len(rows), count)) < chance[rows][:, None])

    return {"normal": (normal, mean), "flips": (flips, sign * flip * chance)}


def ask(draw: Draw, rows: Sequence[int], draws: range) -> Floats:
    return draw(np.asarray(rows), len(draws))


@pytest.mark.parametrize("kind", ["normal", "flips"])
def test_false_discovery_rate_and_power_by_simulation(kind: str) -> None:
    shares, powers, papers = [], [], []
    for seed in range(12):
        draw, truth = populations(seed)[kind]
        null = np.abs(truth) <= 0.02 + 1e-12
        for rule, found in ((SequentialRule(), shares), (PaperRule(), papers)):
            verdict = rule.sample(partial(ask, draw), len(truth))
            found.append((verdict.relevant & null).sum() / max(1, verdict.relevant.sum()))
            if isinstance(rule, SequentialRule):
                powers.append((verdict.relevant & ~null).sum() / (~null).sum())
    assert np.mean(shares) <= 0.05
    assert np.mean(powers) >= 0.9
    assert np.mean(papers) > 0.3  # what a threshold on a mean, without a test, lets through


def test_accuracy_is_reached_by_drawing_on() -> None:
    """A large and noisy effect is called at once and then measured until it is known well enough."""
    rng = np.random.default_rng(0)
    table = 2.0 + 0.6 * rng.standard_normal((50, 128))
    coarse, fine = (SequentialRule(accuracy=accuracy).sample(Asked(table), 50) for accuracy in (10.0, 0.1))
    assert coarse.relevant.all()
    assert fine.relevant.all()
    assert (~np.isnan(coarse.ites)).sum(1).tolist() == [8] * 50
    settled = fine.settled
    half = stats.t.ppf(0.975, (~np.isnan(fine.ites)).sum(1) - 1) * fine.standard_error
    assert settled.any()
    assert (half[settled] <= 0.1 * np.abs(fine.ate[settled])).all()
    assert ((~np.isnan(fine.ites)).sum(1)[~settled] == 128).all()


# --- by name


def test_rules_by_name() -> None:
    assert make_rule("paper", 2, 9, 0.1, 0.2, 0.3) == PaperRule(2, 9, 0.1)
    assert make_rule("sequential", 2, 9, 0.1, 0.2, 0.5) == SequentialRule(0.1, 0.2, accuracy=0.5)
    own = ExhaustiveRule(4)
    assert make_rule(own, 3, 50, 0.02, 0.05, 0.3) is own
    assert SequentialRule().parameters() == {
        "name": "sequential",
        "tau": 0.02,
        "fdr": 0.05,
        "looks": (8, 16, 32, 64, 128),
        "accuracy": 0.3,
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: make_rule("fast", 3, 50, 0.02, 0.05, 0.3),
            "rule='fast': choose 'paper', 'exhaustive' or 'sequential'",
        ),
        (lambda: make_rule("paper", 0, 50, 0.02, 0.05, 0.3), "n_screen=0"),
        (lambda: make_rule("paper", 3, 1, 0.02, 0.05, 0.3), "n_samples=1"),
        (lambda: make_rule("paper", 3, 50, -0.1, 0.05, 0.3), "tau=-0.1"),
        (lambda: SequentialRule(fdr=1.0), "fdr=1.0: a share between 0 and 1"),
        (lambda: SequentialRule(looks=(8, 8)), r"looks=\(8, 8\): growing numbers of draws"),
        (lambda: SequentialRule(looks=(1, 8)), "the first at least 2"),
        (lambda: SequentialRule(looks=()), r"looks=\(\)"),
        (lambda: SequentialRule(accuracy=0), "accuracy=0: a positive share"),
    ],
)
def test_rules_that_cannot_be(make: Callable[[], Rule], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
