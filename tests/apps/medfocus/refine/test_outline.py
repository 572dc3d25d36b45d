# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from monai_causal.apps.medfocus.refine.outline import OutlineRefinement
from monai_causal.apps.medfocus.segmenters.base import Segmented
from monai_causal.data.phantoms.chest import CONCEPTS, chest


def disc(shape: tuple[int, int], row: float, column: float, down: float, across: float) -> Any:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return ((rows - row) / down) ** 2 + ((columns - column) / across) ** 2 < 1


def iou(first: Any, second: Any) -> float:
    return float((first & second).sum() / (first | second).sum())


def found(masks: dict[str, Any]) -> Segmented:
    return Segmented(masks, dict.fromkeys(masks, 0.7), ("given",))


@pytest.mark.parametrize("shape", [(224, 224), (300, 200), (96, 130)])
@pytest.mark.parametrize("bright", [True, False])
def test_a_shifted_and_stretched_outline_finds_its_edge(shape: tuple[int, int], bright: bool) -> None:
    h, w = shape
    truth = disc(shape, 0.5 * h, 0.5 * w, 0.2 * h, 0.15 * w)
    start = disc(shape, 0.5 * h + 0.03 * h, 0.5 * w - 0.03 * w, 0.22 * h, 0.14 * w)
    image = np.where(truth == bright, 0.7, 0.3).astype(np.float32)
    refined = OutlineRefinement()(image, found({"cardiac silhouette": start}))
    assert iou(start, truth) < 0.75
    assert iou(refined.masks["cardiac silhouette"], truth) > 0.95
    assert refined.steps == ("given", "outline")
    assert refined.confidence == {"cardiac silhouette": 0.7}
    stretch_rows, stretch_columns, down, across = refined.details["outline"]["stretch_and_shift"]["cardiac silhouette"]
    assert (down, across) == pytest.approx((-0.03 * 224, 0.03 * 224), abs=1.1)
    assert (stretch_rows, stretch_columns) == pytest.approx((0.2 / 0.22, 0.15 / 0.14), abs=0.03)


def test_nothing_moves_on_an_even_image() -> None:
    mask = disc((150, 100), 70, 50, 30, 20)
    masks = {"cardiac silhouette": mask, "left clavicle": mask}
    refined = OutlineRefinement()(np.full((150, 100), 0.4, np.float32), found(masks))
    np.testing.assert_array_equal(refined.masks["cardiac silhouette"], mask)


def test_what_has_no_outline_of_its_own_goes_along() -> None:
    shape = (224, 224)
    truth, start = disc(shape, 112, 112, 60, 40), disc(shape, 118, 106, 60, 40)
    clavicle = np.zeros(shape, bool)
    clavicle[60:70, 90:130] = True
    image = np.where(truth, 0.3, 0.7).astype(np.float32)
    refined = OutlineRefinement()(image, found({"left lung": start, "left clavicle": clavicle}))
    moved = ndimage.center_of_mass(refined.masks["left clavicle"])
    assert moved == pytest.approx((64.5 - 6, 109.5 + 6), abs=1.5)
    alone = OutlineRefinement()(image, found({"left clavicle": clavicle}))
    np.testing.assert_array_equal(alone.masks["left clavicle"], clavicle)
    assert alone.details["outline"]["stretch_and_shift"] == {}


def test_a_mask_on_the_rim_keeps_to_the_image() -> None:
    truth = disc((224, 224), 112, 0, 60, 50)
    start = disc((224, 224), 112, -8, 60, 50)
    image = np.where(truth, 0.3, 0.7).astype(np.float32)
    refined = OutlineRefinement()(image, found({"right lung": start}))
    assert iou(start, truth) < 0.85
    assert iou(refined.masks["right lung"], truth) > 0.93


def test_it_helps_on_phantoms_for_every_large_concept() -> None:
    """Masks of phantoms, displaced by 4 % and enlarged by 6 %, come closer to the truth in the mean of each."""
    large = CONCEPTS[:5]
    before: dict[str, list[float]] = {name: [] for name in large}
    after: dict[str, list[float]] = {name: [] for name in large}
    for seed in range(6):
        phantom = chest(950_000 + seed, size=(224, 224))
        truth = {name: phantom.maps[name] for name in large}
        rng = np.random.default_rng(seed)
        moved = {}
        for name, mask in truth.items():
            shift = 9 * np.sign(rng.standard_normal(2))
            middle = np.array(ndimage.center_of_mass(mask))
            offset = middle - (middle + shift) / 1.06
            moved[name] = ndimage.affine_transform(mask.astype(float), [1 / 1.06] * 2, offset, order=1) > 0.5
        refined = OutlineRefinement()(phantom.image[0], found(moved))
        for name in large:
            before[name].append(iou(moved[name], truth[name]))
            after[name].append(iou(refined.masks[name], truth[name]))
    for name in large:
        assert np.mean(after[name]) > np.mean(before[name]) + 0.03, name


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="reach=0: give a whole number from 1 to 56"):
        OutlineRefinement(reach=0)
    with pytest.raises(ValueError, match=r"stretch=0\.5"):
        OutlineRefinement(stretch=0.5)
