# SPDX-License-Identifier: Apache-2.0
"""The causal filter (section 3.2): which samples rest, for this model, on the region that experts marked.

Three steps, each of which may drop a sample; for a question whose true answer is no, yes and no change places:

1. correctness: the model gives the true answer;
2. foreground: it gives the other answer once the finding is edited away;
3. background: it stays with the true answer when something else is edited, twice.

Optional, between 1 and 2: a sham edit, which does all that an edit does but change something, must leave the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from monai_causal.apps.medfocus.vlm.answers import Reading

__all__ = ["EDITS", "FATES", "Fate", "Reply", "filtered", "needed"]

EDITS = ("foreground", "background", "background_normal")
FATES = ("kept", "correctness", "sham", "foreground", "background", "background_normal", "edit", "error")
"""What becomes of a sample: kept, or dropped at a step, or by an edit that was none, or by an error."""

OTHER: dict[Reading, Reading] = {"yes": "no", "no": "yes"}


@dataclass(frozen=True)
class Reply:
    """What the model said about one image."""

    text: str
    reading: Reading


@dataclass(frozen=True)
class Fate:
    """What became of a sample in one mode.

    Args:
        fate: one of :data:`FATES`.
        reason: in words; empty for a sample that was kept.
        replies: by image (``original``, ``sham``, and each of :data:`EDITS`), one per seed.
        edits: what each edit did to the image, one per seed.
    """

    fate: str
    reason: str
    replies: dict[str, list[Reply]]
    edits: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


class EditProblemError(Exception):
    """An edit that is no counterfactual: which one, and why not."""

    def __init__(self, edit: str, reason: str) -> None:
        super().__init__(f"{edit}: {reason}")


def filtered(
    want: Reading,
    reply: Callable[[str, int], Reply],
    *,
    steps: Sequence[str] = EDITS,
    seeds: int = 1,
    agreement: float = 1.0,
    sham: bool = False,
) -> Fate:
    """Put a sample through the steps; what follows on the step that drops it is not asked.

    Args:
        want: the true answer.
        reply: the model's reply about the image of this name (``original``, ``sham`` or an edit) made with this seed;
            may raise :class:`EditProblemError`.
        steps: the edits that there are for the sample.
        seeds: edits per step.
        agreement: share of the seeds that must answer as the step wants.
        sham: ask about a sham edit, too.

    Example:
        >>> says = {"original": "yes", "foreground": "no", "background": "yes", "background_normal": "yes"}
        >>> filtered("yes", lambda image, seed: Reply(says[image], says[image])).fate
        'kept'
    """
    replies: dict[str, list[Reply]] = {}
    wanted: list[tuple[str, str, Reading, int]] = [("correctness", "original", want, 1)]
    if sham:
        wanted.append(("sham", "sham", want, seeds))
    wanted += [(edit, edit, OTHER[want] if edit == "foreground" else want, seeds) for edit in steps]
    for step, image, answer, times in wanted:
        replies[image] = []
        try:
            for seed in range(times):
                replies[image].append(reply(image, seed))
        except EditProblemError as problem:
            return Fate("edit", str(problem), replies)
        as_wanted = sum(one.reading == answer for one in replies[image])
        if as_wanted < needed(times, agreement):
            said = ", ".join(sorted({one.reading for one in replies[image]}))
            return Fate(step, f"answered {said} where {answer} was wanted ({as_wanted} of {times})", replies)
    return Fate("kept", "", replies)


def needed(times: int, agreement: float) -> int:
    """How many of ``times`` answers must agree.

    Example:
        >>> needed(3, 1.0), needed(3, 0.6), needed(1, 0.5)
        (3, 2, 1)
    """
    if times < 1 or not 0 < agreement <= 1:
        raise ValueError(f"seeds={times}, agreement={agreement}: at least one seed, and a share above 0, at most 1.")
    return max(1, math.ceil(round(times * agreement, 9)))  # 3 * 0.7 is a little above 2.1 in floating point
