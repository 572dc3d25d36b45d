# SPDX-License-Identifier: Apache-2.0
"""The rule is met by all three controls or not at all."""

from __future__ import annotations

from typing import Any

from monai_causal.apps.mcdrl.judgement import verdict


def row(method: str, difference: float | None, p: float | None, rule: bool = True, seeds: int = 5) -> dict[str, Any]:
    return {"method": method, "difference": difference, "p_holm": p, "rule": rule, "seeds": seeds}


GOOD = [row("random", 0.02, 0.03), row("shuffled", 0.02, 0.04), row("learned", 0.03, 0.01)]


def test_all_three_must_be_beaten() -> None:
    assert verdict([*GOOD, row("baseline", -0.1, 0.9, rule=False)]).startswith("The rule is met")
    assert "learned (+0.030, p after Holm 0.06)" in verdict([*GOOD[:2], row("learned", 0.03, 0.06)])
    assert "random (-0.020, p after Holm 0.001)" in verdict([row("random", -0.02, 0.001), *GOOD[1:]])


def test_what_was_not_run_is_not_judged() -> None:
    assert verdict([*GOOD[:2], row("learned", None, None)]) == "Not judged: there is no complete seed yet of learned."
    assert verdict(GOOD[:2], ["learned"]).startswith("Not judged")


def test_a_part_of_the_seeds_is_not_judged() -> None:
    early = [*GOOD[:2], row("learned", 0.03, 0.01, seeds=4)]
    assert verdict(early, seeds=5) == "Not judged: not all of the 5 seeds are finished of MCDRL and learned."
    assert verdict(GOOD, seeds=5).startswith("The rule is met")


def test_a_study_that_holds_nothing_out_is_not_judged() -> None:
    assert verdict([]) == "Not judged: nothing is held out."
