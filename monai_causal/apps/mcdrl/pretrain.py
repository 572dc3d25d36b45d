# SPDX-License-Identifier: Apache-2.0
"""A small CLIP from scratch, on endoscopy phantoms and their captions.

Published CLIP weights need a download. This one needs none: contrastive training on phantoms whose finding and
confounder are independent (strength 0), so that its texts mean something and no confounding enters through it. It is
written as an open_clip folder, which :class:`~monai_causal.networks.nets.mcdrl.MCDRL` takes as its encoder.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import log_softmax, normalize
from tqdm.auto import tqdm

from monai_causal.apps.mcdrl.phantom_seeds import HELD_OUT, PRETRAINED
from monai_causal.data.phantoms.endoscopy import CONFOUNDERS, TEMPLATES, caption, endoscopy
from monai_causal.extras import require
from monai_causal.files import draft_of, write_json
from monai_causal.networks.blocks.clip import CLIP, encode_prompts, load_clip
from monai_causal.versions import versions

__all__ = ["PretrainConfig", "in_words", "matching_loss", "pretrain_clip", "zero_shot"]

SCHEMA = "monai_causal/clip-pretraining/1"
EMBEDDING = 64
MEAN, STD = (0.5, 0.35, 0.3), (0.25, 0.2, 0.2)
KINDS = ("polyp", "normal mucosa")


@dataclass(frozen=True)
class PretrainConfig:
    """The settings of a small CLIP and of its training; the defaults are those of the one that comes along."""

    steps: int = 1500
    batch: int = 96
    rate: float = 1e-3
    phantoms: int = len(PRETRAINED)
    held_out: int = 600
    size: int = 96
    patch: int = 8
    width: int = 96
    layers: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "phantoms", "held_out", "layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give at least 1.")
        if self.size % self.patch:
            raise ValueError(f"size={self.size}: give a multiple of the patch, {self.patch}.")
        if self.width % 32:
            raise ValueError(f"width={self.width}: give a multiple of 32, the width of a head.")


def pretrain_clip(out: Path, config: PretrainConfig | None = None) -> dict[str, Any]:
    """Train, and write the folder: configuration, weights in half precision, and ``pretraining.json``.

    Returns:
        what ``pretraining.json`` holds: the settings, the loss, and how well texts name findings and confounders of
        phantoms that were held out.
    """
    config = config or PretrainConfig()
    open_clip, safetensors = require("open_clip"), require("safetensors.torch")
    out.mkdir(parents=True, exist_ok=True)
    model_config = _model_config(config)
    write_json(out / "open_clip_config.json", {"schema": "open_clip", **model_config})
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model = open_clip.CLIP(**model_config["model_cfg"])
    tokenizer = open_clip.get_tokenizer(f"local-dir:{out}")
    images, captions = _pairs(range(config.phantoms), config.size)
    tokens = {text: tokenizer([text])[0] for texts in captions for text in texts}
    optimiser = torch.optim.AdamW(_decayed(model), lr=config.rate, betas=(0.9, 0.98), eps=1e-6)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=config.rate, total_steps=config.steps, pct_start=0.1
    )
    losses = []
    model.train()
    with tqdm(_batches(config, len(images)), total=config.steps, desc="pretraining", disable=None) as bar:
        for chosen, variants in bar:
            texts = [captions[index][variant] for index, variant in zip(chosen, variants, strict=True)]
            seen = _normalised(images[chosen])
            said = torch.stack([tokens[text] for text in texts])
            image, text, scale = model(seen, said)[:3]
            loss = matching_loss(image, text, scale, texts)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                model.logit_scale.clamp_(max=math.log(100))
            losses.append(loss.item())
            bar.set_postfix(loss=f"{loss.item():.3f}")
    model.eval()
    with draft_of(out / "open_clip_model.safetensors") as draft:
        halved = {name: value.half().contiguous() for name, value in model.state_dict().items()}
        safetensors.save_file(halved, draft)
    tail = losses[-max(1, len(losses) // 20) :]
    summary = {
        "schema": SCHEMA,
        "config": asdict(config),
        "loss": sum(tail) / len(tail),
        "held_out": zero_shot(load_clip(str(out)), config.held_out, config.size),
        "versions": versions("torch", "open_clip_torch", "numpy"),
    }
    write_json(out / "pretraining.json", summary)
    return summary


def in_words(summary: dict[str, Any], out: Path) -> str:
    """What came of it, for people."""
    held_out = summary["held_out"]
    return (
        f"Texts name the finding of {held_out['finding']:.1%} and the confounder of {held_out['confounder']:.1%} of "
        f"{held_out['phantoms']} phantoms that were held out (chance: 50.0% and 8.3%).\nwrote {out}"
    )


def matching_loss(image: Tensor, text: Tensor, scale: Tensor, texts: Sequence[str]) -> Tensor:
    """CLIP's symmetric cross-entropy, where equal captions in a batch are equally right.

    Args:
        image, text: unit vectors ``(B, d)``.
        scale: of the cosines.
        texts: the captions; a phantom is no worse a match for the same words said of another one.
    """
    logits = scale * image @ text.T
    same = torch.tensor([[one == other for other in texts] for one in texts], dtype=logits.dtype, device=logits.device)
    target = same / same.sum(dim=1, keepdim=True)
    both = log_softmax(logits, dim=1), log_softmax(logits.T, dim=1)
    return torch.stack([-(target * logarithm).sum(dim=1).mean() for logarithm in both]).mean()


def zero_shot(clip: CLIP, count: int, size: int) -> dict[str, float]:
    """How often the nearest text names the finding, and the confounder, of phantoms that were held out."""
    phantoms = [endoscopy(seed, size=(size, size)) for seed in HELD_OUT[:count]]
    images = torch.from_numpy(np.stack([phantom.image for phantom in phantoms]))
    with torch.no_grad():
        seen = normalize(torch.cat([clip.model.encode_image(_normalised(part)) for part in images.split(64)]), dim=1)
    by_finding = encode_prompts(clip, [f"A {kind} in an endoscopic image" for kind in KINDS])
    by_confounder = encode_prompts(clip, [f"An endoscopy image with {phrase}" for phrase in CONFOUNDERS.values()])
    findings = torch.tensor([0 if phantom.causes.lesion else 1 for phantom in phantoms])
    confounders = torch.tensor([list(CONFOUNDERS).index(phantom.causes.confounder) for phantom in phantoms])
    return {
        "phantoms": count,
        "finding": float(((seen @ by_finding.T).argmax(dim=1) == findings).float().mean()),
        "confounder": float(((seen @ by_confounder.T).argmax(dim=1) == confounders).float().mean()),
    }


def _pairs(seeds: Sequence[int], size: int) -> tuple[Tensor, list[list[str]]]:
    images = np.empty((len(seeds), 3, size, size), np.uint8)
    captions = []
    for number, seed in enumerate(tqdm(seeds, desc="phantoms", disable=None, leave=False)):
        phantom = endoscopy(seed, size=(size, size))
        images[number] = np.rint(255 * phantom.image)
        captions.append([caption(phantom.causes, variant) for variant in range(len(TEMPLATES))])
    return torch.from_numpy(images), captions


def _batches(config: PretrainConfig, count: int) -> Iterator[tuple[Tensor, list[int]]]:
    generator = torch.Generator().manual_seed(config.seed)
    for _ in range(config.steps):
        chosen = torch.randint(count, (config.batch,), generator=generator)
        yield chosen, torch.randint(len(TEMPLATES), (config.batch,), generator=generator).tolist()


def _normalised(images: Tensor) -> Tensor:
    values = images.float() / 255 if images.dtype == torch.uint8 else images
    return (values - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def _decayed(model: torch.nn.Module) -> list[dict[str, Any]]:
    # The table of tokens is not decayed: words that no caption uses would shrink for nothing.
    matrices = [one for name, one in model.named_parameters() if one.ndim > 1 and "embedding" not in name]
    others = [one for name, one in model.named_parameters() if one.ndim <= 1 or "embedding" in name]
    return [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]


def _model_config(config: PretrainConfig) -> dict[str, Any]:
    vision = {
        "image_size": config.size,
        "patch_size": config.patch,
        "width": config.width,
        "layers": config.layers,
        "head_width": 32,
        "pool_type": "avg",  # so that every cell, not a token of its own, is what the texts are compared with
    }
    text = {"context_length": 32, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2}
    return {
        "model_cfg": {"embed_dim": EMBEDDING, "vision_cfg": vision, "text_cfg": text},
        "preprocess_cfg": {"mean": list(MEAN), "std": list(STD)},
    }
