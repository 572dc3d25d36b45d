# SPDX-License-Identifier: Apache-2.0
"""How long to wait for a server, how often to ask again, and at which distances."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeVar

from monai_causal.dicom.web.problems import WebError, problem_of

__all__ = ["Patience"]

Given = TypeVar("Given")

_JITTER = 0.25
# Seeded by the system, and on purpose: clients that were sent away together must not come back together.
_CHANCE = random.SystemRandom()


@dataclass(frozen=True)
class Patience:
    """Timeouts in seconds, and how often to ask.

    Args:
        attempts: in all, the first included.
        first: before the second attempt; each further wait is twice as long.
        longest: of all waits, also of one that the server asks for.
        connect: for the connection.
        read: for each next piece of an answer.
        whole: for all of an answer, so that one that trickles in comes to an end too.
    """

    attempts: int = 5
    first: float = 1.0
    longest: float = 60.0
    connect: float = 10.0
    read: float = 60.0
    whole: float = 600.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ValueError(f"{field.name}: {value!r}: give a number above zero.")

    def pause(self, attempt: int, asked: float | None = None) -> float:
        """Seconds to wait after an attempt (from 1) that failed; ``asked``: what the server wants."""
        own = self.first * 2.0 ** (attempt - 1) * (1 + _JITTER * _CHANCE.random())
        return min(self.longest, own if asked is None else max(asked, own))

    def ask(self, call: Callable[[], Given], sleep: Callable[[float], object] = time.sleep) -> Given:
        """What ``call`` gives, asked again where waiting may help.

        Raises:
            WebError: what was wrong the last time.
        """
        for attempt in range(1, self.attempts + 1):
            problem = None
            try:
                return call()
            except Exception as error:
                problem = problem_of(error)
            if not problem.transient or attempt == self.attempts:
                break
            sleep(self.pause(attempt, problem.wait))
        assert problem is not None
        raise _fresh(problem)


def _fresh(problem: WebError) -> WebError:
    """The same without the exceptions that led to it, whose words are not ours and whose addresses hold UIDs."""
    return WebError(problem.code, problem.reason, transient=problem.transient, wait=problem.wait, item=problem.item)
