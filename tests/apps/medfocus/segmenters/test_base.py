# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_causal.apps.medfocus.segmenters.base import Segmented, tight_box


def test_tight_box_is_half_open_and_none_where_nothing_is() -> None:
    mask = np.zeros((7, 9), bool)
    assert tight_box(mask) is None
    mask[2, 8] = mask[6, 3] = True
    assert tight_box(mask) == ((2, 7), (3, 9))


def test_a_further_step_adds_to_the_record_and_keeps_what_was_before() -> None:
    before = Segmented({"a": np.ones((2, 2), bool)}, {"a": 0.5}, ("first",), {"x": 1}, ("one",))
    after = before.then("second", {"a": np.zeros((2, 2), bool)}, details={"y": 2}, notes=("two",))
    assert (after.steps, dict(after.details), after.notes) == (("first", "second"), {"x": 1, "y": 2}, ("one", "two"))
    assert after.confidence == {"a": 0.5}
    assert before.masks["a"].all()


def test_masks_and_confidence_name_the_same_concepts_and_masks_have_one_shape() -> None:
    with pytest.raises(ValueError, match=r"masks of \['a'\] but confidence of \['b'\]"):
        Segmented({"a": np.ones((2, 2), bool)}, {"b": 0.5}, ("x",))
    with pytest.raises(ValueError, match=r"several shapes, \[\(2, 2\), \(3, 2\)\]"):
        Segmented({"a": np.ones((2, 2), bool), "b": np.ones((3, 2), bool)}, {"a": 0.5, "b": 1}, ("x",))
