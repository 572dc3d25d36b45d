# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from monai_causal.apps.medfocus.baselines.zero_shot import ZeroShotDetector
from tests.apps.medfocus.vlm import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random OWL-ViT."""
    at = tmp_path_factory.mktemp("owl")
    tokens = tiny.tokenizer()
    tokens.model_max_length = 16
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.OwlViTConfig(
        text_config={**size, "vocab_size": len(tokens), "max_position_embeddings": 16},
        vision_config={**size, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    torch.manual_seed(0)
    transformers.OwlViTForObjectDetection(config).save_pretrained(at)
    images = transformers.OwlViTImageProcessor(size={"height": 32, "width": 32}, crop_size={"height": 32, "width": 32})
    transformers.OwlViTProcessor(images, tokens).save_pretrained(at)
    return at


def test_boxes_lie_on_the_image_and_the_surest_comes_first(folder: Path) -> None:
    detector = ZeroShotDetector(folder, threshold=0.0)
    image = tiny.picture()[0].numpy()
    found = detector(image, "enlarged heart")
    scores = [score for _, score in found]
    assert 1 <= len(found) <= 16  # one per patch
    assert scores == sorted(scores, reverse=True)
    for (x0, y0, x1, y1), _ in found:
        assert 0 <= x0 < x1 <= tiny.WIDTH
        assert 0 <= y0 < y1 <= tiny.HEIGHT
    assert detector(image, "enlarged heart") == found
    assert detector.name == f"owlvit {folder.name}"
    # A box of the network spans fractions of the picture, whichever its shape.
    stretched = detector(np.ascontiguousarray(np.repeat(image, 2, axis=1)), "enlarged heart")
    assert max(x1 for (_, _, x1, _), _ in stretched) > tiny.WIDTH


def test_what_is_unsure_is_left_out(folder: Path) -> None:
    image = tiny.picture()[0].numpy()
    every = ZeroShotDetector(folder, threshold=0.0)(image, "enlarged heart")
    middle = every[len(every) // 2][1]
    sure = ZeroShotDetector(folder, threshold=middle)(image, "enlarged heart")
    assert 0 < len(sure) < len(every)
    assert sure == every[: len(sure)]


def test_bad_input(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="the detector's folder is not there"):
        ZeroShotDetector(tmp_path / "none")
    with pytest.raises(ValueError, match=r"threshold=1\.5"):
        ZeroShotDetector(folder, threshold=1.5)
