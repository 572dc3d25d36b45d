# SPDX-License-Identifier: Apache-2.0
"""Results as panels: which regions are unsure, and which image lies beneath."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_causal.visualize.render import doubtful, result_panel, spread_panel
from monai_causal.visualize.render.results import picture
from tests.visualize.render.drawn import made_result

FIRST, SECOND, THIRD = ((0, 8), (0, 8)), ((0, 8), (8, 16)), ((0, 8), (16, 24))
IMAGE = np.random.default_rng(0).random((64, 64))


def test_doubtful_is_what_is_relevant_and_not_settled_or_near_tau() -> None:
    result = made_result({FIRST: -1.0, SECOND: 1.0, THIRD: 0.3}, spread=0.4, unsettled=[SECOND, ((8, 16), (0, 8))])
    # Student's half width of four draws at +-0.4 and +-0.13 is 0.55: beyond 0.3 - tau, not beyond 1 - tau.
    unsure = {region.box for region, flag in zip(result.regions, doubtful(result), strict=True) if flag}
    assert unsure == {SECOND, THIRD}
    assert doubtful(result, 0.5).sum() == 1  # a narrower interval stays clear of tau
    for effect in (0.03, -0.03):  # clear of 0 by its interval of +-0.02, but not of tau
        assert doubtful(made_result({FIRST: effect}, spread=0.015)).sum() == 1
        assert not doubtful(made_result({FIRST: effect}, spread=0.015, rule={"name": "exhaustive"})).any()


def test_an_effect_without_sampling_error_is_sure_and_one_from_a_single_draw_is_not() -> None:
    assert not doubtful(made_result({FIRST: -0.5}, rule={"name": "exhaustive"})).any()
    single = made_result({FIRST: -0.5}, draws=1)
    assert single.standard_error.isnan().all()
    assert doubtful(single).tolist() == single.relevant.tolist()


def test_hatching_and_fading() -> None:
    result = made_result({FIRST: -1.0, SECOND: 1.0}, unsettled=[SECOND])
    result.ate[result.regions.ids.index(2)] = 0.01  # measured, but not called
    hatched = result_panel(result, IMAGE)
    assert hatched.doubtful is not None
    np.testing.assert_array_equal(np.argwhere(hatched.doubtful)[[0, -1]], [[0, 8], [7, 15]])
    assert hatched.heat is not None
    np.testing.assert_array_equal(hatched.heat, result.map[0, 0])
    assert hatched.faded is None
    faded = result_panel(result, IMAGE, uncertainty="fade")
    assert faded.faded is not None
    assert faded.heat is not None
    assert not faded.faded[:8, :8].any()
    assert faded.faded[:8, 8:24].all()
    assert faded.heat[0, 16] == 0.01


def test_the_spread_is_half_the_interval() -> None:
    result = made_result({FIRST: -1.0}, spread=0.3)
    panel = spread_panel(result, IMAGE, level=0.9)
    low, high = result.interval(0.9)[0].tolist()
    assert panel.heat is not None
    assert panel.heat[0, 0] == pytest.approx((high - low) / 2)
    assert panel.bar_label == "90 % interval ± (Dice points)"
    assert not panel.signed


def test_pictures_of_images() -> None:
    grey = torch.arange(12.0).reshape(3, 4)
    for image in (grey, grey[None], grey[None, None], grey.numpy()):
        np.testing.assert_array_equal(picture(image, (3, 4)), grey)
    colours = torch.rand(3, 3, 4)
    np.testing.assert_array_equal(picture(colours[None], (3, 4)), colours.permute(1, 2, 0))
    np.testing.assert_array_equal(picture(colours, (3, 4), channel=1), colours[1])
    bright = picture(torch.stack([grey, grey + 4, grey]), (3, 4))
    assert (bright.min(), bright.max(), bright[0, 0, 1]) == (0.0, 1.0, pytest.approx(4 / 15))
    for image, message in (
        (torch.rand(4, 3, 4), "4 channels"),
        (torch.rand(2, 1, 3, 4), "batch of 2"),
        (torch.rand(1, 1, 4, 3), "does not fit"),
    ):
        with pytest.raises(ValueError, match=message):
            picture(image, (3, 4))
    with pytest.raises(ValueError, match="3 channels"):
        picture(torch.rand(3, 3, 4, 5), (3, 4, 5))
