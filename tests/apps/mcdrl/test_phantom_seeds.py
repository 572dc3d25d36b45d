# SPDX-License-Identifier: Apache-2.0
"""No phantom is learnt from here and tested on there."""

from __future__ import annotations

import json
from itertools import combinations

from monai_causal.apps.mcdrl.contents import DEMO_CLIP
from monai_causal.apps.mcdrl.phantom_seeds import FAR, RESERVED, STUDY, meeting


def test_what_is_reserved_does_not_meet() -> None:
    for first, second in combinations(RESERVED.values(), 2):
        assert first.stop <= second.start or second.stop <= first.start


def test_a_study_that_says_nothing_meets_nothing_at_its_largest() -> None:
    assert meeting(range(STUDY + part * FAR, STUDY + (part + 1) * FAR) for part in range(4)) is None
    assert "tested on" in str(meeting([range(STUDY, STUDY + 4 * FAR + 1)]))


def test_the_small_clip_was_made_with_these() -> None:
    made_with = json.loads((DEMO_CLIP / "pretraining.json").read_text())["config"]
    assert meeting([range(made_with["phantoms"] - 1, made_with["phantoms"])]) is not None
    assert meeting([range(made_with["phantoms"], made_with["phantoms"] + 1)]) is None


def test_an_empty_part_meets_nothing() -> None:
    assert meeting([range(10, 10)]) is None
