# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

from monai_causal.metrics import leak_absolute, leak_signed


@pytest.mark.parametrize(
    ("tdd", "odd", "absolute", "signed"),
    [
        (0.5, 0.25, 0.5, 0.5),
        (0.5, -0.25, 0.5, -0.5),
        (-0.5, 0.25, 0.5, 0.5),
        (-0.5, -0.25, 0.5, -0.5),
        (0.5, 0.0, 0.0, 0.0),
        (1e-8, 1e-8, 0.5, 0.5),
        (-1e-8, 1e-8, 0.5, 0.5),
        (0.0, 3e-8, 3.0, 3.0),
    ],
)
def test_by_hand(tdd: float, odd: float, absolute: float, signed: float) -> None:
    """The last three show the epsilon of 1e-8; it never meets a TDD of the other sign."""
    assert leak_absolute(tdd, odd) == pytest.approx(absolute, rel=1e-7)
    assert leak_signed(tdd, odd) == pytest.approx(signed, rel=1e-7)
    both = torch.tensor([tdd, tdd], dtype=torch.float64), torch.tensor([odd, -odd], dtype=torch.float64)
    assert leak_absolute(*both).tolist() == pytest.approx([absolute, absolute], rel=1e-7)
    assert leak_signed(*both).tolist() == pytest.approx([signed, -signed], rel=1e-7)
