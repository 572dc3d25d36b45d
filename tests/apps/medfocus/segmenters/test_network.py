# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy import ndimage
from torch import Tensor, nn

from monai_causal.apps.medfocus.segmenters.network import SCHEMA, NetworkSegmenter, build, seen, small
from monai_causal.data.phantoms.chest import CONCEPTS, chest


def saved(folder: Path, concepts: tuple[str, ...] = ("heart", "lung"), **record: Any) -> Path:
    torch.manual_seed(0)
    path = folder / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in build(len(concepts)).state_dict().items()}, path)
    content = {"schema": SCHEMA, "concepts": list(concepts)} | record
    path.with_suffix(".json").write_text(json.dumps(content), encoding="utf-8")
    return path


def test_what_is_seen_does_not_depend_on_exposure_and_follows_the_plain_formula() -> None:
    square = torch.rand(2, 1, 96, 96, generator=torch.Generator().manual_seed(1))
    view = seen(square)
    torch.testing.assert_close(seen(0.3 + 0.5 * square), view, atol=1e-4, rtol=1e-4)

    grey = square[1, 0].double().numpy()
    low, high = np.quantile(grey, [0.01, 0.99])
    grey = np.clip((grey - low) / (high - low), 0, 1)
    mean = ndimage.uniform_filter(grey, 25, mode="nearest")
    spread = np.sqrt(ndimage.uniform_filter(grey**2, 25, mode="nearest") - mean**2)
    np.testing.assert_allclose(view[1, 0].numpy(), 4 * (grey - 0.5), atol=1e-4)
    np.testing.assert_allclose(view[1, 1].numpy(), np.clip((grey - mean) / spread, -4, 4), atol=1e-3)


def test_an_even_region_stays_even() -> None:
    square = torch.zeros(1, 1, 96, 96)
    square[..., 60:] = 1.0
    assert float(seen(square)[0, 1, :, :40].abs().max()) == 0


def test_masks_have_the_images_size_and_lie_where_the_network_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Drawn(nn.Module):
        """Logits that are positive in fixed rectangles of the square, with an island beside the second."""

        def forward(self, image: Tensor) -> Tensor:
            logits = torch.full((len(image), 2, 96, 96), -3.0)
            logits[:, 0, 24:48, 48:72] = 3.0
            logits[:, 1, 0:12, 0:96] = 3.0
            logits[:, 1, 80:84, 10:14] = 3.0
            return logits

    segmenter = NetworkSegmenter(saved(tmp_path))
    monkeypatch.setattr(segmenter, "network", Drawn())
    found = segmenter(np.random.default_rng(0).random((480, 192)).astype(np.float32))
    expected = np.zeros((480, 192), bool)
    expected[120:240, 96:144] = True
    assert (found.masks["heart"] != expected).sum() <= 4  # interpolation rounds the corners
    assert found.masks["lung"].sum() == pytest.approx(60 * 192, abs=192)
    assert found.confidence["heart"] == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-6)
    assert found.steps == (segmenter.name,)


def test_uncertainty_is_the_mean_of_p_times_one_minus_p(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = NetworkSegmenter(saved(tmp_path))
    monkeypatch.setattr(segmenter, "_asked", lambda square: square[0])
    image = np.zeros((96, 96), np.float32)
    image[:48] = 0.5
    assert segmenter.uncertainty(image) == {"as given": 0.125, "upside down": 0.125}
    image[0, 0] = 1.0
    shown: list[Tensor] = []
    monkeypatch.setattr(segmenter, "_asked", lambda square: shown.append(square) or square[0])
    segmenter.uncertainty(image)
    assert [float(one[0, 0, 0, 0]) for one in shown] == [1.0, 0.0]
    assert float(shown[1][0, 0, 95, 0]) == 1.0


def test_a_large_image_is_answered_like_a_small_one(tmp_path: Path) -> None:
    segmenter = NetworkSegmenter(saved(tmp_path))
    image = ndimage.gaussian_filter(np.random.default_rng(2).random((96, 96)), 4).astype(np.float32)
    large = np.repeat(np.repeat(image, 10, axis=0), 8, axis=1)
    for name, mask in segmenter(large).masks.items():
        assert mask.shape == (960, 768)
        np.testing.assert_allclose(mask.mean(), segmenter(image).masks[name].mean(), atol=0.02)


def test_weights_without_their_record_or_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.with_suffix(".json").unlink()
    with pytest.raises(ValueError, match=r"weights.json, which names its concepts, is not beside it"):
        NetworkSegmenter(path)
    with pytest.raises(ValueError, match="schema 'else' is not"):
        NetworkSegmenter(saved(tmp_path, schema="else"))
    saved(tmp_path)
    path.with_suffix(".json").write_text(json.dumps({"schema": SCHEMA, "concepts": ["a"]}), encoding="utf-8")
    with pytest.raises(ValueError, match="belongs to another network, or to one with other channels"):
        NetworkSegmenter(path)


def test_the_network_that_comes_along_finds_the_concepts_of_phantoms_that_it_never_saw() -> None:
    segmenter = NetworkSegmenter()
    assert segmenter.concepts == CONCEPTS
    overlaps: dict[str, list[float]] = {name: [] for name in CONCEPTS}
    for seed in range(8):
        phantom = chest(970_000 + seed, size=(160, 160))
        found = segmenter(phantom.image[0])
        for name in CONCEPTS:
            truth, mask = phantom.maps[name], found.masks[name]
            overlaps[name].append((truth & mask).sum() / (truth | mask).sum())
    means = {name: float(np.mean(values)) for name, values in overlaps.items()}
    for name in ("left lung", "right lung", "cardiac silhouette", "mediastinum"):
        assert means[name] > 0.8, means
    assert min(means.values()) > 0.2, means


def test_small_averages_where_it_shrinks() -> None:
    image = torch.zeros(1, 1, 192, 192)
    image[..., ::2] = 1.0
    torch.testing.assert_close(small(image)[..., 2:-2], torch.full((1, 1, 96, 92), 0.5), atol=0.02, rtol=0)
