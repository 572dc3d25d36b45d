# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from monai_causal.intervene import MaskedMeanLogit, MaskedMeanProbability
from monai_causal.visualize import RISE
from monai_causal.visualize.rise import visible_part
from tests.golden import LinearSegmenter
from tests.visualize.networks import SIZES, Array, enlarged, image_of, mask_of, slow_min_max


def all_visible_parts(shape: tuple[int, int], cells: int, share: float) -> list[tuple[float, Array]]:
    """Every mask that there is, with its probability: all coarse grids and all shifts."""
    edges = [-(-length // cells) for length in shape]
    parts = []
    for bits in itertools.product((0.0, 1.0), repeat=(cells + 1) ** 2):
        coarse = np.reshape(bits, (cells + 1, cells + 1))
        fine = enlarged(coarse, tuple((cells + 1) * edge for edge in edges)) > 0.5
        chance = share ** coarse.sum() * (1 - share) ** (coarse.size - coarse.sum()) / np.prod(edges)
        for i, j in itertools.product(*(range(edge) for edge in edges)):
            parts.append((chance, fine[i : i + shape[0], j : j + shape[1]]))
    return parts


@pytest.mark.parametrize("share", [0.5, 0.3])
def test_converges_to_the_expectation_over_all_masks_on_a_linear_model(share: float) -> None:
    """s = s(fill) + the sum of (x - fill) * gradient over what is visible, so the expectation is a finite sum."""
    model, image, mask = LinearSegmenter(4), image_of(2), mask_of(2)
    fill = 0.5
    gain = ((image[0].numpy() - fill) * model.gradient(mask)).sum(0)
    nothing = float(model.score(torch.full_like(image, fill), mask))
    total, shown = np.zeros(SIZES[2]), np.zeros(SIZES[2])
    for chance, visible in all_visible_parts((8, 12), 2, share):
        total += chance * visible * (nothing + gain[visible].sum())
        shown += chance * visible
    expected = total / shown
    rise = RISE(model, fill, n_masks=6000, cells=2, share=share, execution="dense", batch_size=64)
    found = rise.expected_score(image, MaskedMeanLogit(mask)).numpy()
    # A voxel's mean over some 3000 (1800) masks: its standard error, five times.
    spread = 5 * gain.std() * np.sqrt(gain.size) / np.sqrt(6000 * share)
    assert np.abs(found - expected).max() < spread < 0.5 * np.ptp(expected)
    few = RISE(model, fill, n_masks=60, cells=2, share=share).expected_score(image, MaskedMeanLogit(mask)).numpy()
    assert np.abs(few - expected).max() > 2 * np.abs(found - expected).max()


def test_masks_have_the_distribution_that_they_should() -> None:
    exact = sum(chance * visible for chance, visible in all_visible_parts((8, 12), 2, 0.3))
    drawn = torch.stack([visible_part((8, 12), 2, 0.3, 0, number) for number in range(3000)]).double()
    np.testing.assert_allclose(drawn.mean(0).numpy(), exact, atol=5 * 0.5 / 3000**0.5)
    assert len({tuple(one.flatten().tolist()) for one in drawn}) > 300


@pytest.mark.parametrize("dims", [2, 3])
def test_the_map_is_the_mean_score_where_visible(dims: int) -> None:
    model, image, mask = LinearSegmenter(4, spatial_dims=dims), image_of(dims), mask_of(dims)
    rise = RISE(model, 0.5, n_masks=70, cells=2, seed=3, score=lambda roi, label: MaskedMeanProbability(roi))
    total, shown = np.zeros(SIZES[dims]), np.zeros(SIZES[dims])
    for number in range(70):
        visible = visible_part(SIZES[dims], 2, 0.5, 3, number)
        with torch.no_grad():
            answer = model(torch.where(visible, image, 0.5)).sigmoid()[0, 0]
        total[visible] += float(answer[mask].mean())
        shown[visible] += 1
    assert shown.min() > 0
    expected = slow_min_max(total / shown)
    np.testing.assert_allclose(rise(image, roi=mask)[0, 0].numpy(), expected, rtol=0, atol=1e-10)


def test_same_seed_same_map_whatever_is_held_at_once() -> None:
    model, image, roi = LinearSegmenter(4), image_of(2), ((2, 6), (3, 9))
    label = mask_of(2)
    first = RISE(model, n_masks=50, cells=3, seed=5)
    again = RISE(model, n_masks=50, cells=3, seed=5)
    again.at_once = 7
    torch.testing.assert_close(again(image, roi, label), first(image, roi, label), rtol=0, atol=1e-12)
    other = RISE(model, n_masks=50, cells=3, seed=6)
    assert not torch.allclose(other(image, roi, label), first(image, roi, label), atol=1e-3)


def test_a_voxel_that_no_mask_shows_gets_the_mean_score() -> None:
    model, image, mask = LinearSegmenter(4), image_of(2), mask_of(2)
    found = RISE(model, 0.5, n_masks=1, cells=2).expected_score(image, MaskedMeanLogit(mask))
    visible = visible_part(SIZES[2], 2, 0.5, 0, 0)
    score = float(model.score(torch.where(visible, image, 0.5), mask))
    assert not visible.all()
    torch.testing.assert_close(found, torch.full_like(found, score))


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"n_masks=0, share=0\.5"):
        RISE(LinearSegmenter(), n_masks=0)
    with pytest.raises(ValueError, match=r"share=1\.0"):
        RISE(LinearSegmenter(), share=1.0)
