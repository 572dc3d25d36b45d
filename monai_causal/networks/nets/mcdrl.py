# SPDX-License-Identifier: Apache-2.0
"""MCDRL: multimodal causality-driven representation learning for segmentation that survives a change of hospital."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from monai_causal.networks.blocks.clip import encode_prompts, load_clip
from monai_causal.networks.blocks.confounder_attention import ConfounderAttention, Marginalisation
from monai_causal.networks.blocks.confounder_prompts import ConfounderPrompts, read_confounders
from monai_causal.networks.blocks.dense_clip import Dense, Observed
from monai_causal.networks.blocks.dictionary import Dictionary, dictionary_vectors, erase, span
from monai_causal.networks.blocks.skip_head import SkipHead
from monai_causal.networks.blocks.target_regions import (
    Scatter,
    gather_cells,
    put_back,
    similarity,
    soft_gate,
    top_share,
)
from monai_causal.networks.nets.clip_segmenter import TUNE, CLIPSegmenter, Tune, check_choices, check_classes

__all__ = ["MCDRL", "MCDRLOutput"]

SCATTER = ("residual", "zero", "soft")


class MCDRLOutput(NamedTuple):
    """What the losses need, in training.

    Attributes:
        logits: ``(B, 1, H, W)`` for one class, else ``(B, K + 1, H, W)`` with the background first.
        cells: ``(B, d, h, w)``, the intervened map that the head reads.
        kept: ``(B, 1, h, w)``, 1 where a cell was selected, 0 elsewhere.
        image: ``(B, d)``, the encoder's own image embedding.
        classes: ``(K + 1, d)``, the texts of the classes and of no lesion, unit vectors.
        causal_targets: ``(K, d)``, of each class the mean over confounders of its texts.
        intervening: whether the intervention is switched on, as a tensor.
    """

    logits: Tensor
    cells: Tensor
    kept: Tensor
    image: Tensor
    classes: Tensor
    causal_targets: Tensor
    intervening: Tensor


class MCDRL(CLIPSegmenter):
    """A CLIP encoder, the cells that look like a lesion (MTRS), an intervention on them (CDRL), and a head.

    In training it returns an :class:`MCDRLOutput`, in evaluation mode the logits. The dictionary and the texts of the
    classes are encoded once, at the start, and stay in the state as buffers: at inference there is no text tower.

    Args:
        encoder, pretrained: see :func:`monai_causal.networks.blocks.clip.load_clip`.
        classes: of lesions; one class gives one channel (sigmoid), more give one each behind the background's
            (softmax).
        confounders: the dictionary: a YAML file, prompts that were read already, or None, the package's twelve.
        depth: L, layers of the intervention.
        alpha: the share of cells that are selected.
        scatter: what becomes of the other cells: ``"residual"`` leaves them as they were, ``"zero"`` erases them (the
            paper's literal reading: an unselected lesion is lost), ``"soft"`` selects by degree.
        marginalisation: how the confounders are averaged, see
            :class:`~monai_causal.networks.blocks.confounder_attention.ConfounderAttention`.
        dense: how the encoder is read, see :class:`~monai_causal.networks.blocks.dense_clip.DenseCLIP`.
        select: False keeps all cells (without MTRS).
        intervene: False leaves the cells as they are (without CDRL).
        dictionary: ``"text"``, or a control, see :mod:`monai_causal.networks.blocks.dictionary`; or vectors ``(M, d)``.
        erase: project the directions in which the dictionary's vectors differ out of the cells, before all else, so
            that what the texts can say of a confounder is gone from the features. Not the paper's.
        prior: P(z), one weight per confounder; None: equal ones.
        tune: what of the encoder is trained: nothing (``"frozen"``), low-rank updates (``"lora"``) or all (``"full"``).
        rank: of the low-rank updates.
        no_lesion: what the texts call an image without a lesion, for Eq. 12: with one class alone it would be zero.
        hidden: width of the head.
        seed: of the dictionaries that are drawn.

    Shape:
        images ``(B, 3, H, W)`` in [0, 1], any size that covers a cell -> logits ``(B, 1 or K + 1, H, W)``.
    """

    called = "an MCDRL"

    def __init__(
        self,
        encoder: str = "ViT-B-16",
        pretrained: str | None = None,
        classes: Sequence[str] = ("polyp",),
        confounders: ConfounderPrompts | str | os.PathLike[str] | None = None,
        depth: int = 3,
        alpha: float = 0.5,
        scatter: Scatter = "residual",
        marginalisation: Marginalisation = "attention",
        dense: Dense = "tokens",
        select: bool = True,
        intervene: bool = True,
        dictionary: Dictionary | Tensor = "text",
        erase: bool = False,
        prior: Sequence[float] | None = None,
        tune: Tune = "frozen",
        rank: int = 8,
        no_lesion: str = "normal mucosa",
        hidden: int = 128,
        seed: int = 0,
    ) -> None:
        check_classes(classes)
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha={alpha}: give the share of cells to keep, above 0 and up to 1.")
        check_choices({"scatter": (scatter, SCATTER), "tune": (tune, TUNE)})
        prompts = confounders if isinstance(confounders, ConfounderPrompts) else read_confounders(confounders)
        clip = load_clip(encoder, pretrained)
        super().__init__(clip, classes, dense, tune)
        self.prompts = prompts
        self.alpha, self.scatter, self.select = alpha, scatter, select
        texts = [prompts.of_class(name) for name in (*classes, no_lesion)]
        self.register_buffer("classes", encode_prompts(clip, texts))
        joint = [encode_prompts(clip, prompts.joint(name)).mean(dim=0) for name in classes]
        self.register_buffer("causal_targets", torch.stack(joint))
        if isinstance(dictionary, Tensor):
            vectors, learned = dictionary.clone(), False
        else:
            vectors, learned = dictionary_vectors(clip, prompts, dictionary, seed), dictionary == "learned"
        if vectors.shape[1:] != self.classes.shape[1:]:
            raise ValueError(f"dictionary {tuple(vectors.shape)}: give vectors of {self.classes.shape[1]} components.")
        if learned:
            self.dictionary: Tensor = nn.Parameter(vectors)
        else:
            self.register_buffer("dictionary", vectors)
        if erase and learned:
            raise ValueError("erase: a learned dictionary has no directions before it is learnt; choose another one.")
        self.register_buffer("erased", span(vectors) if erase else None)
        self.register_buffer("prior", _prior(prior, len(vectors)))
        self.intervention = ConfounderAttention(vectors.shape[1], depth, marginalisation) if intervene else None
        self.head = SkipHead(vectors.shape[1], 1 if len(classes) == 1 else len(classes) + 1, hidden)
        self.register_buffer("intervening", torch.tensor(intervene))
        self._intervening = intervene
        self.register_load_state_dict_post_hook(_read_switch)
        self._prepare_encoder(rank)

    classes: Tensor
    causal_targets: Tensor
    erased: Tensor | None
    prior: Tensor
    intervening: Tensor

    def observe(self, images: Tensor) -> Observed:
        """What the encoder sees; with a frozen encoder it can be kept and given to :meth:`forward` again."""
        with torch.set_grad_enabled(self._encoder_learns()):
            seen: Observed = self.encoder(self._normalised(images))
        return seen

    def forward(self, images: Tensor, observed: Observed | None = None) -> Tensor | MCDRLOutput:
        observed = self.observe(images) if observed is None else observed
        cells, kept = self.represent(observed.cells)
        logits = self.segment(images, cells)
        if not self.training:
            return logits
        return MCDRLOutput(logits, cells, kept, observed.image, self.classes, self.causal_targets, self.intervening)

    def segment(self, images: Tensor, cells: Tensor) -> Tensor:
        """The logits (B, 1 or K + 1, H, W) that the head makes of images and of what :meth:`represent` made of them."""
        logits: Tensor = self.head(cells, self._normalised(images))
        return logits

    def represent(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """The intervened map (B, d, h, w) of Eqs. 6-8, and which cells were selected (B, 1, h, w)."""
        if self.erased is not None:
            cells = erase(cells, self.erased)
        chosen = cells.new_ones(cells.shape[0], 1, *cells.shape[2:])
        if not self.select:
            everything = cells.flatten(2).transpose(1, 2)
            return self._intervened(everything).transpose(1, 2).reshape(cells.shape), chosen
        similar = similarity(cells, self.classes[:-1])
        if self.scatter == "soft":
            everything = cells.flatten(2).transpose(1, 2)
            changed = self._intervened(everything).transpose(1, 2).reshape(cells.shape)
            gate = soft_gate(similar, self.alpha)
            return gate * changed + (1 - gate) * cells, (gate >= 0.5).to(cells.dtype)
        kept = top_share(similar, self.alpha)
        changed = self._intervened(gather_cells(cells, kept))
        ones = torch.zeros_like(chosen).flatten(1).scatter(1, kept, 1.0).reshape(chosen.shape)
        return put_back(changed, kept, cells, self.scatter), ones

    def switch_intervention(self, on: bool) -> None:
        """The progressive strategy: off, the selected cells go to the head as they are. Kept in the state.

        Where there is no intervention to switch (``intervene=False``) it stays off.
        """
        on = on and self.intervention is not None
        self._intervening = on
        self.intervening.fill_(on)

    def _made_for(self) -> dict[str, Any]:
        return {
            "encoder": self.encoder_signature,
            "classes": list(self.class_names),
            "confounders": list(self.prompts.confounders),
            "dense": self.encoder.dense,
            "select": self.select,
            "scatter": self.scatter,
            "alpha": self.alpha,
        }

    def _intervened(self, cells: Tensor) -> Tensor:
        if self.intervention is None or not self._intervening:
            return cells
        changed: Tensor = self.intervention(cells, self.dictionary, self.prior)
        return changed


def _read_switch(network: nn.Module, _: Any) -> None:
    assert isinstance(network, MCDRL)
    network._intervening = bool(network.intervening)


def _prior(prior: Sequence[float] | None, count: int) -> Tensor:
    if prior is None:
        return torch.full((count,), 1 / count)
    if len(prior) != count or not (min(prior) >= 0 and 0 < sum(prior) < math.inf):
        raise ValueError(f"prior={list(prior)}: give {count} weights of 0 or more, one for each confounder.")
    return normalize(torch.tensor(prior, dtype=torch.float32), p=1, dim=0)
