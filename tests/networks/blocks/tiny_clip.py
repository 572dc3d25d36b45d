# SPDX-License-Identifier: Apache-2.0
"""Small CLIPs with random weights, in folders as open_clip writes and reads them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest
import torch

Kind: TypeAlias = Literal["vit", "vit-avg", "rn", "timm"]

EMBED = 32
SIZE = {"vit": 32, "vit-avg": 32, "rn": 64, "timm": 160}
TEXT = {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
VISION: dict[str, dict[str, Any]] = {
    "vit": {"image_size": 32, "layers": 2, "width": 64, "head_width": 16, "patch_size": 8},
    "rn": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 8},
    # timm's own small transformer for tests
    "timm": {"image_size": 160, "timm_model_name": "test_vit", "timm_model_pretrained": False, "timm_pool": ""},
}
VISION["vit-avg"] = {**VISION["vit"], "pool_type": "avg"}


def tiny_clip_folder(folder: Path, kind: Kind = "vit", *, seed: int = 0, **vision: object) -> Path:
    """Write a CLIP into a new folder inside ``folder``, and return it.

    Args:
        folder: where to.
        kind: of the image tower: a vision transformer that reads its class token or the mean of its cells, a ResNet,
            or a transformer of timm. The text tower is the same small one each time.
        seed: of the weights.
        vision: further settings of the image tower, as open_clip calls them.
    """
    open_clip = pytest.importorskip("open_clip", reason="the extra 'clip' is not installed")
    settings = {"embed_dim": EMBED, "vision_cfg": {**VISION[kind], **vision}, "text_cfg": TEXT}
    folder = folder / f"{kind}-{seed}"
    folder.mkdir()
    towers = open_clip.CustomTextCLIP if kind == "timm" else open_clip.CLIP
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = towers(**copy.deepcopy(settings))
        _leave_the_beginning(model)
    if kind == "timm":
        settings["custom_text"] = True
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": settings, "preprocess_cfg": {}}))
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    return folder


def _leave_the_beginning(model: Any) -> None:
    """Biases away from 0, norms from 1, running statistics from those of nothing, texts from one another."""
    with torch.no_grad():
        for name, values in model.named_parameters():
            if values.dim() == 1:
                values.add_(0.1 * torch.randn(values.shape))
            elif "visual" not in name and name.endswith(("out_proj.weight", "c_proj.weight")):
                values.mul_(3)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.5)
