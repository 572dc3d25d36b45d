# SPDX-License-Identifier: Apache-2.0
"""The plan: shards part it, and no image's methods are torn apart."""

from __future__ import annotations

import pytest

from monai_causal.apps.segbench.plan import plan, shard_of
from tests.apps.segbench.tiny import bench

SAMPLES = {("shapes", 0): ["a", "b", "c"], ("shapes", 7): ["b", "d"]}


def test_the_order_is_run_by_run() -> None:
    blocks = plan(bench(seeds=[0, 7]), SAMPLES)
    assert [(block.run.seed, block.sample) for block in blocks] == [(0, "a"), (0, "b"), (0, "c"), (7, "b"), (7, "d")]
    assert blocks[3].keys["ria"] == "shapes|net|seed 7|b|ria"


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_shards_part_the_plan(parts: int) -> None:
    blocks = plan(bench(seeds=[0, 7]), SAMPLES)
    shards = [shard_of(blocks, (part, parts)) for part in range(1, parts + 1)]
    assert sorted((block for shard in shards for block in shard), key=blocks.index) == blocks
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("shard", [(0, 2), (3, 2), (1, 0), (-1, 2)])
def test_a_shard_that_is_none_is_refused(shard: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="give i/n with i from 1 to n"):
        shard_of([], shard)
