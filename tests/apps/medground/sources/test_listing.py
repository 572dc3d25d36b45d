# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from monai_causal.apps.medground.sources.listing import Listing


@pytest.mark.parametrize("negatives", [0.0, 0.25, 0.5])
def test_negatives_have_their_share_and_the_count_is_kept(negatives: float) -> None:
    listing = Listing(100, negatives)
    asked = []
    for number in range(200):
        asked += listing.ask(["a", "b"], ["c", "d", "e"], [7, number])
        if listing.full:
            break
    assert [index for index, _, _ in asked] == list(range(100))
    assert sum(not positive for _, _, positive in asked) == pytest.approx(100 * negatives, abs=2)
    assert {name for _, name, positive in asked if not positive} <= {"c", "d", "e"}


def test_the_draw_belongs_to_its_seed() -> None:
    def drawn(seed: int) -> list[tuple[int, str, bool]]:
        return Listing(None, 0.5).ask(["a"], list("bcdefgh"), [seed])

    assert drawn(1) == drawn(1)
    assert len({tuple(drawn(seed)) for seed in range(20)}) > 3
