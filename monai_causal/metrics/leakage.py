# SPDX-License-Identifier: Apache-2.0
"""How much of a map's causal weight lies outside its target: LeakAbs (Eq. 5) and the signed ratio."""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor

__all__ = ["EPSILON", "leak_absolute", "leak_signed"]

EPSILON = 1e-8
"""What keeps the denominators of Eqs. 1 and 3-5 from 0."""

Number = TypeVar("Number", float, Tensor)


def leak_absolute(tdd: Number, odd: Number) -> Number:
    """``|ODD| / (|TDD| + epsilon)`` (Eq. 5), a ratio; 0: nothing outside the target matters.

    Example:
        >>> round(leak_absolute(tdd=0.5, odd=-0.25), 6), round(leak_signed(tdd=0.5, odd=-0.25), 6)
        (0.5, -0.5)
    """
    return abs(odd) / (abs(tdd) + EPSILON)


def leak_signed(tdd: Number, odd: Number) -> Number:
    """``ODD / (|TDD| + epsilon)``: LeakAbs with the sign of ODD.

    The paper names a signed ratio and gives no equation. Here its sign says one thing: positive where occluding the
    outside lowers the score as occluding the target should, negative where it raises it. With a signed denominator
    two opposite cases would share a sign, and TDD near ``-epsilon`` would be a pole.
    """
    return odd / (abs(tdd) + EPSILON)
