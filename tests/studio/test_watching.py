# SPDX-License-Identifier: Apache-2.0
"""Work in the background hands its results over in order, ends when it is given up, and says what went wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import torch

from monai_causal.intervene import DonorPatchFill, Evaluator, MeanFill, RoIDice, grid_regions
from monai_causal.studio.watching import Cancelled, Look, Watched, Worker


class Desk:
    """Takes calls from the worker's thread, as a page does, and makes them when it is asked to."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []
        self.found: list[object] = []
        self.ended = threading.Event()
        self.worker: Worker[object] = Worker(self.calls.append)

    def start(self, work: Callable[[Look], Iterator[object]]) -> None:
        def told(look: Look) -> Iterator[object]:
            try:
                yield from work(look)
            finally:
                self.ended.set()

        self.worker.start(told, self.found.append, lambda error: self.found.append(("end", error)))

    def make_calls(self) -> list[object]:
        """Wait for the work's end, make the calls, and say what came."""
        assert self.ended.wait(10)
        self.worker._threads.shutdown()
        while self.calls:
            self.calls.pop(0)()
        return self.found


def test_results_come_in_order_and_then_the_end() -> None:
    desk = Desk()
    desk.start(lambda look: iter([1, 2]))
    assert desk.make_calls() == [1, 2, ("end", None)]


def test_what_went_wrong_is_the_end() -> None:
    desk, error = Desk(), ValueError("no such image")

    def broken(look: Look) -> Iterator[object]:
        yield 1
        raise error

    desk.start(broken)
    assert desk.make_calls() == [1, ("end", error)]


def test_what_was_given_up_ends_at_its_next_look_and_hands_nothing_over() -> None:
    desk, looked, let_on = Desk(), [], threading.Event()

    def long(look: Look) -> Iterator[object]:
        yield "before"
        assert let_on.wait(10)
        look()
        looked.append("after")
        yield "after"

    desk.start(long)
    desk.worker.cancel()
    let_on.set()
    assert desk.make_calls() == []  # not even what had been found before: the page shows something else by now
    assert looked == []


def test_a_new_piece_of_work_gives_up_the_one_before() -> None:
    desk, let_on = Desk(), threading.Event()

    def first(look: Look) -> Iterator[object]:
        assert let_on.wait(10)
        yield "first"

    desk.worker.start(first, desk.found.append, lambda error: desk.found.append("first ended"))
    desk.start(lambda look: iter(["second"]))
    let_on.set()
    assert desk.make_calls() == ["second", ("end", None)]


@pytest.mark.parametrize("execution", ["dense", "incremental"])
def test_each_intervention_looks_and_the_effects_stay(execution: str) -> None:
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, 1, 3, padding=1)
    image, regions = torch.rand(1, 1, 16, 16), grid_regions((16, 16), 4)
    score = RoIDice(((4, 8), (4, 8)), torch.ones(16, 16))
    fill, looks = DonorPatchFill(torch.rand(5, 1, 4, 4)), []
    evaluator = Evaluator(network, execution=execution, seed=3)  # type: ignore[arg-type]
    plain = evaluator(image, regions, fill, score, draws=2)
    watched = evaluator(image, regions, Watched(fill, lambda: looks.append(1)), score, draws=2)
    assert torch.equal(plain.values, watched.values)
    reached = {"dense": 32, "incremental": 2 * int(regions.touches(((3, 9), (3, 9))).sum())}[execution]
    assert len(looks) == reached


def test_a_run_is_given_up_in_its_midst_and_the_network_is_as_it_was() -> None:
    network = torch.nn.Conv2d(1, 1, 3, padding=1).train()
    left = iter(range(5))

    def look() -> None:
        if next(left, None) is None:
            raise Cancelled

    regions = grid_regions((16, 16), 4)
    with pytest.raises(Cancelled):
        Evaluator(network, batch_size=2)(
            torch.rand(1, 1, 16, 16), regions, Watched(MeanFill(), look), RoIDice(((4, 8), (4, 8)), torch.ones(16, 16))
        )
    assert network.training


def test_a_watched_fill_is_what_it_watches() -> None:
    fill = DonorPatchFill(torch.rand(5, 1, 4, 4))
    watched = Watched(fill, lambda: None)
    assert watched.distinct_draws == fill.distinct_draws is None
    assert watched.exhaustive().distinct_draws == fill.exhaustive().distinct_draws == 5
    with pytest.raises(ValueError, match="5"):
        watched.exhaustive().check_draws(range(6))
