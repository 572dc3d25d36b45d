# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch

from monai_causal.apps.medfocus.pool import Reference, ReferencePool
from monai_causal.apps.medfocus.pool_sources import pool_from_phantoms
from monai_causal.apps.medfocus.reference import PoolTransport
from monai_causal.apps.medfocus.reference_pose import best_poses, placed
from monai_causal.apps.medfocus.transport import UnbalancedTransport
from monai_causal.data.phantoms.chest import chest


@lru_cache
def phantoms():
    return pool_from_phantoms(range(4), size=112)


def noise(seed=0, shape=(112, 112)):
    pixels = np.rint(np.random.default_rng(seed).random(shape) ** 4 * 255).astype(np.uint8)
    return Reference(pixels, np.ones((11, *shape), bool), "noise")


def test_the_image_itself_is_ranked_first_and_noise_last_where_the_published_cost_prefers_noise():
    pool = ReferencePool([noise(), *phantoms()], phantoms().concepts)
    finder = PoolTransport(pool)
    for itself in range(1, 5):
        similarity = finder.poses(pool[itself].image).similarity
        assert similarity.argmax() == itself
        assert similarity[itself] == pytest.approx(1)
        assert similarity.argmin() == 0
    cost = finder.costs(pool[1].image)
    assert cost[0] < cost[1]


def test_the_image_itself_as_only_voter_gives_its_masks_back():
    pool = phantoms()
    located = PoolTransport(pool, UnbalancedTransport(grid=28), count=1).locate(pool[3].image)
    assert located.references == ("phantom-3",)
    assert located.flags == ()
    assert np.array_equal(located.mask.numpy(), pool[3].masks)


def test_size_and_place_are_found():
    pool = phantoms()
    image = torch.from_numpy(pool[1].image / 255)[None, None]
    scale, shift = np.array([[1.1, 0.9]]), np.array([[0.125, -0.0625]])
    target = placed(image, scale, shift)[0, 0].numpy()
    poses = PoolTransport(pool).poses(target)
    assert poses.similarity.argmax() == 1
    np.testing.assert_allclose(poses.scale[1], scale[0])
    np.testing.assert_allclose(poses.shift[1], shift[0], atol=1 / 56)


def test_placing_scales_about_the_middle_then_shifts():
    point = torch.zeros(1, 1, 20, 20, dtype=torch.float64)
    point[..., 14:16, 4:6] = 1  # centre at 15, 5: half a side of 10 below the middle, as far to the left of it
    moved = placed(point, np.array([[1.2, 1.0]]), np.array([[-0.1, 0.25]]))[0, 0].numpy()
    rows, columns = np.mgrid[:20, :20] + 0.5
    assert (moved * rows).sum() / moved.sum() == pytest.approx(10 + 5 * 1.2 - 2, abs=0.2)
    assert (moved * columns).sum() / moved.sum() == pytest.approx(5 + 5, abs=1e-9)


def test_similarity_is_a_correlation():
    generator = np.random.default_rng(1)
    stack = generator.standard_normal((2, 16, 16))
    poses = best_poses(stack, stack[0], scales=(1.0,), farthest=0.0)
    expected = (stack[1] * stack[0]).sum() / np.linalg.norm(stack[0]) / np.linalg.norm(stack[1])
    np.testing.assert_allclose(poses.similarity, [1, expected], rtol=1e-9)
    np.testing.assert_array_equal(poses.shift, 0)


def test_votes_are_weighted_and_one_who_does_not_know_has_none():
    pool = phantoms()
    gap = Reference(pool[0].image, pool[0].masks.copy(), "gap")
    gap.masks[2] = False
    mixed = ReferencePool([gap, pool[1], pool[2]], pool.concepts)
    located = PoolTransport(mixed, align=False, temperature=0.2).locate(pool[0].image)
    assert located.references[0] == "gap"
    np.testing.assert_allclose(
        located.weights, np.exp((located.score - 1) / 0.2) / np.exp((located.score - 1) / 0.2).sum()
    )
    stack = np.stack([{r.name: r for r in mixed}[name].masks for name in located.references])
    expected = np.tensordot(located.weights, stack, 1)
    expected[2] = np.tensordot(located.weights[1:] / located.weights[1:].sum(), stack[1:, 2], 1)
    np.testing.assert_allclose(located.soft.numpy(), expected, atol=1e-4)


def test_a_concept_that_no_used_reference_knows_is_flagged_and_empty():
    pool = phantoms()
    gap = Reference(pool[0].image, pool[0].masks.copy(), "gap")
    gap.masks[2] = False
    located = PoolTransport(ReferencePool([gap, pool[1]], pool.concepts), count=1).locate(pool[0].image)
    assert located.flags == (f"{pool.concepts[2]}: none of the references used knows it, so it is not located",)
    assert not located.mask[2].any()
    assert located.mask[1].any()


def test_an_image_like_no_reference_is_flagged():
    located = PoolTransport(phantoms()).locate(noise(7).image)
    assert len(located.flags) == 1
    assert located.flags[0].startswith("no reference is like this image (similarity 0.")


def test_results_lie_on_the_target_in_its_own_pixels():
    pool = phantoms()
    tall = chest(1, (300, 240), findings=())
    located = PoolTransport(pool, UnbalancedTransport(grid=28)).locate(tall.image)
    assert located.mask.shape == (11, 300, 240)
    assert located.displacement.shape == (4, 2, 28, 28)
    truth = tall.concepts
    overlaps = (located.mask.numpy() & truth).sum((1, 2)) / (located.mask.numpy() | truth).sum((1, 2))
    assert overlaps[list(pool.concepts).index("left lung")] > 0.7


def test_bad_input():
    pool = phantoms()
    with pytest.raises(ValueError, match="16 x 16 pixels are fewer"):
        PoolTransport(pool).locate(np.random.default_rng(0).random((16, 16)))
    with pytest.raises(ValueError, match="it is blank"):
        PoolTransport(pool).locate(np.ones((112, 112)))
    for wrong, message in (({"rank": "size"}, "rank='size'"), ({"count": 0}, "count=0"), ({"temperature": 0}, "temp")):
        with pytest.raises(ValueError, match=message):
            PoolTransport(pool, **wrong)
