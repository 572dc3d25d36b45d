# SPDX-License-Identifier: Apache-2.0
"""Prompt learning for segmentation, to compare MCDRL with: StyLIP and BiomedCoOp.

Both are published for classification. Here the texts of the classes that they learn are compared with every cell of the
encoder's map, and these scores go with the cells to the head that MCDRL has too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from monai_causal.networks.blocks.biomedcoop import consistency_loss, distillation_loss, prompt_ensemble
from monai_causal.networks.blocks.clip import CLIP, encode_prompts, load_clip
from monai_causal.networks.blocks.dense_clip import Dense, Observed
from monai_causal.networks.blocks.prompt_learning import PromptTower
from monai_causal.networks.blocks.skip_head import SkipHead
from monai_causal.networks.blocks.stylip import Styled, StyLIP, layer_statistics, read_layers, tower_layers
from monai_causal.networks.blocks.target_regions import similarity
from monai_causal.networks.nets.clip_segmenter import TUNE, CLIPSegmenter, Tune, check_choices, check_classes

if TYPE_CHECKING:
    from typing_extensions import Self

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


class PromptSegmenter(CLIPSegmenter):
    """A CLIP, class texts with a learned context, their cosine with every cell, and a head.

    In training it returns a :class:`PromptOutput`, in evaluation mode the logits. The text tower stays in the network,
    because its input is learned; it is frozen, and has to be open_clip's own.

    Args:
        encoder, pretrained: see :func:`monai_causal.networks.blocks.clip.load_clip`.
        classes: of lesions; one class gives one channel (sigmoid), more give one each behind the background's
            (softmax).
        method: ``"stylip"`` makes the context of each image from its style, see
            :mod:`monai_causal.networks.blocks.stylip`; ``"biomedcoop"`` learns one for all, see
            :mod:`monai_causal.networks.blocks.biomedcoop`.
        dense: how the encoder is read, see :class:`~monai_causal.networks.blocks.dense_clip.DenseCLIP`.
        tune: what of the image tower is trained: nothing (``"frozen"``, as both are published), low-rank updates
            (``"lora"``) or all (``"full"``), so that they can be compared with an MCDRL whose encoder learns.
        rank: of the low-rank updates.
        no_lesion: what the texts call an image without a lesion.
        hidden: width of the head.
        context: tokens of context; four begin as "a photo of a", other counts are drawn.
        seed: of what is drawn for the context and for the projectors.

    Shape:
        images ``(B, 3, H, W)`` in [0, 1], any size that covers a cell -> logits ``(B, 1 or K + 1, H, W)``.
    """

    called = "a PromptSegmenter"

    def __init__(
        self,
        encoder: str = "ViT-B-16",
        pretrained: str | None = None,
        classes: Sequence[str] = ("polyp",),
        method: PromptMethod = "stylip",
        dense: Dense = "tokens",
        tune: Tune = "frozen",
        rank: int = 8,
        no_lesion: str = "normal mucosa",
        hidden: int = 128,
        context: int = 4,
        seed: int = 0,
    ) -> None:
        check_classes(classes)
        check_choices({"method": (method, get_args(PromptMethod)), "tune": (tune, TUNE)})
        clip = load_clip(encoder, pretrained)
        super().__init__(clip, classes, dense, tune)
        self.no_lesion, self.method = no_lesion, method
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
        self._prepare_encoder(rank)

    prompts: Tensor
    scale: Tensor

    def observe(self, images: Tensor) -> Observed | Styled:
        """What the encoder sees; of a frozen one it can be kept and given to :meth:`forward` again."""
        images = self._normalised(images)
        with torch.set_grad_enabled(self._encoder_learns()):
            return self._styled(images) if self.method == "stylip" else self.encoder(images)

    def _styled(self, images: Tensor) -> Styled:
        layers, _ = tower_layers(self.encoder.visual)
        with layer_statistics([layers[one] for one in self._read]) as statistics:
            seen: Observed = self.encoder(images)
        mean, std = (torch.cat(one, dim=1) for one in zip(*statistics, strict=True))
        return Styled(seen.cells, seen.image, mean, std)

    def forward(self, images: Tensor, observed: Observed | Styled | None = None) -> Tensor | PromptOutput:
        observed = self.observe(images) if observed is None else observed
        classes = self.class_texts(observed)
        cells = torch.cat([observed.cells, similarity(observed.cells, classes)], dim=1)
        logits: Tensor = self.head(cells, self._normalised(images))
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

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.texts.eval()
        return self

    def _made_for(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "classes": list(self.class_names),
            "no_lesion": self.no_lesion,
            "encoder": self.encoder_signature,
            "dense": self.encoder.dense,
        }

    def _regularisers(self, image: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        if self.method == "stylip":
            return image.new_zeros(()), image.new_zeros(())
        consistency = consistency_loss(classes, self.prompts)
        return consistency, distillation_loss(image, classes, self.prompts, self.scale)


def _ensembles(clip: CLIP, classes: Sequence[str], no_lesion: str) -> Tensor:
    ensembles = [*(prompt_ensemble(name) for name in classes), prompt_ensemble(no_lesion, lesion=False)]
    return torch.stack([encode_prompts(clip, one) for one in ensembles])
