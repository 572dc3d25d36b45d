# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from monai_causal.apps.mcdrl.methods import DEMO_CLIP
from monai_causal.apps.mcdrl.pretrain import PretrainConfig, in_words, matching_loss, pretrain_clip, zero_shot
from monai_causal.networks.blocks.clip import encode_prompts, load_clip
from monai_causal.networks.nets.mcdrl import MCDRL

TINY = PretrainConfig(steps=3, batch=8, phantoms=8, held_out=6, size=32, width=32, layers=1)


def test_equal_captions_are_equally_right() -> None:
    generator = torch.Generator().manual_seed(0)
    image, text = (normalize(torch.randn(4, 5, generator=generator, dtype=torch.float64), dim=1) for _ in range(2))
    texts = ["a", "b", "a", "c"]
    logits = 7.0 * image @ text.T
    expected = 0.0
    for rows in (logits, logits.T):
        for row in range(4):
            alike = [column for column in range(4) if texts[column] == texts[row]]
            total = torch.logsumexp(rows[row], dim=0)
            expected += sum(float(total - rows[row, column]) for column in alike) / len(alike) / 8
    assert float(matching_loss(image, text, torch.tensor(7.0), texts)) == pytest.approx(expected, rel=1e-12)


def test_what_is_written_is_an_encoder_and_the_same_twice(tmp_path: Path) -> None:
    first, second = (pretrain_clip(tmp_path / name, TINY) for name in ("first", "second"))
    assert first == second
    weights = "open_clip_model.safetensors"
    assert (tmp_path / "first" / weights).read_bytes() == (tmp_path / "second" / weights).read_bytes()
    assert json.loads((tmp_path / "first" / "pretraining.json").read_text()) == first
    assert math.isfinite(first["loss"])
    network = MCDRL(str(tmp_path / "first"), depth=1, hidden=16).eval()
    assert network(torch.rand(1, 3, 32, 40)).shape == (1, 1, 32, 40)
    words = in_words(first, tmp_path)
    assert f"{first['held_out']['confounder']:.1%}" in words


def test_another_seed_gives_another_clip(tmp_path: Path) -> None:
    prompts = ["A polyp in an endoscopic image"]
    found = []
    for seed in (0, 1):
        pretrain_clip(tmp_path / str(seed), PretrainConfig(**{**vars(TINY), "seed": seed}))
        found.append(encode_prompts(load_clip(str(tmp_path / str(seed))), prompts))
    assert not torch.allclose(*found)


def test_the_texts_of_the_clip_that_comes_along_mean_something() -> None:
    held_out = zero_shot(load_clip(str(DEMO_CLIP)), 60, 96)
    # chance is 1/2 and 1/12; on 600 phantoms it reached what pretraining.json says
    assert held_out["finding"] > 0.65
    assert held_out["confounder"] > 0.8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps=0: give at least 1"),
        ({"size": 90}, "multiple of the patch"),
        ({"width": 40}, "multiple of 32"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PretrainConfig(**changes)
