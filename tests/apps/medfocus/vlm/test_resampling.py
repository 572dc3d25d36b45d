# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch

pytest.importorskip("transformers")

from monai_causal.apps.medfocus.vlm.resampling import unrounded
from tests.apps.medfocus.vlm import tiny


@pytest.mark.parametrize("name", ["llava", "llava-clip", "gemma3", "qwen2_5_vl", "idefics3", "smolvlm", "paligemma"])
def test_an_erased_box_is_resized_as_in_8_bit_pictures(name: str) -> None:
    """Without the cut-off, bicubic and Lanczos filters ring all around an erased box by far more than a rounding."""
    model = tiny.model(name)
    picture = torch.full((3, 97, 133), 250, dtype=torch.uint8)
    picture[:, 30:60, 40:90] = 0
    nested = [[picture]] if name in ("idefics3", "smolvlm") else [picture]
    expected = model.processor.image_processor(images=nested, return_tensors="pt")["pixel_values"]
    found = model.vision(picture[None].float())["pixel_values"]
    ringing = model.processor.image_processor(
        images=[[item.float() for item in nested[0]]] if isinstance(nested[0], list) else [picture.float()],
        return_tensors="pt",
    )["pixel_values"]
    level = 1 / 255 / min(model.processor.image_processor.image_std)
    if name == "gemma3":  # bilinear
        assert (found - expected).abs().max() <= level
    else:
        assert (ringing - expected).abs().max() > 10 * level
        assert (found - expected).abs().mean() < 0.2 * (ringing - expected).abs().mean()


def test_the_processor_itself_is_not_changed() -> None:
    processor = tiny.llava()[1].image_processor
    picture = [torch.rand((3, 97, 133)) * 255]
    before = processor(images=picture, return_tensors="pt")["pixel_values"]
    assert unrounded(processor) is not processor
    assert "resize" not in vars(processor)
    assert torch.equal(processor(images=picture, return_tensors="pt")["pixel_values"], before)
