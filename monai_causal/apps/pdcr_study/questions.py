# SPDX-License-Identifier: Apache-2.0
"""One question of a study: this network, this image, this RoI. All methods are asked the same one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from monai_causal.apps.pdcr_study.config import StudyConfig
from monai_causal.apps.pdcr_study.images import Subject
from monai_causal.intervene import DonorPatchFill, Evaluator, Regions, RoIDice, Score, grid_regions
from monai_causal.intervene.regions import Box

__all__ = ["Question", "measuring_seed"]


def measuring_seed(study: StudyConfig) -> int:
    """What attributions are measured with: other draws than those that made the maps. Otherwise PdCR would be judged
    by the very draws that it chose its regions by, and no other method would."""
    return study.seed + 1


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked.

    Attributes:
        study: the settings that all questions share.
        network: in evaluation mode.
        evaluator: asks it, with :func:`measuring_seed`; one per network, for its trace is kept.
        subject: the image.
        roi: a box, or a mask ``(*spatial)``.
        fill: patches of other images.
        donors: those images, whole, ``(C, *spatial)`` each.
    """

    study: StudyConfig
    network: nn.Module
    evaluator: Evaluator
    subject: Subject
    roi: Box | Tensor
    fill: DonorPatchFill
    donors: Sequence[Tensor]

    @property
    def reference(self) -> Tensor | None:
        """What the Dice compares with: bool ``(*spatial)``, or ``None`` for the network's own answer."""
        return self.subject.inside if self.study.data.reference == "label" else None

    @property
    def options(self) -> dict[str, Any]:
        """How a network's output becomes an answer, for every method alike."""
        return {"class_idx": self.subject.class_idx, "activation": "auto", "threshold": self.study.threshold}

    @property
    def engine(self) -> dict[str, Any]:
        """How an evaluator of these networks runs."""
        return {"device": self.study.device, "batch_size": self.study.batch_size}

    @property
    def score(self) -> Score:
        return RoIDice(self.roi, self.reference, **self.options)

    @cached_property
    def regions(self) -> Regions:
        """The study's grid without the regions that touch the RoI."""
        grid = grid_regions(self.subject.inside.shape, self.study.patch_size)
        return grid.subset(~grid.touches(self.roi))
