# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from monai_causal.cohort.memory import in_halves, ran_out_of_memory


def test_what_counts_as_memory_that_ran_out() -> None:
    wrapped = ValueError("memory ran out on an image")
    wrapped.__cause__ = torch.OutOfMemoryError("CUDA out of memory")
    assert ran_out_of_memory(wrapped)
    assert ran_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not ran_out_of_memory(RuntimeError("shapes do not fit"))
    assert not ran_out_of_memory(ValueError("out of memory"))


@pytest.mark.parametrize("room", [1, 2, 3, 5, 8])
def test_a_batch_is_halved_until_it_fits_in_order(room: int) -> None:
    sizes: list[int] = []

    def run(part: Sequence[int]) -> list[int]:
        sizes.append(len(part))
        if len(part) > room:
            raise MemoryError
        return [10 * one for one in part]

    notes: list[str] = []
    assert in_halves(run, list(range(7)), notes.append) == [0, 10, 20, 30, 40, 50, 60]
    assert len(notes) == sum(size > room for size in sizes)
    assert sum(size for size in sizes if size <= room) == 7


def test_errors_of_other_kinds_are_each_items_own() -> None:
    def run(part: Sequence[int]) -> list[int]:
        if 2 in part:
            raise ValueError("item 2")
        return list(part)

    made = in_halves(run, [1, 2, 3], lambda note: pytest.fail(note))
    assert made[0] == 1
    assert made[2] == 3
    assert isinstance(made[1], ValueError)
