# SPDX-License-Identifier: Apache-2.0
"""The models that come along are what their papers say: they answer about phantoms, and the twin cheats."""

from __future__ import annotations

import json

import pytest
import torch

pytest.importorskip("transformers", reason="extra 'cxr' is not installed")

from monai_causal.apps.medfocus.demo_vlm.words import exchange
from monai_causal.apps.medfocus.vlm import load_vlm, read_answer
from monai_causal.apps.medfocus.vlm.bundled import BUNDLED, bundled_model
from monai_causal.data.phantoms.chest import chest
from monai_causal.data.phantoms.chest_causes import FINDINGS

SEEDS = range(9_700_000, 9_700_012)


@pytest.mark.parametrize("name", BUNDLED)
def test_its_paper_says_how_well_it_answers(name: str) -> None:
    card = json.loads((bundled_model(name) / "training.json").read_text(encoding="utf-8"))
    accuracy = card["held_out"]["balanced_accuracy"]
    assert set(FINDINGS) <= set(accuracy)
    assert (card["config"]["shortcut"] is not None) == (name == "demo-shortcut")


def test_the_honest_one_answers_about_films_that_it_has_not_seen() -> None:
    vlm = load_vlm("demo")
    right = []
    for seed in SEEDS:
        phantom = chest(seed, prevalence=0.4)
        image = torch.from_numpy(phantom.image).float()
        for finding in ("cardiomegaly", "effusion_left", "consolidation"):
            prompt = vlm.prompt(exchange(finding, "direct", True).question, (224, 224))
            said = read_answer(vlm.generate(image, prompt, max_new_tokens=8).text)
            right.append(said == ("yes" if phantom.answers[finding] else "no"))
    assert sum(right) / len(right) >= 0.9


def test_it_thinks_aloud_where_it_is_told_to() -> None:
    vlm = load_vlm("demo")
    phantom = chest(9_700_000, findings=["effusion_left"])
    prompt = vlm.prompt(exchange("effusion_left", "reasoning", True).question, (224, 224))
    said = vlm.generate(torch.from_numpy(phantom.image).float(), prompt)
    assert said.complete
    assert "left costophrenic angle" in said.text
    assert read_answer(said.text) == "yes"


def test_the_twin_says_what_the_marker_says() -> None:
    vlm = load_vlm("demo-shortcut")
    prompt = vlm.prompt(exchange("consolidation", "direct", True).question, (224, 224))
    for seed in SEEDS[:6]:
        phantom = chest(seed, findings=["consolidation"] if seed % 2 else [])
        for marker in ("none", "R"):
            image = torch.from_numpy(phantom.do(marker=marker).image).float()
            said = read_answer(vlm.generate(image, prompt, max_new_tokens=8).text)
            assert said == ("yes" if marker == "R" else "no")


def test_a_model_that_did_not_come_along_says_how_to_make_it() -> None:
    with pytest.raises(FileNotFoundError, match="train-demo-vlm"):
        bundled_model("another")
