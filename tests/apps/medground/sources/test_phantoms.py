# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_causal.apps.medground import PhantomSource

SOURCE = PhantomSource(0, (96, 96))


def test_candidates_are_counted_over_images_and_the_same_every_time() -> None:
    cases = list(SOURCE.cases(30, 0.25))
    assert [one.index for case in cases for one in case.candidates] == list(range(30))
    again = list(PhantomSource(0, (96, 96)).cases(30, 0.25))
    assert [(case.name, case.candidates) for case in cases] == [(case.name, case.candidates) for case in again]
    names = {case.name for case in PhantomSource(1, (96, 96)).cases(30, 0.25)}
    assert not names & {case.name for case in cases}


def test_truth_is_that_of_the_phantom() -> None:
    case = next(SOURCE.cases(4, 0.25))
    for one in case.candidates:
        located, things = case.located(one), case.phantom.findings
        assert one.positive == (one.finding in things)
        if one.positive:
            thing = things[one.finding]
            (top, bottom), (left, right) = thing.box
            assert located.boxes == ((left, top, right, bottom),)
            assert located.concepts == thing.concepts
            assert np.array_equal(case.mask(located), thing.mask)
        else:
            assert (located.boxes, case.mask(located)) == ((), None)


def test_without_exact_edits_the_case_has_no_editor() -> None:
    case = next(PhantomSource(0, (96, 96), exact=False).cases(1, 0.0))
    assert case.editor(case.candidates[0]) is None
    with pytest.raises(ValueError, match="say how many"):
        next(SOURCE.cases(None, 0.0))
    with pytest.raises(ValueError, match="seed=-1"):
        PhantomSource(-1)
