# SPDX-License-Identifier: Apache-2.0
"""How far each answer's log-probability drops, token by token, when regions are replaced.

The engine runs the interventions, this module alone calls it. A model of this kind is to the engine a network whose
output is one number per answer token, the same at every pixel, and the score reads one pixel of it. The answers to
several questions lie side by side in that output, so that they share every counterfactual image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from monai_causal.apps.medfocus.attribute_asking import Asked
from monai_causal.apps.medfocus.vlm.interface import AnsweringModel
from monai_causal.intervene import CallableScore, Evaluator, Fill, Regions, RunRecord

__all__ = ["Drops", "token_drops"]


@dataclass(frozen=True, eq=False)
class Drops:
    """What interventions did to one answer.

    Args:
        before: (tokens,) log-probabilities on the picture as it is.
        values: (regions, draws, tokens), before - after: positive where the region supports the token.
    """

    before: Tensor
    values: Tensor

    @property
    def support(self) -> Tensor:
        """(regions, draws): rises count as nothing, drops are summed over tokens (section 4.2)."""
        return self.values.clamp(min=0).sum(-1)

    @property
    def log_probs(self) -> Tensor:
        """(regions, draws): of the whole answer after each intervention."""
        return (self.before - self.values).sum(-1)


def token_drops(
    vlm: AnsweringModel,
    picture: Tensor,
    asked: Sequence[Asked],
    regions: Regions,
    fill: Fill,
    draws: int = 1,
    *,
    batch_size: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> tuple[list[Drops], RunRecord]:
    """Ask again with every region replaced.

    Args:
        vlm: the model.
        picture: (channels, H, W).
        asked: questions with their answers.
        regions: where.
        fill: with what.
        draws: how many per region.
        batch_size: pictures per forward; ``None`` takes the model's.
        seed: of random fills.
        progress: show a bar.

    Returns:
        the drops of each answer, and how the engine ran; its forwards are counted per question.
    """

    def log_probs(batch: Tensor) -> Tensor:
        # A texture or an edit may step a little over black or white, where no display and no processor follows.
        shown = batch.clamp(0, 1)
        found = [vlm.log_probs(shown, one.prompt, one.answer, batch_size=len(shown)) for one in asked]
        return torch.cat(found, dim=1)[:, :, None, None].expand(-1, -1, *batch.shape[2:])

    everywhere_the_same = CallableScore(lambda output: output[:, :, 0, 0], box=((0, 1), (0, 1)))
    everywhere_the_same.unit = "log-probability"
    evaluator = Evaluator(
        log_probs, batch_size=batch_size or vlm.batch_size, execution="dense", progress=progress, seed=seed
    )
    effects = evaluator(picture[None], regions, fill, everywhere_the_same, draws)
    lengths = [len(one.answer) for one in asked]
    before, after = effects.before[0].split(lengths), effects.data[0].split(lengths, dim=-1)
    return [Drops(first, -change) for first, change in zip(before, after, strict=True)], effects.record
