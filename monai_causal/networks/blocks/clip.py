# SPDX-License-Identifier: Apache-2.0
"""CLIP by name or from a folder, and what its text tower says of prompts.

Nothing is downloaded unless a caller names published weights or a revision on a hub.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from monai_causal.extras import require

__all__ = ["CLIP", "encode_prompts", "load_clip"]

HUB = "hf-hub:"
FOLDER_CONFIG = "open_clip_config.json"
WEIGHTS = (".safetensors", ".bin", ".pth")
UNTRAINED = "untrained"


class CLIP(NamedTuple):
    """Both towers, the tokeniser that goes with them, and the statistics their images are normalised with."""

    model: Any
    tokenizer: Any
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load_clip(encoder: str, pretrained: str | None = None) -> CLIP:
    """An open_clip model in evaluation mode.

    Args:
        encoder: one of open_clip's names (``RN50``, ``ViT-B-16``, ``ViT-L-14`` ...); a folder with
            ``open_clip_config.json`` and weights; or ``hf-hub:ORGANISATION/NAME@REVISION``, which is downloaded.
            BiomedCLIP is published as ``hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224``; of its text
            tower, a model of Hugging Face, open_clip looks up the configuration by name.
        pretrained: of a name, None for random weights, a file, or one of open_clip's tags, which is downloaded. With
            ``"openai"`` the model is built with the activation that those weights were trained with (quick GELU). Of a
            folder, None for its own weights, or ``"untrained"`` for random ones in the same architecture.
    """
    open_clip = require("open_clip")
    if encoder.startswith(HUB):
        encoder = _downloaded(encoder)
    if Path(encoder).is_dir():
        if not (Path(encoder) / FOLDER_CONFIG).is_file():
            raise ValueError(
                f"the encoder's folder {Path(encoder).name!r} holds no {FOLDER_CONFIG}: give an open_clip folder."
            )
        if pretrained not in (None, UNTRAINED):
            raise ValueError(
                f"pretrained={pretrained!r}: a folder holds its own weights; leave it out, or say {UNTRAINED!r}."
            )
        if pretrained is None and not any(path.suffix in WEIGHTS for path in Path(encoder).iterdir()):
            raise ValueError(f"the encoder's folder {Path(encoder).name!r} holds no weights ({', '.join(WEIGHTS)}).")
        name = f"local-dir:{encoder}"
    else:
        name = encoder.replace("/", "-")
        if ":" in name or open_clip.get_model_config(name) is None:
            raise ValueError(
                f"encoder={encoder!r}: neither a folder nor a name that open_clip knows; "
                "give for example 'RN50', 'ViT-B-16' or 'ViT-L-14'."
            )
        if pretrained == "openai" and open_clip.get_model_config(f"{name}-quickgelu") is not None:
            name = f"{name}-quickgelu"
    untrained = pretrained == UNTRAINED
    model = open_clip.create_model(
        name,
        pretrained=None if untrained else pretrained,
        load_weights=not untrained,
        pretrained_text=False,
        weights_only=True,
    ).eval()
    statistics = model.visual.preprocess_cfg
    return CLIP(model, open_clip.get_tokenizer(name), tuple(statistics["mean"]), tuple(statistics["std"]))


def encode_prompts(clip: CLIP, prompts: Sequence[str]) -> Tensor:
    """Embeddings ``(len(prompts), d)`` of unit length, without a gradient."""
    if not prompts:
        raise ValueError("there is no prompt: give at least one.")
    device = next(clip.model.parameters()).device
    with torch.no_grad():
        # A fresh tensor: what was made under inference mode could not be trained with.
        embeddings: Tensor = normalize(clip.model.encode_text(clip.tokenizer(list(prompts)).to(device)).float(), dim=-1)
    return embeddings.clone()


def text_tower(clip: CLIP) -> nn.Module:
    """The module that holds the parts of the text tower (in one kind of open_clip model, the model itself)."""
    tower: nn.Module = getattr(clip.model, "text", clip.model)
    return tower


def _downloaded(encoder: str) -> str:
    repository, at, revision = encoder.removeprefix(HUB).partition("@")
    if not at or not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ValueError(f"encoder={encoder!r}: pin the revision, as in {HUB}{repository}@ and 40 hexadecimal digits.")
    return str(require("huggingface_hub").snapshot_download(repository, revision=revision))
