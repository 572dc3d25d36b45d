# SPDX-License-Identifier: Apache-2.0
"""The learning rate rises, stands at its highest, and falls along a cosine."""

from __future__ import annotations

import math

import pytest

from monai_causal.apps.medfocus.learning_rate import warm_cosine


def test_it_rises_in_a_twentieth_of_the_steps_and_falls_to_nothing() -> None:
    steps = 200
    rates = [warm_cosine(step, steps) for step in range(steps + 1)]
    assert rates[:10] == [pytest.approx((step + 1) / 10) for step in range(10)]
    assert rates[10:] == [pytest.approx((1 + math.cos(math.pi * step / 190)) / 2) for step in range(191)]


def test_few_steps_are_enough() -> None:
    assert [warm_cosine(step, 1) for step in range(2)] == [1.0, 1.0]
