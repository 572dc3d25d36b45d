# SPDX-License-Identifier: Apache-2.0
"""Keep looking for studies, and do each when it has come to rest.

Nothing tells when the last image of a study has come; a study that has not changed for a while is taken as complete.
When it changes later, it is done again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from monai_causal.apps.medfocus.workflow import Workflow
from monai_causal.apps.medfocus.workflow.outcome import Report, StudyOutcome, summed_up
from monai_causal.apps.medfocus.workflow.sources import Found, Listing
from monai_causal.dicom.web.problems import WebError

__all__ = ["Rest", "watch"]

logger = logging.getLogger(__name__)

_FIRST_AGAIN, _LONGEST_AGAIN = 60.0, 3600.0


@dataclass
class _Seen:
    signature: str
    since: float
    done: bool = False
    attempts: int = 0
    not_before: float = 0.0


@dataclass
class Rest:
    """Which studies have come to rest.

    Args:
        stable: seconds without a change after which a study is complete.
        now: gives the time in seconds.

    Example:
        >>> time = iter([0.0, 30.0, 60.0])
        >>> rest = Rest(60, lambda: next(time))
        >>> [rest.due("study", "as it is") for _ in range(3)]
        [False, False, True]
    """

    stable: float
    now: Callable[[], float] = time.monotonic
    _seen: dict[str, _Seen] = field(default_factory=dict)

    def due(self, key: str, signature: str) -> bool:
        """Whether a study is complete and not done yet."""
        now = self.now()
        seen = self._seen.get(key)
        if seen is None or seen.signature != signature:
            seen = self._seen[key] = _Seen(signature, now)
        return not seen.done and now - seen.since >= self.stable and now >= seen.not_before

    def over(self, key: str, again: bool) -> None:
        """A study was done; ``again``: it failed, and may not fail later."""
        seen = self._seen[key]
        seen.done, seen.attempts = not again, seen.attempts + 1
        seen.not_before = self.now() + min(_LONGEST_AGAIN, _FIRST_AGAIN * 2.0 ** (seen.attempts - 1))


def watch(
    workflow: Workflow,
    rest: Rest,
    every: float,
    wait: Callable[[float], bool],
) -> Report:
    """Do studies as they come, until told to stop.

    Args:
        workflow: does them.
        rest: knows which have come to rest.
        every: seconds between two looks.
        wait: waits for so many seconds, and says whether to stop.

    Raises:
        DicomError: the source cannot be listed, and waiting will not help.
    """
    done = workflow.outstanding(())
    while not wait(0):
        try:
            listing = workflow.source.listing()
        except WebError as error:
            if not error.transient:
                raise
            logger.warning("the source cannot be listed: %s: %s", error.code, error.reason)
        else:
            done = [*_once(done), *_round(workflow, rest, listing, lambda: wait(0))]
        if wait(every):
            break
    return workflow.reported(summed_up(done, stopped=False))


def _round(workflow: Workflow, rest: Rest, listing: Listing, stop: Callable[[], bool]) -> list[StudyOutcome]:
    """Everything that has come to rest by now."""
    done = []
    refused = [one for one in listing.refused if rest.due(f"file {one[0]}", one[0])]
    if refused:
        done.append(workflow.unassigned(Listing((), tuple(refused))))
        for signature, _ in refused:
            rest.over(f"file {signature}", again=False)
    for found in _due(listing, rest):
        if stop():
            break
        outcome = workflow.study(found)
        rest.over(f"study {found.uid}", again=outcome.again)
        done.append(outcome)
    return done


def _due(listing: Listing, rest: Rest) -> list[Found]:
    return [found for found in listing.studies if rest.due(f"study {found.uid}", found.signature)]


def _once(done: list[StudyOutcome]) -> list[StudyOutcome]:
    """The last outcome of each study, so that a watch of months keeps no more than there are studies."""
    return list(summed_up(done).studies)
