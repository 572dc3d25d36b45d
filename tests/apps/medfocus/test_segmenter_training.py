# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from monai_causal.apps.medfocus import segmenter_training as training
from monai_causal.apps.medfocus.segmenter_training import (
    HELD_OUT,
    PhantomCache,
    SegmenterConfig,
    held_out_iou,
    train_segmenter,
)
from monai_causal.apps.medfocus.segmenter_views import ViewConfig
from monai_causal.apps.medfocus.segmenters.network import NetworkSegmenter
from monai_causal.data.phantoms.chest import CONCEPTS, chest

TINY = SegmenterConfig(phantoms=4, held_out=2, epochs=3, batch=2, views=ViewConfig(size=64))


def test_the_cache_holds_phantoms_and_is_filled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = PhantomCache(tmp_path, range(3, 6), "random", seed=7)
    cache.epoch = 2
    item = cache[1]
    phantom = chest(4, size=(160, 160), style="random")
    np.testing.assert_allclose(item["image"].numpy(), phantom.image, atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(item["masks"].numpy() > 0, phantom.concepts)
    assert item["key"] == (7, 2, 1)

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("rendered again")

    monkeypatch.setattr(training, "chest", never)
    again = PhantomCache(tmp_path, range(3, 6), "random")
    np.testing.assert_array_equal(again.images, cache.images)
    with pytest.raises(AssertionError, match="rendered again"):
        PhantomCache(tmp_path, range(4, 7), "random")


def test_an_interrupted_cache_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = PhantomCache(tmp_path / "whole", range(3), "plain")

    def breaking(seed: int, **options: Any) -> Any:
        if seed == 2:
            raise KeyboardInterrupt
        return chest(seed, **options)

    monkeypatch.setattr(training, "chest", breaking)
    with pytest.raises(KeyboardInterrupt):
        PhantomCache(tmp_path / "broken", range(3), "plain")
    monkeypatch.setattr(training, "chest", chest)
    broken = PhantomCache(tmp_path / "broken", range(3), "plain")
    np.testing.assert_array_equal(broken.images, whole.images)
    np.testing.assert_array_equal(broken.bits, whole.bits)


def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = train_segmenter(tmp_path / "whole", tmp_path / "cache", TINY)
    assert len(summary["losses"]) == 3

    real, calls = training.vary, 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:  # in the middle of the second epoch
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(training, "vary", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_segmenter(tmp_path / "broken", tmp_path / "cache", TINY)
    monkeypatch.setattr(training, "vary", real)
    again = train_segmenter(tmp_path / "broken", tmp_path / "cache", TINY)
    assert again == summary
    whole, broken = (load_file(tmp_path / name / "segmenter.safetensors") for name in ("whole", "broken"))
    for name, value in whole.items():
        assert value.dtype == torch.float16
        assert torch.equal(value, broken[name]), name
    stored = json.loads((tmp_path / "whole" / "segmenter.json").read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(summary))
    assert NetworkSegmenter(tmp_path / "whole" / "segmenter.safetensors").concepts == CONCEPTS

    other = train_segmenter(tmp_path / "other", tmp_path / "cache", replace(TINY, seed=1, epochs=1))
    assert other["losses"][0] != summary["losses"][0]
    with pytest.raises(ValueError, match=r"going-on\.pt is of a training with other settings"):
        train_segmenter(tmp_path / "whole", tmp_path / "cache", replace(TINY, rate=1e-3))


def test_the_loss_falls(tmp_path: Path) -> None:
    config = SegmenterConfig(phantoms=4, held_out=1, epochs=16, batch=2, views=ViewConfig(size=64))
    losses = train_segmenter(tmp_path / "out", tmp_path / "cache", config)["losses"]
    assert np.mean(losses[-4:]) < 0.85 * np.mean(losses[:4])


def test_held_out_iou_is_one_for_the_truth_and_leaves_out_what_is_not_there(tmp_path: Path) -> None:
    phantoms = PhantomCache(tmp_path, range(HELD_OUT, HELD_OUT + 3), "plain")
    phantoms.bits[:] &= ~np.uint16(1 << 9)
    phantoms.bits[0] |= np.uint16(1 << 9)

    class Truth(torch.nn.Module):
        """Says of every image what its masks are, at their own size; of a quarter of the left lung it says nothing."""

        def __init__(self) -> None:
            super().__init__()
            self.seen = 0

        def forward(self, views: torch.Tensor) -> torch.Tensor:
            masks = torch.stack([phantoms[self.seen + index]["masks"] for index in range(len(views))])
            self.seen += len(views)
            return 2 * masks - 1

    iou = held_out_iou(Truth(), phantoms, batch=2)
    assert list(iou) == list(CONCEPTS)
    assert set(iou.values()) == {1.0}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epochs": 0}, "epochs=0: give at least 1"),
        ({"phantoms": 4, "batch": 8}, "batch=8: there are only 4 phantoms"),
        ({"phantoms": 8001}, "phantoms=8001: give a seed from 0 to 999 and at most 8000 phantoms"),
        ({"seed": -1}, "seed=-1"),
        ({"views": {"size": 80}}, "size=80: give a multiple of 32, at least 64"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SegmenterConfig(**{name: ViewConfig(**one) if name == "views" else one for name, one in settings.items()})
