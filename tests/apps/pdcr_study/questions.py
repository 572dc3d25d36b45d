# SPDX-License-Identifier: Apache-2.0
"""Questions to a network whose effects are known: its answer at p is read at p - d."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from monai_causal.apps.pdcr_study.config import as_config
from monai_causal.apps.pdcr_study.images import Subject
from monai_causal.apps.pdcr_study.questions import Question, measuring_seed
from monai_causal.intervene import DonorPatchFill, Evaluator
from tests.golden import PlantedContext

OFFSET, SIZE, ROI, PATCH = (8, -8), (40, 40), ((16, 24), (16, 24)), 8
"""With them the answer in the RoI is read in ((8, 16), (24, 32)): in one patch of the grid, and in no other."""


def planted_question(image: Tensor, inside: Tensor | None = None, **changes: Any) -> Question:
    """About ``image`` (1, 1, *spatial); the label is what the network answers, unless another is given."""
    content = {
        "data": {"name": "phantom", "parts": {"explain": 1, "donors": 1}},
        "networks": [{"build": "unet", "train": {"steps": 1}}],
        "methods": [{"name": "pdcr"}],
        "patch_size": PATCH,
        **changes,
    }
    study = as_config(content)
    network = PlantedContext(OFFSET)
    if inside is None:
        inside = torch.from_numpy(network.prediction(image[0].numpy()))
    subject = Subject("image-0", 0, "", image, inside.long(), None, inside)
    donors = [noise(seed)[0] for seed in (11, 12, 13)]
    bank = DonorPatchFill(
        torch.stack([donor[:, a : a + 8, b : b + 8] for donor in donors for a, b in ((0, 3), (20, 9))])
    )
    return Question(study, network, Evaluator(network, seed=measuring_seed(study)), subject, ROI, bank, donors)


def noise(seed: int, size: tuple[int, ...] = SIZE) -> Tensor:
    return torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
