# SPDX-License-Identifier: Apache-2.0
"""Folders with small open_clip models of random weights, large enough for their texts to differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

open_clip = pytest.importorskip("open_clip", reason="the extra 'clip' is not installed")

VISION: dict[str, dict[str, Any]] = {
    "vit": {"patch_size": 8, "width": 32, "layers": 2, "head_width": 16},
    "resnet": {"width": 8, "layers": [1, 1, 1, 1]},
    "timm": {"timm_model_name": "test_vit", "timm_pool": "token", "timm_proj": "linear"},
}
STATISTICS = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}


def tiny_prompt_clip(folder: Path, kind: str = "vit", **text: Any) -> str:
    """The folder of a new model; ``text`` changes its text tower, which then is a module of its own."""
    torch.manual_seed(3)
    size = 160 if kind == "timm" else 32
    config = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": size, **VISION[kind]},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2, **text},
    }
    model = (open_clip.CustomTextCLIP if text or kind == "timm" else open_clip.CLIP)(**config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "resblocks" in name and name.endswith("weight") and parameter.dim() == 2:
                parameter.mul_(3)
    config["custom_text"] = isinstance(model, open_clip.CustomTextCLIP)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": STATISTICS}))
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    return str(folder)
