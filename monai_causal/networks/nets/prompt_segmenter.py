# SPDX-License-Identifier: Apache-2.0
"""Prompt learning for segmentation, to compare MCDRL with: StyLIP and BiomedCoOp.

Both are published for classification. Here the texts of the classes that they learn are compared with every cell of the
encoder's map, and these scores go with the cells to the head that MCDRL has too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from monai_causal.networks.blocks.biomedcoop import consistency_loss, distillation_loss, prompt_ensemble
from monai_causal.networks.blocks.clip import CLIP, encode_prompts, load_clip
from monai_causal.networks.blocks.dense_clip import Dense, DenseCLIP, Observed
from monai_causal.networks.blocks.prompt_learning import PromptTower
from monai_causal.networks.blocks.skip_head import SkipHead
from monai_causal.networks.blocks.stylip import Styled, StyLIP, layer_statistics, read_layers, tower_layers
from monai_causal.networks.blocks.target_regions import similarity

__all__ = ["PromptMethod", "PromptOutput", "PromptSegmenter"]

PromptMethod: TypeAlias = Literal["stylip", "biomedcoop"]


class PromptOutput(NamedTuple):
    """What the losses need, in training.

    Attributes:
        logits: ``(B, 1, H, W)`` for one class, else ``(B, K + 1, H, W)`` with the background first.
        image: ``(B, d)``, the encoder's own image embedding.
        classes: the texts of the classes and of no lesion: ``(B, K + 1, d)`` (StyLIP) or ``(K + 1, d)``.
        consistency: SCCM, a scalar; zero with StyLIP.
        distillation: KDSP, a scalar; zero with StyLIP.
    """

    logits: Tensor
    image: Tensor
    classes: Tensor
    consistency: Tensor
    distillation: Tensor


class PromptSegmenter(nn.Module):
    """A frozen CLIP, class texts with a learned context, their cosine with every cell, and a head.

    In training it returns a :class:`PromptOutput`, in evaluation mode the logits. The text tower stays in the network,
    because its input is learned; it has to be open_clip's own.

    Args:
        encoder, pretrained: see :func:`monai_causal.networks.blocks.clip.load_clip`.
        classes: of lesions; one class gives one channel (sigmoid), more give one each behind the background's
            (softmax).
        method: ``"stylip"`` makes the context of each image from its style, see
            :mod:`monai_causal.networks.blocks.stylip`; ``"biomedcoop"`` learns one for all, see
            :mod:`monai_causal.networks.blocks.biomedcoop`.
        dense: how the encoder is read, see :class:`~monai_causal.networks.blocks.dense_clip.DenseCLIP`.
        no_lesion: what the texts call an image without a lesion.
        hidden: width of the head.
        context: tokens of context; four begin as "a photo of a", other counts are drawn.
        seed: of what is drawn for the context and for the projectors.

    Shape:
        images ``(B, 3, H, W)`` in [0, 1], any size that covers a cell -> logits ``(B, 1 or K + 1, H, W)``.
    """

    def __init__(
        self,
        encoder: str = "ViT-B-16",
        pretrained: str | None = None,
        classes: Sequence[str] = ("polyp",),
        method: PromptMethod = "stylip",
        dense: Dense = "tokens",
        no_lesion: str = "normal mucosa",
        hidden: int = 128,
        context: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        _check(classes, method)
        clip = load_clip(encoder, pretrained)
        self.class_names, self.no_lesion = tuple(classes), no_lesion
        self.method = method
        self.encoder = DenseCLIP(clip.model.visual, dense).requires_grad_(False)
        self.register_buffer("mean", torch.tensor(clip.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(clip.std).view(3, 1, 1))
        self.texts = PromptTower(clip, (*classes, no_lesion), context)
        generator = torch.Generator().manual_seed(seed)
        start = self.texts.start(generator)
        d = self.texts(start).shape[1]
        if method == "stylip":
            layers, widths = tower_layers(clip.model.visual)
            by_token = read_layers(len(layers), context)
            self._read = sorted(set(by_token))
            self.stylip = StyLIP(
                [widths[one] for one in self._read], [self._read.index(one) for one in by_token], start, d, generator
            )
        else:
            self.context = nn.Parameter(start)
            self.register_buffer("prompts", _ensembles(clip, classes, no_lesion))
            self.register_buffer("scale", clip.model.logit_scale.detach().exp().reshape(()))
        self.head = SkipHead(d + len(classes) + 1, 1 if len(classes) == 1 else len(classes) + 1, hidden)

    mean: Tensor
    std: Tensor
    prompts: Tensor
    scale: Tensor

    @torch.no_grad()
    def observe(self, images: Tensor) -> Observed | Styled:
        """What the frozen encoder sees; it can be kept and given to :meth:`forward` again."""
        images = (images - self.mean) / self.std
        if self.method == "biomedcoop":
            return self.encoder(images)
        layers, _ = tower_layers(self.encoder.visual)
        with layer_statistics([layers[one] for one in self._read]) as statistics:
            seen: Observed = self.encoder(images)
        mean, std = (torch.cat(one, dim=1) for one in zip(*statistics, strict=True))
        return Styled(seen.cells, seen.image, mean, std)

    def forward(self, images: Tensor, observed: Observed | Styled | None = None) -> Tensor | PromptOutput:
        observed = self.observe(images) if observed is None else observed
        classes = self.class_texts(observed)
        cells = torch.cat([observed.cells, similarity(observed.cells, classes)], dim=1)
        logits: Tensor = self.head(cells, (images - self.mean) / self.std)
        if not self.training:
            return logits
        return PromptOutput(logits, observed.image, classes, *self._regularisers(observed.image, classes))

    def class_texts(self, observed: Observed | Styled) -> Tensor:
        """Unit vectors of the classes and of no lesion: ``(B, K + 1, d)`` with StyLIP, else ``(K + 1, d)``."""
        if self.method == "biomedcoop":
            learned: Tensor = self.texts(self.context)
            return learned
        if not isinstance(observed, Styled):
            raise ValueError("StyLIP needs the style too: give what observe() of this network returned.")
        context, content = self.stylip(observed)
        return normalize(self.texts(context) + content[:, None], dim=-1)

    def parameter_groups(
        self, head: float = 1e-3, adapter: float = 1e-4, encoder: float = 1e-5
    ) -> list[dict[str, Any]]:
        """Parameters that are trained, for an optimiser: all of them are new, so all learn at the head's rate.

        ``adapter`` and ``encoder`` are there for a common interface; the encoder is frozen.
        """
        new = [one for name, one in self.named_parameters() if name.startswith(("head.", "stylip.", "context"))]
        return [{"params": new, "lr": head, "name": "head"}]

    def train(self, mode: bool = True) -> PromptSegmenter:
        super().train(mode)
        self.encoder.eval()  # batch norms too: what is frozen is a constant
        self.texts.eval()
        return self

    def get_extra_state(self) -> Tensor:
        # As a tensor, so that any safe loader reads it.
        return torch.tensor(list(json.dumps(self._made_for()).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        theirs = json.loads(bytes(state.tolist()).decode())
        for key, mine in self._made_for().items():
            if theirs.get(key) != mine:
                raise ValueError(
                    f"the checkpoint is of a PromptSegmenter with {key}: {theirs.get(key)}; this one has {mine}. "
                    f"Build it with the checkpoint's {key}, or train anew."
                )

    def _made_for(self) -> dict[str, Any]:
        return {"method": self.method, "classes": list(self.class_names), "no_lesion": self.no_lesion}

    def _regularisers(self, image: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        if self.method == "stylip":
            return image.new_zeros(()), image.new_zeros(())
        consistency = consistency_loss(classes, self.prompts)
        return consistency, distillation_loss(image, classes, self.prompts, self.scale)


def _ensembles(clip: CLIP, classes: Sequence[str], no_lesion: str) -> Tensor:
    ensembles = [*(prompt_ensemble(name) for name in classes), prompt_ensemble(no_lesion, lesion=False)]
    return torch.stack([encode_prompts(clip, one) for one in ensembles])


def _check(classes: Sequence[str], method: str) -> None:
    if isinstance(classes, str) or not classes or not all(name.strip() for name in classes):
        raise ValueError(f"classes={classes!r}: give a list with a name for every class, such as ['polyp'].")
    if len(set(classes)) < len(classes):
        raise ValueError(f"classes={list(classes)}: a class stands there twice.")
    if method not in ("stylip", "biomedcoop"):
        raise ValueError(f"method={method!r}: choose 'stylip' or 'biomedcoop'.")
