# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import product

import pytest

from monai_causal.apps.medground.filtering import EDITS, EditProblemError, Reply, filtered, needed

READINGS = ("yes", "no", "unclear")


@pytest.mark.parametrize("want", ["yes", "no"])
def test_every_combination_of_answers_has_the_published_fate(want: str) -> None:
    other = "no" if want == "yes" else "yes"
    kept = []
    for said in product(READINGS, repeat=4):
        replies = dict(zip(("original", *EDITS), said, strict=True))
        fate = filtered(want, lambda image, seed, replies=replies: Reply(replies[image], replies[image]))  # type: ignore[arg-type, misc]
        wanted = (want, other, want, want)
        failed = [step for step, a, b in zip(("correctness", *EDITS), said, wanted, strict=True) if a != b]
        assert fate.fate == (failed[0] if failed else "kept")
        assert len(fate.replies) == (("correctness", *EDITS).index(failed[0]) + 1 if failed else 4)
        kept += [said] if fate.fate == "kept" else []
    assert kept == [(want, other, want, want)]


def test_several_seeds_agree_by_a_share() -> None:
    foreground = iter(["no", "yes", "no"])
    asked: list[tuple[str, int]] = []

    def reply(image: str, seed: int) -> Reply:
        asked.append((image, seed))
        text = next(foreground) if image == "foreground" else "yes"
        return Reply(text, text)  # type: ignore[arg-type]

    assert filtered("yes", reply, seeds=3, agreement=0.6).fate == "kept"
    assert asked[:4] == [("original", 0), ("foreground", 0), ("foreground", 1), ("foreground", 2)]
    foreground = iter(["no", "yes", "no"])
    dropped = filtered("yes", reply, seeds=3, agreement=1.0)
    assert (dropped.fate, dropped.reason) == ("foreground", "answered no, yes where no was wanted (2 of 3)")


def test_a_sham_edit_that_flips_the_answer_drops_the_sample_before_any_edit() -> None:
    fate = filtered("yes", lambda image, seed: Reply("", "no" if image == "sham" else "yes"), sham=True)
    assert (fate.fate, list(fate.replies)) == ("sham", ["original", "sham"])


def test_an_edit_that_is_none_is_a_fate_of_its_own() -> None:
    def reply(image: str, seed: int) -> Reply:
        if image == "foreground":
            raise EditProblemError(image, "nothing changed")
        return Reply("Yes", "yes")

    fate = filtered("yes", reply)
    assert (fate.fate, fate.reason) == ("edit", "foreground: nothing changed")


def test_shares_are_rounded_up_without_the_dust_of_floating_point() -> None:
    assert [needed(times, share) for times, share in ((10, 0.7), (3, 0.7), (3, 1 / 3), (1, 0.01))] == [7, 3, 1, 1]
    for times, share in ((0, 1.0), (3, 0.0), (3, 1.1)):
        with pytest.raises(ValueError, match="agreement"):
            needed(times, share)
