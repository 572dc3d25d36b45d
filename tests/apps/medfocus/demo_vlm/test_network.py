# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers", reason="extra 'cxr' is not installed")

from monai_causal.apps.medfocus.demo_vlm.lessons import Lesson
from monai_causal.apps.medfocus.demo_vlm.network import build_model, build_processor, save_model
from monai_causal.apps.medfocus.demo_vlm.tower import seen
from monai_causal.apps.medfocus.demo_vlm.words import exchange
from monai_causal.apps.medfocus.vlm.loading import load_vlm


def test_a_saved_model_is_an_ordinary_folder_that_answers_in_single_precision(tmp_path: Path) -> None:
    processor = build_processor()
    model = build_model(processor).eval()
    assert 2e6 <= sum(one.numel() for one in model.parameters()) <= 6e6
    save_model(model, processor, tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 25e6
    vlm = load_vlm(tmp_path)
    assert vlm.family == "llava"
    assert vlm.provenance["dtype"] == "float32"
    image = torch.rand(1, 1, 224, 224, generator=torch.Generator().manual_seed(0))
    question, answer = exchange("nodule", "direct", True)
    prompt = vlm.prompt(question, (224, 224))
    lesson = Lesson(processor)
    told = [*lesson.opening(), *[model.config.image_token_id] * 100, *lesson.cut(question), *lesson.closing()]
    assert prompt.token_ids.tolist() == told  # what is learnt is what is asked
    assert vlm.log_probs(image, prompt, vlm.answer(answer)).dtype == torch.float32


def test_the_lesson_shows_pictures_as_the_processor_does() -> None:
    images = build_processor().image_processor
    picture = torch.rand(1, 1, 160, 160, generator=torch.Generator().manual_seed(1))
    given = images(images=list((255 * picture).expand(-1, 3, -1, -1)), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(given, seen(picture), atol=0.02, rtol=0)  # the processor rounds to whole grey values


def test_the_tokenizer_says_any_text_and_gives_it_back() -> None:
    tokenizer = build_processor().tokenizer
    for text in ("Is there evidence of cardiomegaly in the image?", "Élargissement? 心臟 \N{SNOWMAN}"):
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(tokens) == text
    assert len(tokenizer("Is there evidence of cardiomegaly in the image?")["input_ids"]) < 12


def test_the_same_seed_gives_the_same_weights() -> None:
    processor = build_processor()
    first, again, other = (build_model(processor, seed).state_dict() for seed in (0, 0, 1))
    name = "model.vision_tower.embeddings.patch_embedding.weight"
    name = name if name in first else next(key for key in first if key.endswith("patch_embedding.weight"))
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])
