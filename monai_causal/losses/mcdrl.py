# SPDX-License-Identifier: Apache-2.0
"""The losses of MCDRL (Eqs. 9 to 12)."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from monai.losses import DiceCELoss
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, cross_entropy, normalize

from monai_causal.networks.nets.mcdrl import MCDRLOutput

__all__ = ["MCDRLLoss", "causal_loss", "contrastive_loss", "image_classes", "pooled"]

Pool: TypeAlias = Literal["kept", "lesion"]


class MCDRLLoss(nn.Module):
    """``L_seg + lambda_causal L_causal + lambda_contrast L_contrast`` (Eq. 9).

    Eq. 12 compares the encoder's own image embedding with fixed texts: with a frozen encoder it is a constant, which is
    added to the loss and trains nothing.

    Args:
        lambda_causal, lambda_contrast, temperature: the paper's values.
        dice: weight of a Dice loss beside the cross-entropy of Eq. 10; the paper has none (0).
        pool: the cells over which Eq. 11 pools: those that were selected (``"kept"``), or those of them that hold a
            part of the lesion (``"lesion"``), so that the background is not pulled to the text of a class.
        normalise: compare unit vectors in Eq. 11; the paper compares them as they are.

    Shape:
        an :class:`~monai_causal.networks.nets.mcdrl.MCDRLOutput` and labels ``(B, 1, H, W)`` of 0, the background, to
        K. Plain logits give ``L_seg`` alone. The parts of the last call are in ``parts``, without a gradient.
    """

    def __init__(
        self,
        lambda_causal: float = 0.5,
        lambda_contrast: float = 0.1,
        temperature: float = 0.5,
        dice: float = 1.0,
        pool: Pool = "kept",
        normalise: bool = True,
    ) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature={temperature}: give a number above 0; the paper's is 0.5.")
        if pool not in ("kept", "lesion"):
            raise ValueError(f"pool={pool!r}: choose 'kept' or 'lesion'.")
        self.lambda_causal, self.lambda_contrast, self.temperature = lambda_causal, lambda_contrast, temperature
        self.pool, self.normalise = pool, normalise
        self.one = DiceCELoss(sigmoid=True, lambda_dice=dice)
        self.several = DiceCELoss(to_onehot_y=True, softmax=True, lambda_dice=dice)
        self.parts: dict[str, Tensor] = {}

    @classmethod
    def paper(cls) -> MCDRLLoss:
        """As the paper writes it: cross-entropy alone, Eq. 11 on the vectors as they are."""
        return cls(dice=0.0, normalise=False)

    def forward(self, output: Tensor | MCDRLOutput, labels: Tensor) -> Tensor:
        logits = output if isinstance(output, Tensor) else output.logits
        binary = logits.shape[1] == 1
        segmentation = self.one(logits, (labels > 0).to(logits.dtype)) if binary else self.several(logits, labels)
        self.parts = {"segmentation": segmentation.detach()}
        if isinstance(output, Tensor):
            return segmentation
        classes = image_classes(labels, len(output.causal_targets))
        of_region = pooled(output, labels if self.pool == "lesion" else None)
        causal = causal_loss(of_region, output.causal_targets, classes, normalise=self.normalise)
        causal = causal * output.intervening.to(causal.dtype)  # Eq. 11 speaks of intervened features
        contrast = contrastive_loss(output.image, output.classes, classes, self.temperature)
        self.parts |= {"causal": causal.detach(), "contrast": contrast.detach()}
        # A constant feature satisfies Eq. 11; whoever watches this sees it coming.
        self.parts["feature_variance"] = output.cells.detach().var(dim=(0, 2, 3)).mean()
        return segmentation + self.lambda_causal * causal + self.lambda_contrast * contrast


def causal_loss(features: Tensor, targets: Tensor, classes: Tensor, *, normalise: bool = True) -> Tensor:
    """Eq. 11, averaged over the images; one without a lesion adds zero.

    Args:
        features: ``(B, d)``, the pooled intervened cells.
        targets: ``(K, d)``, of each class the mean of its texts over all confounders.
        classes: ``(B,)`` from 0 to K - 1; K is no lesion.
        normalise: compare unit vectors.
    """
    shown = classes < len(targets)
    target = targets[classes.clamp_max(len(targets) - 1)]
    if normalise:
        features, target = nn.functional.normalize(features, dim=1), nn.functional.normalize(target, dim=1)
    distance = (features - target).square().sum(dim=1)
    # Over all images, so that the parts of a batch on several devices average to the whole.
    return (distance * shown).mean()


def contrastive_loss(images: Tensor, texts: Tensor, classes: Tensor, temperature: float = 0.5) -> Tensor:
    """Eq. 12: cross-entropy of an image's cosine with the texts, divided by the temperature.

    It trains what made the images' embeddings and the texts: in an MCDRL with a frozen encoder nothing, in the prompt
    learners the texts.

    Args:
        images: ``(B, d)``.
        texts: ``(J, d)``, or ``(B, J, d)``.
        classes: ``(B,)``, each image's text.
        temperature: tau.
    """
    texts = texts.expand(len(images), *texts.shape[-2:])
    cosines = torch.einsum("bd,bjd->bj", normalize(images, dim=1), normalize(texts, dim=2))
    return cross_entropy(cosines / temperature, classes)


def image_classes(labels: Tensor, count: int) -> Tensor:
    """An image's class ``(B,)`` from 0 to count - 1, the one with most pixels; ``count`` where there is no lesion."""
    pixels = torch.stack([(labels == one).flatten(1).sum(dim=1) for one in range(1, count + 1)], dim=1)
    if count == 1:
        pixels = (labels > 0).flatten(1).sum(dim=1, keepdim=True)
    return torch.where(pixels.amax(dim=1) > 0, pixels.argmax(dim=1), count)


def pooled(output: MCDRLOutput, labels: Tensor | None = None) -> Tensor:
    """Mean over the selected cells ``(B, d)``.

    With labels, over those of them that hold a part of a lesion (over all of them, if none does).
    """
    weights = output.kept
    if labels is not None:
        lesion = adaptive_max_pool2d((labels > 0).to(weights.dtype), weights.shape[2:])
        both = weights * lesion
        weights = torch.where(both.sum(dim=(1, 2, 3), keepdim=True) > 0, both, weights)
    return (output.cells * weights).sum(dim=(2, 3)) / weights.sum(dim=(2, 3))
