# SPDX-License-Identifier: Apache-2.0
"""Small segmentation networks, trained on the spot."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from monai.losses import DiceCELoss
from torch import Tensor, nn
from tqdm.auto import tqdm

from monai_causal.files import draft_of
from monai_causal.intervene.scores import output_tensor

__all__ = ["fit", "keep_trained", "weights_digest"]


def fit(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    steps: int,
    rate: float,
    *,
    several: bool,
    weight_decay: float = 0.01,
    title: str = "training",
) -> None:
    """AdamW with a one-cycle schedule on cross-entropy and Dice; the network is left in training mode.

    Args:
        network: gives logits.
        batches: images ``(B, C, *spatial)`` and labels ``(B, 1, *spatial)``, ``steps`` of them.
        steps: how many.
        rate: the highest learning rate.
        several: whether the network has a channel for the background and one per class; otherwise one channel, for
            labels above 0.
        weight_decay: of AdamW.
        title: of the progress bar.
    """
    loss_function = DiceCELoss(to_onehot_y=True, softmax=True) if several else DiceCELoss(sigmoid=True)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, total_steps=steps)
    network.train()
    with tqdm(batches, total=steps, desc=title, disable=None, leave=False) as bar:
        for images, labels in bar:
            loss = loss_function(output_tensor(network(images)), labels if several else (labels > 0).float())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            bar.set_postfix(loss=f"{loss.item():.3f}")


def keep_trained(network: nn.Module, file: Path, train: Callable[[], None]) -> None:
    """Where ``file`` keeps no weights yet, ``train`` the network and keep what it learnt there.

    An interrupted study need not train again: it reads the file, as it reads it after a training.
    """
    if not file.exists():
        train()
        file.parent.mkdir(parents=True, exist_ok=True)
        with draft_of(file) as draft:
            torch.save(network.state_dict(), draft)


def weights_digest(network: nn.Module) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of all weights and buffers, by name."""
    digest = hashlib.sha256()
    for name, values in sorted(network.state_dict().items()):
        digest.update(name.encode() + values.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
