# SPDX-License-Identifier: Apache-2.0
"""What is known of a cohort, while it runs and after."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from monai_causal.cohort.journal import Journal
from monai_causal.cohort.run import JOURNAL, LOCK
from monai_causal.locks import is_taken

__all__ = ["CohortStatus", "in_words", "status_of"]

SCHEMA = "monai_causal/cohort-status/1"


@dataclass(frozen=True)
class CohortStatus:
    """How far a cohort is.

    Args:
        job: its name.
        counts: items by state.
        at_work: a driver is running.
        pace: items per second, of the last ones; None where that cannot be told.
        reasons: why items failed, how many, and the first of them.
    """

    job: str
    counts: dict[str, int]
    at_work: bool
    pace: float | None
    reasons: tuple[tuple[str, int, int], ...]

    @property
    def left(self) -> int:
        """Items that are neither done nor failed."""
        return self.counts["pending"] + self.counts["running"]

    @property
    def seconds_left(self) -> float | None:
        """At the present pace; None where nobody is at work."""
        return self.left / self.pace if self.at_work and self.pace else None

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {"schema": SCHEMA, **asdict(self), "left": self.left, "seconds_left": self.seconds_left}


def status_of(out: Path) -> CohortStatus:
    """Look at a cohort; nothing is changed, and a run may go on meanwhile.

    Raises:
        ValueError: there is none.
    """
    with Journal(out / JOURNAL, look=True) as journal:
        return CohortStatus(
            str(journal.head().get("config", {}).get("job", {}).get("name")),
            journal.counts(),
            is_taken(out / LOCK),
            journal.pace(),
            tuple(journal.reasons()),
        )


def in_words(status: CohortStatus) -> str:
    """For a terminal."""
    counts = status.counts
    total = sum(counts.values())
    parts = ", ".join(f"{counts[state]} {state}" for state in ("done", "failed", "running", "pending") if counts[state])
    lines = [f"{status.job}: {total} items: {parts or 'none'}."]
    if status.at_work:
        left = status.seconds_left
        time_left = "" if left is None else f", about {_duration(left)} left"
        lines.append(f"A run is at work{'' if status.pace is None else f': {status.pace:.3g} items/s'}{time_left}.")
    elif status.left:
        lines.append("Nobody is at work; the same 'cohort run' goes on.")
    for reason, count, first in status.reasons:
        lines.append(f"{count} failed (first item {first}): {reason}")
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    """In the unit that a person would choose.

    Example:
        >>> _duration(59), _duration(7200), _duration(400_000)
        ('59 s', '2.0 h', '4.6 days')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    units = ((7200, 60, "min"), (172800, 3600, "h"))
    size, name = next(((size, name) for limit, size, name in units if seconds < limit), (86400, "days"))
    return f"{seconds / size:.1f} {name}"
