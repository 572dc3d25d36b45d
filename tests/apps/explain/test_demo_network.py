# SPDX-License-Identifier: Apache-2.0
"""The small network of ``explain --network demo`` reads the class from the cue, and the engine finds that out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_causal.apps.explain.demo_network import SEED, load_demo_network
from monai_causal.apps.explain.demo_training import class_accuracy, train
from monai_causal.data.phantoms import shapes
from monai_causal.intervene import Evaluator, MaskedMeanProbability, MeanFill, grid_regions

PATCH_SIZE = 16


def test_the_strongest_support_beside_the_object_is_the_planted_cue() -> None:
    phantom, network = shapes(SEED), load_demo_network()
    mask, answer = torch.from_numpy(phantom.labels > 0), phantom.causes.resolved_class

    def probability(image: np.ndarray) -> float:
        with torch.no_grad():
            return float(network(torch.from_numpy(image)[None]).softmax(1)[0, answer][mask].mean())

    image = torch.from_numpy(phantom.image)[None]
    regions = grid_regions(image.shape[2:], PATCH_SIZE)
    effects = Evaluator(network)(image, regions, MeanFill(), MaskedMeanProbability(mask, answer))
    before = probability(phantom.image)
    assert float(effects.baseline) == pytest.approx(before, abs=1e-5)
    on_cue = regions.touches(torch.from_numpy(phantom.maps["cue"] > 0))
    beside = ~regions.touches(mask)
    strongest = int(torch.where(beside, effects.ate, torch.inf).argmin())
    assert on_cue[strongest]
    for row in (0, strongest):
        changed = phantom.image.copy()
        changed[regions[row].index] = phantom.image.mean()
        np.testing.assert_allclose(float(effects.ate[row]), probability(changed) - before, atol=1e-5)
    without = phantom.do(cue=0, object_class=answer)
    assert probability(without.image) - before < -0.2


def test_the_bundled_network_reads_the_class_from_the_cue() -> None:
    assert class_accuracy(load_demo_network(), count=60) > 0.9


def test_training_is_what_made_it_and_is_repeatable() -> None:
    first, second = (train(steps=2, batch_size=2, seed=0).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = train(steps=2, batch_size=2, seed=1).state_dict()
    assert not all(torch.equal(first[name], other[name]) for name in first)
