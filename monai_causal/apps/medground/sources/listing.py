# SPDX-License-Identifier: Apache-2.0
"""Which questions are asked about which image, so that the wanted share of them has the true answer no."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["Listing"]


class Listing:
    """Counts candidates while images go by.

    Args:
        count: of candidates in all; None: no end.
        negatives: share of them that ask about what is not there.
    """

    def __init__(self, count: int | None, negatives: float) -> None:
        self.count, self.negatives = count, negatives
        self.positive = self.negative = 0

    @property
    def listed(self) -> int:
        return self.positive + self.negative

    @property
    def full(self) -> bool:
        return self.count is not None and self.listed >= self.count

    def ask(self, there: Sequence[str], absent: Sequence[str], seed: Sequence[int]) -> list[tuple[int, str, bool]]:
        """Index, finding and true answer of each question about the next image.

        Args:
            there: findings on it; all of them are asked about.
            absent: findings that are not; drawn are as many as bring their share, of all questions so far, closest to
                the wanted one from below.
            seed: of the draw.
        """
        wanted = int(self.negatives * (self.positive + len(there)) / (1 - self.negatives)) - self.negative
        order = np.random.default_rng(list(seed)).permutation(len(absent))[: max(wanted, 0)]
        asked = [(name, True) for name in there] + [(absent[place], False) for place in order]
        if self.count is not None:
            asked = asked[: max(self.count - self.listed, 0)]
        first = self.listed
        self.positive += sum(positive for _, positive in asked)
        self.negative += sum(not positive for _, positive in asked)
        return [(first + place, name, positive) for place, (name, positive) in enumerate(asked)]
