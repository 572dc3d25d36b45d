# SPDX-License-Identifier: Apache-2.0
"""First lesson: the vision tower learns to see. Each of its tokens says what lies in its patch, all of them together
what the film shows. A model that is only asked yes-or-no questions takes many times as long to find a nodule."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, binary_cross_entropy_with_logits

from monai_causal.apps.medfocus.demo_vlm.films import STRUCTURES, Views
from monai_causal.data.phantoms.chest_causes import CONCEPTS, FINDINGS

__all__ = ["Reader", "features", "seen", "tower_loss"]

SMALL = "nodule"
FULL = 0.25
"""The part of a patch that a structure must fill for the patch to hold it fully."""


class Reader(nn.Module):
    """Reads the tower's tokens during its lesson, and is thrown away after it.

    Args:
        width: of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.holds = nn.Linear(width, len(STRUCTURES))
        self.where = nn.Linear(width, len(FINDINGS) + 1)
        self.what = nn.Linear(width, len(FINDINGS) + 1)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, structures, patches): what each patch holds; (B, findings and marker): what the film shows."""
        tokens = self.norm(tokens)
        weight = self.where(tokens).softmax(dim=1)
        return self.holds(tokens).transpose(1, 2), (weight * self.what(tokens)).sum(dim=1)


def seen(images: Tensor) -> Tensor:
    """Pictures in [0, 1] as the model's own processor gives them to the tower."""
    return ((images - 0.5) / 0.25).expand(-1, 3, -1, -1)


def features(tower: nn.Module, images: Tensor) -> Tensor:
    """(B, patches, width): the tower's tokens, as LLaVA takes them."""
    tokens: Tensor = tower(pixel_values=seen(images), output_hidden_states=True).hidden_states[-1]
    return tokens


def tower_loss(holds: Tensor, shows: Tensor, views: Views, small: float = 1.0) -> Tensor:
    """Cross-entropy of both readings; what cannot be said of a view does not count.

    Args:
        holds: what the reader says of each patch.
        shows: what it says of the film.
        views: the films.
        small: how much more than the others the nodule counts, which fills the fewest patches.
    """
    side = int(holds.shape[-1] ** 0.5)
    dense = (adaptive_avg_pool2d(views.masks, side) / FULL).clamp_max(1).flatten(2)
    state = torch.cat([views.shown, views.marker[:, None]], dim=1)
    weight = torch.ones(len(FINDINGS) + 1)
    weight[FINDINGS.index(SMALL)] = small
    of_patches = torch.cat([torch.ones(len(CONCEPTS)), weight])[:, None].expand_as(dense)
    local = binary_cross_entropy_with_logits(holds, dense, weight=of_patches)
    whole = binary_cross_entropy_with_logits(shows, state.clamp_min(0).float(), weight=(state >= 0) * weight)
    return 2.0 * local + whole
