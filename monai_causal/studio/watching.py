# SPDX-License-Identifier: Apache-2.0
"""Work that goes on in the background, and can be watched and given up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

from torch import Tensor

from monai_causal.intervene import Fill, Regions
from monai_causal.intervene.fills import Replacement

__all__ = ["Cancelled", "Look", "Watched", "Worker"]

T = TypeVar("T")
Look = Callable[[], None]
"""Called before each piece of work; raises :class:`Cancelled` where the work is to end."""


class Cancelled(Exception):  # noqa: N818 - nothing went wrong
    """Somebody gave the work up."""


class Watched(Fill):
    """The same fill; ``look`` is called before each replacement, so that a long run can be counted and given up.

    Every intervention asks its fill first, however it is executed; and an engine gives its network back as it was,
    whatever is raised meanwhile.
    """

    def __init__(self, fill: Fill, look: Look) -> None:
        self.fill, self.look = fill, look

    def prepare(self, image: Tensor, regions: Regions, seed: int) -> Replacement:
        replacement = self.fill.prepare(image, regions, seed)

        def watched(region: object, draw: int) -> Tensor | float:
            self.look()
            return replacement(region, draw)  # type: ignore[arg-type]

        return watched

    @property
    def distinct_draws(self) -> int | None:
        return self.fill.distinct_draws

    def check_draws(self, draws: Sequence[int]) -> None:
        self.fill.check_draws(draws)

    def exhaustive(self) -> Fill:
        return Watched(self.fill.exhaustive(), self.look)

    def through(self, transform: Callable[[Tensor], Tensor]) -> Fill:
        return Watched(self.fill.through(transform), self.look)


class Worker(Generic[T]):
    """One thread, one piece of work at a time: what is started gives up what was under way.

    Args:
        later: hands a call to whoever may take it, such as a page's own thread. Nothing of work that was given up is
            handed over after :meth:`cancel`, not even its end.
    """

    def __init__(self, later: Callable[[Callable[[], None]], object]) -> None:
        self._later = later
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="studio")
        self._given_up = threading.Event()
        self._last: object = None

    def start(
        self,
        work: Callable[[Look], Iterator[T]],
        on_result: Callable[[T], None],
        on_end: Callable[[Exception | None], None],
    ) -> None:
        """Do it in the background.

        Args:
            work: gives results one by one; it calls what it is given as often as it can.
            on_result: gets each of them.
            on_end: gets what went wrong, or ``None``.
        """
        self.cancel()
        given_up = self._given_up = threading.Event()

        def look() -> None:
            if given_up.is_set():
                raise Cancelled

        def hand(call: Callable[[], None]) -> None:
            self._later(lambda: None if given_up.is_set() else call())

        def run() -> None:
            try:
                for result in work(look):
                    look()
                    hand(partial(on_result, result))
            except Cancelled:
                return
            except Exception as error:  # whatever a model, a bundle or a file leads to is said on the page
                hand(partial(on_end, error))
            else:
                hand(partial(on_end, None))

        self._last = self._threads.submit(run)

    def cancel(self) -> None:
        """Give up what is under way; at its next look it ends, and what it still finds is dropped."""
        self._given_up.set()

    def close(self) -> None:
        """Give up, and start nothing more."""
        self.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)
