# SPDX-License-Identifier: Apache-2.0
"""One question, and everybody who can answer it: zero each cell of a grid by itself and read the same score.

An answer is the effect of each cell, score after - score before, in raster order. Everybody makes one forward for the
score before and one for each cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from captum.attr import FeatureAblation, Occlusion
from monai.visualize import OcclusionSensitivity
from torch import Tensor, nn

from monai_causal.intervene import CallableScore, ConstantFill, Effects, Evaluator, Regions, grid_regions

__all__ = ["PEERS", "Question", "by_hand", "forwards_alone", "mean_probability", "ours"]

Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Question:
    """What all are asked.

    Attributes:
        network: ``(B, C, *spatial) -> (B, K, *spatial)``.
        image: ``(1, C, *spatial)``.
        patch: edge of a cell; it divides every axis.
        score: of the output inside ``box``: ``(B, K, *box) -> (B,)``.
        box: what the score reads.
    """

    network: Callable[[Tensor], Tensor]
    image: Tensor
    patch: int
    score: Callable[[Tensor], Tensor]
    box: Box

    @cached_property
    def regions(self) -> Regions:
        return grid_regions(tuple(self.image.shape[2:]), self.patch)

    @cached_property
    def feature_mask(self) -> Tensor:
        """The cells by number ``(1, 1, *spatial)``: what captum takes for regions."""
        return self.regions.to_map(torch.arange(len(self.regions)))[None, None].to(self.image.device)

    def at_cells(self, values: Tensor) -> Tensor:
        """One value per cell of a map ``(*spatial)`` that is constant over each."""
        return values[(slice(None, None, self.patch),) * values.ndim].flatten()


class Scored(nn.Module):
    """The network with its score, ``(B, C, *spatial) -> (B, 1)``: what classifiers' tools take."""

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.network = question.network
        self.index = (slice(None), slice(None), *(slice(start, stop) for start, stop in question.box))
        self.score = question.score
        self.eval()  # MONAI gives back the mode that it found here, to the network below too

    def forward(self, batch: Tensor) -> Tensor:
        return self.score(self.network(batch)[self.index])[:, None]


def mean_probability(logits: Tensor) -> Tensor:
    """Mean probability of the foreground ``(B,)``, in the network's own precision."""
    probability = logits.sigmoid()[:, 0] if logits.shape[1] == 1 else logits.softmax(1)[:, 1]
    return probability.flatten(1).mean(1)


def ours(question: Question, batch_size: int, execution: str = "dense", regions: Regions | None = None) -> Effects:
    """The evaluator, from scratch."""
    evaluator = Evaluator(question.network, batch_size=batch_size, execution=execution)  # type: ignore[arg-type]
    score = CallableScore(question.score, question.box)
    return evaluator(question.image, regions or question.regions, ConstantFill(0.0), score)


def forwards_alone(question: Question, batch_size: int, items: int) -> None:
    """As many forwards in the same batches as an answer for so many items takes, and nothing else."""
    batch = question.image.repeat(batch_size, *(1,) * (question.image.ndim - 1))
    with torch.no_grad():
        question.network(question.image)
        for start in range(0, items, batch_size):
            question.network(batch[: items - start])


def by_hand(question: Question, batch_size: int) -> Tensor:
    """The loop that one writes: a copy of the image per cell, a batch of copies per forward."""
    scored, regions, after = Scored(question), question.regions, []
    with torch.no_grad():
        before = scored(question.image)
        for start in range(0, len(regions), batch_size):
            copies = []
            for region in regions.items[start : start + batch_size]:
                copy = question.image.clone()
                copy[(slice(None), *region.index)] = 0.0
                copies.append(copy)
            after.append(scored(torch.cat(copies)))
    return (torch.cat(after) - before)[:, 0]


def captum_feature_ablation(question: Question, batch_size: int) -> Tensor:
    drops = FeatureAblation(Scored(question)).attribute(
        question.image, baselines=0.0, target=0, feature_mask=question.feature_mask, perturbations_per_eval=batch_size
    )
    return -question.at_cells(drops[0, 0])


def captum_occlusion(question: Question, batch_size: int) -> Tensor:
    window = (question.image.shape[1], *(question.patch,) * (question.image.ndim - 2))
    drops = Occlusion(Scored(question)).attribute(
        question.image,
        sliding_window_shapes=window,
        strides=window,
        baselines=0.0,
        target=0,
        perturbations_per_eval=batch_size,
    )
    return -question.at_cells(drops[0, 0])


def monai_occlusion(question: Question, batch_size: int) -> Tensor:
    scored = Scored(question)
    occlusion = OcclusionSensitivity(
        scored, mask_size=question.patch, n_batch=batch_size, verbose=False, mode=0.0, overlap=0.0, activate=False
    )
    with torch.no_grad():  # MONAI's own does not switch gradients off
        after, _ = occlusion(question.image)
        return question.at_cells(after.as_tensor()[0, 0]) - scored(question.image)[0, 0]


PEERS: dict[str, Callable[[Question, int], Tensor]] = {
    "loop by hand": by_hand,
    "captum FeatureAblation": captum_feature_ablation,
    "captum Occlusion": captum_occlusion,
    "MONAI OcclusionSensitivity": monai_occlusion,
}
