# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from monai_causal.apps.medfocus.pool import Reference, ReferencePool
from monai_causal.apps.medfocus.pool_sources import pool_from_phantoms
from monai_causal.apps.medfocus.reference import PoolTransport
from monai_causal.apps.medfocus.segmenters.transported import TransportSegmenter
from monai_causal.apps.medfocus.transport import UnbalancedTransport


@pytest.fixture(scope="module")
def pool() -> ReferencePool:
    return pool_from_phantoms(range(3), size=96)


def test_masks_are_those_of_the_transport_and_confidence_their_votes(pool: ReferencePool) -> None:
    image = pool[1].image.astype(np.float32) / 255
    found = TransportSegmenter(pool, count=2)(image)
    located = PoolTransport(pool, UnbalancedTransport(), count=2).locate(image)
    for index, name in enumerate(pool.concepts):
        np.testing.assert_array_equal(found.masks[name], located.mask[index].numpy())
        votes = located.soft[index].numpy()[located.mask[index].numpy()]
        assert found.confidence[name] == pytest.approx(votes.mean())
    assert found.details["transport"]["references"] == list(located.references)
    assert found.steps == (f"transport from {pool.digest[:12]}",)


def test_an_image_of_the_pool_is_carried_onto_itself(pool: ReferencePool) -> None:
    image = pool[2].image.astype(np.float32) / 255
    found = TransportSegmenter(pool, count=1)(image)
    for name, truth in zip(pool.concepts, pool[2].masks, strict=True):
        assert (found.masks[name] & truth).sum() / (found.masks[name] | truth).sum() > 0.9, name
    assert found.details["transport"]["displacement"] < 0.005


def test_a_concept_that_no_reference_in_use_knows_is_not_found_and_said(pool: ReferencePool) -> None:
    blind = Reference(pool[0].image, pool[0].masks & (np.arange(11) != 0)[:, None, None], "blind")
    mixed = ReferencePool([blind, pool[1]], pool.concepts)
    found = TransportSegmenter(mixed, count=1)(blind.image.astype(np.float32) / 255)
    assert found.confidence["cardiac silhouette"] == 0
    assert "cardiac silhouette: none of the references used knows it, so it is not located" in found.notes
