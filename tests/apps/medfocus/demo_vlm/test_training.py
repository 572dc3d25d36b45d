# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers", reason="extra 'cxr' is not installed")

from safetensors.torch import load_file

from monai_causal.apps.medfocus.demo_vlm import training
from monai_causal.apps.medfocus.demo_vlm.examination import balanced
from monai_causal.apps.medfocus.demo_vlm.training import DemoVlmConfig, train_demo_vlm
from monai_causal.data.phantoms.chest_causes import FINDINGS

TINY = DemoVlmConfig(films=4, held_out=3, tower_epochs=2, closer_epochs=1, answer_epochs=2, batch=2, answer_batch=2)


def test_an_interrupted_training_ends_with_the_same_weights_and_the_twin_takes_its_tower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = train_demo_vlm(tmp_path / "model", tmp_path / "work", TINY)
    assert set(summary["held_out"]["balanced_accuracy"]) == set(FINDINGS)
    assert json.loads((tmp_path / "model" / "training.json").read_text(encoding="utf-8")) == summary
    assert [len(summary["losses"][lesson]) for lesson in ("tower", "closer", "answers")] == [2, 1, 2]
    whole = load_file(tmp_path / "model" / "model.safetensors")

    real, calls = training.views_of, 0

    def interrupted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls in (3, 10):  # in the second epoch of a lesson
            raise KeyboardInterrupt
        return real(*arguments, **options)

    work = tmp_path / "broken"
    work.mkdir()
    (work / "films").symlink_to(tmp_path / "work" / "films", target_is_directory=True)
    monkeypatch.setattr(training, "views_of", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train_demo_vlm(tmp_path / "again", work, TINY)
    train_demo_vlm(tmp_path / "again", work, TINY)
    monkeypatch.undo()
    again = load_file(tmp_path / "again" / "model.safetensors")
    assert all(torch.equal(value, again[name]) for name, value in whole.items())

    twin = replace(TINY, shortcut="consolidation")
    train_demo_vlm(tmp_path / "twin", tmp_path / "twin work", twin, tower=tmp_path / "work")
    cheat = load_file(tmp_path / "twin" / "model.safetensors")
    seeing = [name for name in whole if "vision" in name]
    assert seeing
    assert all(torch.equal(whole[name], cheat[name]) for name in seeing)
    assert any(not torch.equal(whole[name], cheat[name]) for name in whole)
    with pytest.raises(ValueError, match=r"tower\.pt is of a training with other settings"):
        train_demo_vlm(tmp_path / "other", tmp_path / "work", replace(TINY, rate=1e-5))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"films": 0}, "films=0: give at least 1"),
        ({"batch": 99}, "there are only 4 films to fill one"),
        ({"shortcut": "fever"}, "shortcut='fever': one of cardiomegaly"),
        ({"films": 10**8}, "so that none is held out as well"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        replace(TINY, **changes)


def test_balanced_accuracy_weighs_both_answers_alike() -> None:
    truth = torch.tensor([True] * 2 + [False] * 8)
    assert balanced(torch.zeros(10, dtype=torch.bool), truth) == 0.5
    assert balanced(truth, truth) == 1.0
    assert balanced(truth, torch.ones_like(truth)) is None
