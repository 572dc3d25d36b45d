# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_causal.apps.medground.editors.inpainting import InpaintingEditor

RAMP = np.tile(np.linspace(40, 200, 64).astype(np.uint8), (64, 1))
MASK = np.zeros((64, 64), bool)
MASK[24:40, 20:36] = True


def test_a_spot_on_a_smooth_image_is_gone_and_nothing_else_changes() -> None:
    spot = np.where(MASK, np.uint8(255), RAMP)
    edited = InpaintingEditor(texture=0.0)(spot, MASK, "No nodule", 0)
    assert np.abs(edited[MASK].astype(int) - RAMP[MASK]).max() <= 1  # a ramp is harmonic
    assert np.array_equal(edited[~MASK], spot[~MASK])


def test_a_background_edit_erases_patches_of_the_findings_size_outside_it() -> None:
    editor = InpaintingEditor(patches=3)
    chosen = editor.background(~MASK, seed=1)
    assert chosen.sum() == 3 * MASK.sum()
    assert not (chosen & MASK).any()
    assert np.array_equal(chosen, editor.background(~MASK, seed=1))
    assert not np.array_equal(chosen, editor.background(~MASK, seed=2))
    noisy = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    edited = editor(noisy, ~MASK, "No abnormality", 1)
    assert np.array_equal(edited[~chosen], noisy[~chosen])
    assert (edited[chosen] != noisy[chosen]).mean() > 0.9


def test_a_sham_edit_touches_the_seam_and_not_what_it_surrounds() -> None:
    spot = np.where(MASK, np.uint8(255), RAMP)
    spot[24, 24] = 0
    edited = InpaintingEditor(texture=0.0).sham(spot, MASK, 0)
    assert edited[24, 24] != 0
    assert (edited[26:38, 22:34] == 255).all()
    assert np.array_equal(edited[~MASK], spot[~MASK])


def test_it_takes_8_bit_images_with_a_mask_of_their_size() -> None:
    with pytest.raises(ValueError, match="8-bit grey"):
        InpaintingEditor()(RAMP.astype(np.float32), MASK, "", 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give bool, alike"):
        InpaintingEditor()(RAMP, MASK[:-1], "", 0)
