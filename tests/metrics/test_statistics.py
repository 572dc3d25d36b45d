# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import optimize, stats

from monai_causal.metrics import benjamini_hochberg, compare_methods, holm, paired_bootstrap, wilcoxon
from monai_causal.metrics import statistics as module

# --- paired bootstrap


def slow_interval(differences: np.ndarray, means: np.ndarray, level: float, bca: bool) -> tuple[float, float]:
    """Efron and Tibshirani (1993), Eqs. 14.9-14.15: the acceleration from the jackknife, image by image."""
    mean = sum(differences) / len(differences)
    below = sum(1.0 if m < mean else 0.5 if m == mean else 0.0 for m in means) / len(means)
    bias = stats.norm.ppf(below) if bca else 0.0
    without = [np.delete(differences, k).mean() for k in range(len(differences))]
    steps = [np.mean(without) - value for value in without]
    acceleration = sum(s**3 for s in steps) / (6 * sum(s**2 for s in steps) ** 1.5) if bca else 0.0
    bounds = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + stats.norm.ppf(tail)
        bounds.append(np.quantile(means, stats.norm.cdf(bias + z / (1 - acceleration * z))))
    return bounds[0], bounds[1]


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize("level", [0.95, 0.8])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("whole", [False, True], ids=["continuous", "whole numbers"])
def test_intervals_are_the_textbook_s(method, level: float, seed: int, whole: bool) -> None:
    """Of whole numbers many resamples have the very mean of the sample; they count half."""
    generator = np.random.default_rng(seed)
    a, b = generator.exponential(size=(2, 25)) ** 1.5
    if whole:
        a, b = np.rint(a), np.rint(b)
    found = paired_bootstrap(a, b, n=3000, level=level, seed=seed, method=method)
    indices = np.random.default_rng(seed).integers(25, size=(3000, 25))
    means = np.array([sum((a - b)[row]) / 25 for row in indices])
    low, high = slow_interval(a - b, means, level, method == "bca")
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
    assert found.difference == pytest.approx(a.mean() - b.mean(), rel=1e-12)
    assert (found.level, found.images) == (level, 25)


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize("shift", [0.0, 0.3, -0.5, 0.2])
def test_p_is_where_the_interval_touches_zero(method, shift: float) -> None:
    differences = np.random.default_rng(7).exponential(size=30) - 1 + shift

    def nearer_bound(level: float) -> float:
        found = paired_bootstrap(differences, level=level, n=20000, method=method)
        return found.low if found.difference > 0 else found.high

    found = paired_bootstrap(differences, n=20000, method=method)
    level = optimize.brentq(nearer_bound, 1e-6, 1 - 1e-4, xtol=1e-6)
    assert found.p == pytest.approx(1 - level, rel=0.02)


def test_both_methods_differ_on_skewed_differences_and_agree_with_scipy() -> None:
    differences = np.random.default_rng(1).exponential(size=40)
    for method, peer in (("bca", "BCa"), ("percentile", "percentile")):
        found = paired_bootstrap(differences, n=20000, method=method)
        expected = stats.bootstrap(
            (differences,), np.mean, n_resamples=20000, method=peer, rng=np.random.default_rng(0)
        ).confidence_interval
        assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.012)
    assert paired_bootstrap(differences).low > paired_bootstrap(differences, method="percentile").low + 0.005


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize("distribution", ["normal", "exponential"])
def test_intervals_cover_as_often_as_they_say(method, distribution: str) -> None:
    """400 studies of 50 images whose true mean difference is 1: the nominal .8 within the scatter of 400 trials (four
    standard deviations, .08); a paired test keeps its level, too."""
    generator = np.random.default_rng(0)
    scale = 2.0 if distribution == "normal" else 1.0
    studies = generator.normal(1, scale, (400, 50)) if distribution == "normal" else generator.exponential(1, (400, 50))
    noise = generator.normal(0, 5, (400, 50))  # what both methods share, image by image
    found = [
        paired_bootstrap(study + shared, shared, n=400, level=0.8, seed=k, method=method)
        for k, (study, shared) in enumerate(zip(studies, noise, strict=True))
    ]
    covered = np.mean([one.low <= 1 <= one.high for one in found])
    assert covered == pytest.approx(0.8, abs=0.08)
    tested = [paired_bootstrap(study - 1, n=400, seed=k, method=method).p for k, study in enumerate(studies)]
    assert np.mean(np.array(tested) < 0.2) == pytest.approx(0.2, abs=0.08)


