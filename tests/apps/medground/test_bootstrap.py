# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_causal.apps.medground.bootstrap import clustered_bootstrap


def test_it_agrees_with_a_loop_over_images() -> None:
    values, images = [0.1, 0.9, 0.4, 0.3, 0.8], ["b", "b", "a", "c", "c"]
    found = clustered_bootstrap(values, images, n=400, seed=3)
    by_image = {name: [v for v, i in zip(values, images, strict=True) if i == name] for name in "abc"}
    drawn = np.random.default_rng(3).integers(0, 3, (400, 3))
    means = [np.mean([value for place in one for value in by_image["abc"[place]]]) for one in drawn]
    assert found.mean == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


def test_samples_of_one_image_are_not_taken_for_independent() -> None:
    generator = np.random.default_rng(0)
    one_each = generator.normal(size=40)
    values = np.repeat(one_each, 10)
    shared = clustered_bootstrap(values, [str(number // 10) for number in range(400)])
    apart = clustered_bootstrap(values, [str(number) for number in range(400)])
    widths = [float(np.diff([one.low, one.high])[0]) for one in (shared, apart)]  # type: ignore[list-item]
    # ten copies of 40 values know no more than 40 values: the interval is sqrt(10) times as wide
    assert widths[0] / widths[1] == pytest.approx(10**0.5, rel=0.05)


def test_a_clear_difference_has_a_small_p_and_none_has_one() -> None:
    names = [str(number) for number in range(30)]
    assert clustered_bootstrap([0.5] * 29 + [0.4], names, n=1000).p == pytest.approx(2 / 1001)
    assert clustered_bootstrap([0.0] * 30, names, n=1000).p == 1.0


def test_one_image_has_no_interval_and_no_values_are_an_error() -> None:
    assert clustered_bootstrap([0.2, 0.4], ["a", "a"])[1:] == (None, None, None)
    with pytest.raises(ValueError, match="one per sample"):
        clustered_bootstrap([0.2, 0.4], ["a"])
