# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_causal.networks.blocks.stochastic_depth import rising_rates


def test_rates_rise_from_nothing_to_the_last() -> None:
    found = rising_rates(0.3, (2, 1, 1))
    assert [len(level) for level in found] == [2, 1, 1]
    assert [rate for level in found for rate in level] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_a_single_block_is_never_left_out() -> None:
    assert rising_rates(0.3, (1,)) == [[0.0]]
