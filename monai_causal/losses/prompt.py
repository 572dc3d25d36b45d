# SPDX-License-Identifier: Apache-2.0
"""The loss of the prompt learners that MCDRL is compared with."""

from __future__ import annotations

from torch import Tensor, nn

from monai_causal.losses.mcdrl import MCDRLLoss, contrastive_loss, image_classes
from monai_causal.networks.nets.prompt_segmenter import PromptOutput

__all__ = ["PromptLoss"]


class PromptLoss(nn.Module):
    """``L_seg + lambda_contrast L_contrast + lambda_consistency SCCM + lambda_distillation KDSP``.

    Args:
        lambda_contrast, temperature: as in :class:`~monai_causal.losses.mcdrl.MCDRLLoss`, so that the two compare.
        lambda_consistency, lambda_distillation: BiomedCoOp's values; with StyLIP both terms are zero.
        dice: weight of a Dice loss beside the cross-entropy, as in MCDRLLoss.

    Shape:
        a :class:`~monai_causal.networks.nets.prompt_segmenter.PromptOutput` and labels ``(B, 1, H, W)`` of 0, the
        background, to K. Plain logits give ``L_seg`` alone. The parts of the last call are in ``parts``, without a
        gradient.
    """

    def __init__(
        self,
        lambda_contrast: float = 0.1,
        temperature: float = 0.5,
        lambda_consistency: float = 0.75,
        lambda_distillation: float = 0.75,
        dice: float = 1.0,
    ) -> None:
        super().__init__()
        self.segmentation = MCDRLLoss(temperature=temperature, dice=dice)  # of plain logits, its L_seg
        self.lambda_contrast, self.temperature = lambda_contrast, temperature
        self.lambda_consistency, self.lambda_distillation = lambda_consistency, lambda_distillation
        self.parts: dict[str, Tensor] = {}

    def forward(self, output: Tensor | PromptOutput, labels: Tensor) -> Tensor:
        logits = output if isinstance(output, Tensor) else output.logits
        segmentation: Tensor = self.segmentation(logits, labels)
        self.parts = {"segmentation": segmentation.detach()}
        if isinstance(output, Tensor):
            return segmentation
        shown = image_classes(labels, output.classes.shape[-2] - 1)
        contrast = contrastive_loss(output.image, output.classes, shown, self.temperature)
        self.parts |= {
            "contrast": contrast.detach(),
            "consistency": output.consistency.detach(),
            "distillation": output.distillation.detach(),
        }
        return (
            segmentation
            + self.lambda_contrast * contrast
            + self.lambda_consistency * output.consistency
            + self.lambda_distillation * output.distillation
        )
