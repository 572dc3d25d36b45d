# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_causal.apps.medground.editors.exact import PhantomEditor, eight_bit
from monai_causal.data.phantoms.chest import chest

PHANTOM = chest(11, (96, 96), findings=["cardiomegaly", "effusion_left"])
IMAGE = eight_bit(PHANTOM.image)
INSIDE = np.zeros((96, 96), bool)
INSIDE[tuple(slice(*side) for side in PHANTOM.findings["cardiomegaly"].box)] = True
EDITOR = PhantomEditor(PHANTOM, "cardiomegaly")


def test_the_foreground_edit_takes_the_finding_away_and_nothing_else() -> None:
    assert EDITOR.changes(INSIDE, "No cardiomegaly", 0) == {"cardiomegaly": 0.0}
    edited = EDITOR(IMAGE, INSIDE, "No cardiomegaly", 0)
    assert np.array_equal(edited, eight_bit(PHANTOM.do(cardiomegaly=0.0).image))
    assert not np.array_equal(edited, IMAGE)


def test_the_first_background_edit_changes_everything_that_is_no_finding() -> None:
    changes = EDITOR.changes(~INSIDE, "No cardiomegaly", 0)
    assert set(changes) == {"marker", "tube", "electrodes", "collimation", "clutter"}
    assert (changes["marker"] == "none") == (PHANTOM.causes.marker != "none")
    bare = PHANTOM.do(marker="none")
    assert PhantomEditor(bare, "cardiomegaly").changes(~INSIDE, "No cardiomegaly", 0)["marker"] in ("L", "R")
    assert list(PHANTOM.do(**changes).findings) == list(PHANTOM.findings)


def test_the_second_background_edit_takes_all_other_findings_away() -> None:
    changes = EDITOR.changes(~INSIDE, "No abnormality", 0)
    assert changes == {"effusion_left": 0.0}
    assert list(PHANTOM.do(**changes).findings) == ["cardiomegaly"]


def test_a_finding_that_is_not_there_is_put_there_as_the_seed_says() -> None:
    editor = PhantomEditor(PHANTOM, "nodule")
    first, again, other = (editor.changes(np.ones_like(INSIDE), "a lung nodule", seed) for seed in (0, 0, 1))
    assert first == again != other
    assert "nodule" in PHANTOM.do(**first).findings


def test_it_refuses_other_images_and_other_prompts() -> None:
    with pytest.raises(ValueError, match="knows one image only"):
        EDITOR(IMAGE + np.uint8(1), INSIDE, "No cardiomegaly", 0)
    with pytest.raises(ValueError, match="this editor was made for 'cardiomegaly'"):
        EDITOR(IMAGE, INSIDE, "No pneumothorax", 0)
    with pytest.raises(ValueError, match="finding='heart'"):
        PhantomEditor(PHANTOM, "heart")


def test_a_sham_edit_is_the_same_film_rendered_again() -> None:
    assert np.array_equal(EDITOR.sham(IMAGE, INSIDE, 0), IMAGE)
