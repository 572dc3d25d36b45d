# SPDX-License-Identifier: Apache-2.0
"""Losses: the causal and the contrastive one of MCDRL, and that of the prompt learners it is compared with."""

from __future__ import annotations

from monai_causal.losses.mcdrl import MCDRLLoss, causal_loss, contrastive_loss
from monai_causal.losses.prompt import PromptLoss

__all__ = ["MCDRLLoss", "PromptLoss", "causal_loss", "contrastive_loss"]
