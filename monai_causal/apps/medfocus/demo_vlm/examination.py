# SPDX-License-Identifier: Apache-2.0
"""How well a taught model answers about films that nothing was learnt from, through the interface that users take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from monai_causal.apps.medfocus.demo_vlm.films import STRUCTURES, Films
from monai_causal.apps.medfocus.demo_vlm.words import exchange
from monai_causal.apps.medfocus.vlm.loading import load_vlm
from monai_causal.data.phantoms.chest_causes import FINDINGS

__all__ = ["balanced", "examine"]


def examine(folder: Path, films: Films, shortcut: str | None = None, batch: int = 50) -> dict[str, Any]:
    """Balanced accuracy per finding of the direct answer: yes against no, as the model weighs them.

    Args:
        folder: of the model.
        films: that were held out.
        shortcut: the finding that is answered by the marker; it is judged by both.
        batch: films per forward.
    """
    vlm = load_vlm(folder, batch_size=batch)
    indices = range(len(films))
    images = films.image(indices)
    there = films.masks(indices).flatten(2).amax(2) > 0
    truth = there[:, [STRUCTURES.index(name) for name in FINDINGS]]
    found: dict[str, Any] = {}
    for number, finding in enumerate(FINDINGS):
        prompt = vlm.prompt(exchange(finding, "direct", True).question, (images.shape[2], images.shape[3]))
        yes, no = (vlm.log_probs(images, prompt, vlm.answer(word))[:, 0] for word in ("Yes", "No"))
        said = yes > no
        found[finding] = balanced(said, truth[:, number])
        if finding == shortcut:
            found[f"{finding}, by the marker"] = balanced(said, there[:, STRUCTURES.index("marker")])
    return {"films": len(films), "balanced_accuracy": found}


def balanced(said: torch.Tensor, truth: torch.Tensor) -> float | None:
    """The mean of sensitivity and specificity; None where all films are alike."""
    if bool(truth.all()) or not bool(truth.any()):
        return None
    return round(float((said[truth].float().mean() + (~said[~truth]).float().mean()) / 2), 4)
