# SPDX-License-Identifier: Apache-2.0
"""The demo finds the cause that its phantom knows."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.image
import nibabel as nib
import numpy as np
import pytest
import torch

from monai_causal.apps.demo import PATCH_SIZE, SEED, in_words, run_demo
from monai_causal.apps.demo.network import load_demo_network
from monai_causal.apps.demo.train import class_accuracy, train
from monai_causal.data.phantoms import shapes


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("demo") / "with a space" / "deeper"
    return out, run_demo(out)


def test_it_writes_a_picture_a_map_and_a_summary(demo: tuple[Path, dict]) -> None:
    out, summary = demo
    assert sorted(path.name for path in out.iterdir()) == ["effects.nii.gz", "explanation.png", "summary.json"]
    assert json.loads((out / "summary.json").read_text()) == json.loads(json.dumps(summary))
    picture = matplotlib.image.imread(out / "explanation.png")[..., :3]
    assert len(np.unique((picture * 255).round().astype(np.uint8).reshape(-1, 3), axis=0)) > 500


def test_the_strongest_support_beside_the_object_is_the_planted_cue(demo: tuple[Path, dict]) -> None:
    _, summary = demo
    assert summary["strongest_support_beside_the_object"]["lies_on_cue"]
    assert summary["share_of_the_effect_beside_the_object_that_lies_on_the_cue"] > 0.5


def test_it_ends_with_where_to_look(demo: tuple[Path, dict]) -> None:
    out, summary = demo
    text = in_words(summary, out)
    assert f"Look at {out / 'explanation.png'}" in text
    assert "lies on the planted cue" in text
    summary = {**summary, "strongest_support_beside_the_object": {"lies_on_cue": False, "effect": -0.25}}
    assert "lies NOT on the planted cue: -0.250 in probability" in in_words(summary, out)


def test_the_map_agrees_with_whole_forwards_and_with_the_exact_counterfactual(demo: tuple[Path, dict]) -> None:
    out, summary = demo
    phantom, network = shapes(SEED), load_demo_network()
    mask, answer = torch.from_numpy(phantom.labels > 0), phantom.causes.resolved_class

    def probability(image: np.ndarray) -> float:
        with torch.no_grad():
            return float(network(torch.from_numpy(image)[None]).softmax(1)[0, answer][mask].mean())

    before = probability(phantom.image)
    assert summary["score"]["before"] == pytest.approx(before, abs=1e-5)
    written = np.asarray(nib.load(out / "effects.nii.gz").dataobj)[..., 0]
    strongest = tuple(start for start, _ in summary["strongest_support_beside_the_object"]["box"])
    for row, column in ((0, 0), (64, 48), strongest):
        changed = phantom.image.copy()
        place = (0, slice(row, row + PATCH_SIZE), slice(column, column + PATCH_SIZE))
        changed[place] = phantom.image.mean()
        np.testing.assert_allclose(written[place[1:]], probability(changed) - before, atol=1e-5)
    without = phantom.do(cue=0, object_class=answer)
    assert summary["exact_effect_of_removing_the_cue"] == pytest.approx(probability(without.image) - before, abs=1e-5)
    assert summary["exact_effect_of_removing_the_cue"] < -0.2


def test_the_bundled_network_reads_the_class_from_the_cue() -> None:
    assert class_accuracy(load_demo_network(), count=60) > 0.9


def test_training_is_what_made_it_and_is_repeatable() -> None:
    first, second = (train(steps=2, batch_size=2, seed=0).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = train(steps=2, batch_size=2, seed=1).state_dict()
    assert not all(torch.equal(first[name], other[name]) for name in first)
