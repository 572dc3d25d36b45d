# SPDX-License-Identifier: Apache-2.0
"""How far a run is: a bar with the time left, where somebody watches."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from tqdm.auto import tqdm

from monai_causal.cohort.messages import Report

__all__ = ["Progress"]


class Progress:
    """A bar over items; silent without a terminal.

    Args:
        total: items in all; None shows nothing at all.
        done: of them already.
        failed: of these.
        title: of the bar.
    """

    def __init__(self, total: int | None, done: int = 0, failed: int = 0, title: str = "items") -> None:
        self.failed = failed
        # Items are unequal: the time left is told from the mean of all, and not from the last few.
        self._bar = tqdm(
            total=total, initial=done, desc=title, unit="item", smoothing=0.0, disable=True if total is None else None
        )

    def tell(self, reports: Sequence[Report]) -> None:
        """Items ended."""
        failed = sum(report.status == "failed" for report in reports)
        if failed:
            self.failed += failed
            self._bar.set_postfix(failed=self.failed, refresh=False)
        self._bar.update(len(reports))

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
