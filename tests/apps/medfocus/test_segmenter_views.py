# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from monai_causal.apps.medfocus.segmenter_views import KNOTS, ViewConfig, _blurred, _toned, vary

STILL = ViewConfig(
    size=64, zoom=0, turn=0, shift=0, bend=0, structure=0, flatten=0, light=0, blur=0.11, noise=0, inverted=0,
    occluded=0,
)  # fmt: skip


def phantoms(count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    masks = torch.stack([(rows - 32) ** 2 + (columns - 20) ** 2 < 150, columns > 40]).float()
    image = (0.2 + 0.4 * masks[0] + 0.3 * masks[1])[None]
    return image.expand(count, 1, 64, 64), masks.expand(count, 2, 64, 64)


def test_a_view_belongs_to_its_key_and_not_to_its_batch() -> None:
    images, masks = phantoms()
    keys = [(0, 1, 7), (0, 2, 7), (1, 1, 7)]
    together = vary(images, masks, keys, ViewConfig(size=64))
    for number, key in enumerate(keys):
        alone = vary(images[:1], masks[:1], [key], ViewConfig(size=64))
        torch.testing.assert_close(alone[0][0], together[0][number], atol=1e-6, rtol=0)
        torch.testing.assert_close(alone[1][0], together[1][number])
    assert not torch.equal(together[0][0], together[0][1])
    assert not torch.equal(together[0][0], together[0][2])


def test_images_and_masks_move_together() -> None:
    images, masks = phantoms(1)
    moving = replace(STILL, zoom=0.3, turn=20, shift=0.2, bend=0.05)
    for epoch in range(6):
        view, moved = vary(images, masks, [(0, epoch, 0)], moving)
        inside, outside = view[0, 0][moved[0, 0] > 0], view[0, 0][moved[0].sum(0) == 0]
        if len(inside) and len(outside):
            # The tone curve is monotone, so what was brighter stays so; a rim of mixed pixels aside.
            assert inside.median() > outside.median()
    assert not torch.equal(moved, masks)


def test_still_views_are_the_phantom_under_a_monotone_curve() -> None:
    images, masks = phantoms(1)
    view, moved = vary(images, masks, [(0, 0, 0)], STILL)
    torch.testing.assert_close(moved, masks)
    levels = [float(view[0, 0][images[0, 0] == value].median()) for value in images.unique()]
    assert levels == sorted(levels)


def test_structures_change_each_on_its_own() -> None:
    images, masks = phantoms(1)
    plain, _ = vary(images, masks, [(0, 3, 0)], STILL)
    spread = {0: 0.0, 1: 0.0, 2: 0.0}
    for epoch in range(12):
        plain, _ = vary(images, masks, [(0, epoch, 0)], STILL)
        view, _ = vary(images, masks, [(0, epoch, 0)], replace(STILL, structure=0.5))
        change = (view - plain).abs()[0, 0]
        for place, area in enumerate((masks[0, 0] > 0, masks[0, 1] > 0, masks[0].sum(0) == 0)):
            core = torch.nn.functional.avg_pool2d(area[None].float(), 11, 1, 5)[0] > 0.999
            spread[place] = max(spread[place], float(change[core].max()))
    assert spread[0] > 0.05
    assert spread[1] > 0.05
    assert spread[2] < 1e-3


def test_the_tone_curve_is_linear_between_its_knots() -> None:
    curve = torch.tensor([[0.0, 0.1, 0.5, 0.6, 0.9, 1.0]])
    values = torch.linspace(0, 1, 101).view(1, 1, 1, -1)
    expected = np.interp(values.numpy().ravel(), np.linspace(0, 1, KNOTS), curve.numpy().ravel())
    np.testing.assert_allclose(_toned(values, curve).numpy().ravel(), expected, atol=1e-6)


def test_each_image_is_blurred_by_its_own_width() -> None:
    images = torch.zeros(3, 1, 41, 41)
    images[..., 20, 20] = 1
    blurred = _blurred(images, torch.tensor([0.0, 1.0, 1.5]))
    torch.testing.assert_close(blurred[0], images[0])
    for number, width in ((1, 1.0), (2, 1.5)):
        profile: Any = blurred[number, 0].sum(0)
        moment = float((profile * (torch.arange(41) - 20.0) ** 2).sum())
        np.testing.assert_allclose(moment, width**2, rtol=0.02)


def test_extremes_stay_images_and_masks() -> None:
    images, masks = phantoms(8)
    view, moved = vary(
        images, masks, [(0, 0, index) for index in range(8)], ViewConfig(size=64, occluded=1, inverted=0.5)
    )
    assert bool(((view >= 0) & (view <= 1)).all())
    assert set(moved.unique().tolist()) <= {0.0, 1.0}