def test_pairing_is_kept() -> None:
    """Two methods that differ by .1 on each of very different images."""
    b = np.random.default_rng(0).normal(0, 100, 50)
    found = paired_bootstrap(b + 0.1 + 0.01 * np.random.default_rng(1).normal(size=50), b)
    assert 0.09 < found.low < 0.1 < found.high < 0.11
    assert found.p < 0.001
    smallest = paired_bootstrap(b + 0.1 + np.linspace(0, 0.01, 50), b, method="percentile").p
    assert smallest == pytest.approx(2 / 10001)
    other_way = paired_bootstrap(b, b + 0.1)
    assert other_way.difference == pytest.approx(-0.1)


def test_blocks_do_not_matter_and_the_seed_does(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(0).normal(size=30)
    whole = paired_bootstrap(differences, n=500, seed=1)
    assert paired_bootstrap(torch.as_tensor(differences), n=500, seed=1) == whole
    assert paired_bootstrap(differences, n=500, seed=2) != whole
    monkeypatch.setattr(module, "_AT_ONCE", 30 * 7)
    assert paired_bootstrap(differences, n=500, seed=1) == whole


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("value", "p"), [(0.0, 1.0), (0.3, 2 / 101)])
def test_where_all_differences_are_the_same_so_is_the_interval(value: float, p: float) -> None:
    found = paired_bootstrap([value] * 5, n=100)
    assert (found.difference, found.low, found.high, found.p) == (value, value, value, p)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0],), "1 images: a bootstrap resamples at least two"),
        (([],), r"values of shapes \(0,\)"),
        (([1.0, 2.0], [1.0]), r"values of shapes \(2,\) and \(1,\)"),
        (([[1.0, 2.0]],), r"values of shapes \(1, 2\)"),
        (([1.0, np.nan, np.inf],), "2 values of a are NaN or infinite, the first of image 1"),
        (([1.0, 2.0], [np.nan, 0]), "1 values of b are NaN or infinite, the first of image 0"),
        (([1.0, 2.0], None, 0), "n=0"),
        (([1.0, 2.0], None, 10, 95), "level=95"),
        (([1.0, 2.0], None, 10, 0.95, 0, "basic"), "method='basic': choose"),
    ],
)
def test_what_has_no_bootstrap_is_refused(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(*arguments)


# --- many comparisons


def test_holm_by_hand() -> None:
    """.005 x 4, .01 x 3, .03 x 2, .04 x 1, and no step below the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6, 0.7]).tolist() == [1.0, 1.0, 1.0]
    assert holm([0.02, 0.02]).tolist() == pytest.approx([0.04, 0.04])
    assert holm([0.3]).tolist() == [0.3]
    assert holm([]).tolist() == []


def test_benjamini_hochberg_by_hand() -> None:
    """.005 x 4 / 1, .01 x 4 / 2, .03 x 4 / 3, .04 x 4 / 4, and no step above the one after."""
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert benjamini_hochberg([0.04, 0.05, 0.9]).tolist() == pytest.approx([0.075, 0.075, 0.9])
    assert benjamini_hochberg([]).tolist() == []


@pytest.mark.parametrize("seed", range(5))
def test_adjusted_values_decide_as_the_procedures_do(seed: int) -> None:
    """Holm: step down while p_(k) <= level / (m - k + 1). Benjamini and Hochberg: to the last p_(k) <= level k / m."""
    p = np.round(np.random.default_rng(seed).random(12) ** 3, 3)
    order, m = np.argsort(p), 12
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p), rtol=1e-12)
    for level in (0.01, 0.05, 0.2, 0.5):
        rejected = set()
        for k, index in enumerate(order):
            if p[index] > level / (m - k):
                break
            rejected.add(index)
        assert set(np.flatnonzero(holm(p) <= level + 1e-12)) == rejected
        last = max((k for k, index in enumerate(order, 1) if p[index] <= level * k / m), default=0)
        assert set(np.flatnonzero(benjamini_hochberg(p) <= level + 1e-12)) == set(order[:last])


@pytest.mark.parametrize("p", [[0.1, 1.2], [-0.1], [np.nan, 0.5], [[0.1]]])
def test_what_is_no_p_value_is_refused(p) -> None:
    for adjust in (holm, benjamini_hochberg):
        with pytest.raises(ValueError, match="must be a row of numbers between 0 and 1"):
            adjust(p)


# --- Wilcoxon


def test_wilcoxon_by_hand() -> None:
    """Differences 1 2 3 4 5, all positive: of the 32 signs one is as extreme, and one on the other side: 2 / 32."""
    assert wilcoxon([1, 2, 3, 4, 5]) == 0.0625
    assert wilcoxon([11, 12, 13, 14, 15], [10, 10, 10, 10, 10]) == 0.0625
    # Signed ranks 1 2 3 4 -5: the negative sum is 5, and 10 of the 32 signs give 5 or less.
    assert wilcoxon([1, 2, 3, 4, -5]) == pytest.approx(20 / 32)


def test_images_without_a_difference_are_ranked_and_left_out() -> None:
    differences = np.array([0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, -9, 10, 11, 12, 13, -14.0])
    for method in ("pratt", "wilcox", "zsplit"):
        assert wilcoxon(differences, zero_method=method) == stats.wilcoxon(differences, zero_method=method).pvalue
    assert wilcoxon(differences) == wilcoxon(differences, zero_method="pratt")
    assert wilcoxon(differences, zero_method="wilcox") != wilcoxon(differences)
    assert wilcoxon([0.5, 0.7], [0.5, 0.7]) == 1.0


# --- all pairs


@pytest.mark.parametrize("higher", [True, False])
def test_all_pairs_by_hand(higher: bool) -> None:
    table = {
        "dea": [0.5, 0.4, 0.6, 0.5, 0.7, 0.3],
        "ega": [0.2, 0.4, 0.5, 0.1, 0.9, 0.2],
        "ria": torch.tensor([0.1, 0.1, 0.1, 0.1, 0.1, 0.1], dtype=torch.float64),
    }
    found = compare_methods(table, higher_is_better=higher, n=500, level=0.9, seed=2)
    assert [(pair.first, pair.second) for pair in found] == [("dea", "ega"), ("dea", "ria"), ("ega", "ria")]
    for pair in found:
        interval = paired_bootstrap(table[pair.first], table[pair.second], n=500, level=0.9, seed=2)
        assert (pair.difference, pair.low, pair.high) == (interval.difference, interval.low, interval.high)
        assert pair.p == wilcoxon(table[pair.first], table[pair.second])
    assert [pair.p_holm for pair in found] == holm([pair.p for pair in found]).tolist()
    assert found[1].p_holm > found[1].p
    first, _, last = found
    assert first.difference == pytest.approx(0.7 / 6)
    assert (first.wins, first.losses, first.ties) == ((4, 1, 1) if higher else (1, 4, 1))
    assert (first.worst, first.worst_image) == pytest.approx((0.2, 4) if higher else (0.4, 3))
    assert (last.wins, last.losses, last.ties) == ((5, 0, 1) if higher else (0, 5, 1))
    assert (last.worst, last.worst_image) == pytest.approx((0.0, 3) if higher else (0.8, 4))


def test_tables_that_do_not_compare_are_refused() -> None:
    with pytest.raises(ValueError, match="1 methods: there is nothing to compare"):
        compare_methods({"dea": [1.0, 2.0]})
    with pytest.raises(ValueError, match=r"dea against ria: values of shapes \(2,\) and \(3,\)"):
        compare_methods({"dea": [1.0, 2.0], "ega": [1.0, 3.0], "ria": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match="dea against ega: 1 values of b are NaN or infinite, the first of image 1"):
        compare_methods({"dea": [1.0, 2.0], "ega": [1.0, np.nan]})
