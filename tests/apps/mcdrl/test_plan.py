# SPDX-License-Identifier: Apache-2.0
"""The plan: whole seeds first, shards part it."""

from __future__ import annotations

import pytest

from monai_causal.apps.mcdrl.plan import Run, plan, shard_of
from tests.apps.mcdrl.studies import study

RUNS = plan(study(), ["C1", "C2"])


def test_the_order_is_seed_by_seed() -> None:
    assert len(RUNS) == 2 * 2 * 3
    assert [run.seed for run in RUNS] == [0] * 6 + [1] * 6
    assert RUNS[4] == Run("C2", "mcdrl", 0)
    assert RUNS[4].key == "C2|mcdrl|seed 0"


@pytest.mark.parametrize("parts", [1, 2, 5, 20])
def test_shards_part_the_plan(parts: int) -> None:
    shards = [shard_of(RUNS, (part, parts)) for part in range(1, parts + 1)]
    assert sorted((run for shard in shards for run in shard), key=RUNS.index) == RUNS
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("shard", [(0, 2), (3, 2), (1, 0)])
def test_a_shard_that_is_none_is_refused(shard: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="give i/n with i from 1 to n"):
        shard_of(RUNS, shard)
